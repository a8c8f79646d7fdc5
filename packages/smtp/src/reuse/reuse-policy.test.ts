import { makeConfig } from '@mailfleet/config';
import type { TlsPolicy } from '@mailfleet/tls';
import { describe, expect, it } from 'vitest';
import type { Protocol } from '../delivery.ts';
import { destinationKey, endpointKey, reuseRules, sessionKey } from './reuse-policy.ts';

const rules = (
  values: Record<string, string> = {},
  protocol: Protocol = 'smtp',
  transport: string = protocol,
) => reuseRules(makeConfig({ myhostname: 'client.test', ...values }), transport, protocol);

type Hint = 'load' | 'load-store' | undefined;
const hintOf = (hint: Hint) => ({
  ...(hint === undefined ? {} : { connectionLoad: true }),
  ...(hint === 'load-store' ? { connectionStore: true } : {}),
});

const none = { load: false, store: false };
const both = { load: true, store: true };
const load = { load: true, store: false };

describe('what a batch may do by smtp_connection_cache_on_demand, smtp_connection_cache_destinations, lmtp_cache_connection', () => {
  it.each<[string, Record<string, string>, Protocol, string, Hint, object]>([
    ['no hint', {}, 'smtp', 'example.com', undefined, none],
    ['LOAD', {}, 'smtp', 'example.com', 'load', load],
    ['LOAD and STORE', {}, 'smtp', 'example.com', 'load-store', both],
    [
      'smtp_connection_cache_on_demand = no',
      { smtp_connection_cache_on_demand: 'no' },
      'smtp',
      'example.com',
      'load-store',
      none,
    ],
    [
      'smtp_connection_cache_destinations',
      { smtp_connection_cache_destinations: 'example.com' },
      'smtp',
      'example.com',
      undefined,
      both,
    ],
    [
      'listed, bracketed',
      { smtp_connection_cache_destinations: 'mx.test' },
      'smtp',
      '[mx.test]:2525',
      undefined,
      both,
    ],
    [
      'listed, other',
      { smtp_connection_cache_destinations: 'example.com' },
      'smtp',
      'example.org',
      undefined,
      none,
    ],
    [
      'listed path',
      { lmtp_connection_cache_destinations: '/nonexistent, s/lmtp' },
      'lmtp',
      'unix:s/lmtp',
      'load',
      load,
    ],
    [
      'lmtp_cache_connection = no',
      { lmtp_cache_connection: 'no' },
      'lmtp',
      'inet:mx.test',
      'load-store',
      none,
    ],
    [
      'lmtp_cache_connection = yes',
      { lmtp_cache_connection: 'yes' },
      'lmtp',
      'inet:mx.test',
      undefined,
      both,
    ],
    ['lmtp switch, smtp', { lmtp_cache_connection: 'yes' }, 'smtp', 'mx.test', undefined, none],
  ])('%s', async (_, values, protocol, nexthop, hint, wanted) => {
    expect(await rules(values, protocol).policyFor({ nexthop, ...hintOf(hint) }, () => undefined)).toEqual(
      wanted,
    );
  });

  it('a list that cannot be read is told, and the destination is not listed', async () => {
    const warnings: string[] = [];
    const broken = rules({ smtp_connection_cache_destinations: 'hash:/no/such/file' });
    expect(await broken.policyFor({ nexthop: 'example.com' }, (text) => warnings.push(text))).toEqual(none);
    expect(warnings).toEqual([expect.stringContaining('smtp_connection_cache_destinations: ')]);
  });

  it('smtp_connection_cache_time_limit and connection_cache_ttl_limit: a session is parked no longer than both allow', () => {
    expect(rules().idleLimitMs).toBe(2000);
    expect(rules({ smtp_connection_cache_time_limit: '9s' }).idleLimitMs).toBe(2000);
    expect(
      rules({ smtp_connection_cache_time_limit: '9s', connection_cache_ttl_limit: '8s' }).idleLimitMs,
    ).toBe(8000);
  });
});

const host = { host: 'mx.test', address: '192.0.2.1', port: 25, preference: 10 };
const may: TlsPolicy = {
  kind: 'policy',
  level: 'may',
  match: [],
  protocols: ['>=TLSv1.2'],
  ciphers: 'medium',
  excludeCiphers: [],
  serverName: '',
  connectionReuse: true,
};

describe('who shares an endpoint', () => {
  const key = (
    policy: TlsPolicy = may,
    destination = 'example.com',
    of = rules(),
    to = host,
    login: readonly string[] = [],
  ) => endpointKey(of, to, policy, destination, login);

  it('domains on the same server, as long as no name is verified', () => {
    expect(key(may, 'example.org')).toBe(key());
    expect(key(may, 'example.org', rules(), { ...host, host: 'mail.test', preference: 20 })).toBe(key());
    const secure: TlsPolicy = { ...may, level: 'secure', match: ['mx.test'] };
    expect(key(secure, 'example.org')).not.toBe(key(secure));
  });

  it.each<[string, string]>([
    ['address', key(may, 'example.com', rules(), { ...host, address: '192.0.2.2' })],
    ['port', key(may, 'example.com', rules(), { ...host, port: 26 })],
    ['level', key({ ...may, level: 'encrypt' })],
    ['protocols', key({ ...may, protocols: ['TLSv1.3'] })],
    ['ciphers', key({ ...may, ciphers: 'high' })],
    ['excluded ciphers', key({ ...may, excludeCiphers: ['RC4'] })],
    ['server name', key({ ...may, serverName: 'sni.test' })],
    ['names to match', key({ ...may, level: 'verify', match: ['a.test'] })],
    ['other names to match', key({ ...may, level: 'verify', match: ['b.test'] })],
    ['clear', key({ ...may, level: 'none' })],
    ['transport', key(may, 'example.com', rules({}, 'smtp', 'relay'))],
    ['protocol', key(may, 'example.com', rules({}, 'lmtp', 'smtp'))],
    ['HELO name', key(may, 'example.com', rules({ smtp_helo_name: 'other.test' }))],
    ['source address', key(may, 'example.com', rules({ smtp_bind_address: '192.0.2.9' }))],
    ['interface', key(may, 'example.com', rules({ inet_interfaces: '192.0.2.9' }))],
    ['client certificate', key(may, 'example.com', rules({ smtp_tls_cert_file: '/c.pem' }))],
    ['trust anchors', key(may, 'example.com', rules({ smtp_tls_CAfile: '/ca.pem' }))],
    ['login', key(may, 'example.com', rules(), host, ['digest', 'mx.test', 'example.com'])],
    ['mechanism filter', key(may, 'example.com', rules({ smtp_sasl_mechanism_filter: 'plain' }))],
    ['discarded keywords', key(may, 'example.com', rules({ smtp_discard_ehlo_keywords: 'pipelining' }))],
  ])('not with another %s', (_, other) => {
    expect(other).not.toBe(key());
  });

  it('what does not matter in clear does not part sessions in clear', () => {
    const none: TlsPolicy = { ...may, level: 'none' };
    expect(key({ ...none, ciphers: 'high', serverName: 'sni.test' })).toBe(key(none));
  });

  it('a destination is its nexthop as written, under one service', () => {
    expect(destinationKey(rules(), 'example.com')).not.toBe(destinationKey(rules(), '[example.com]'));
    expect(destinationKey(rules(), 'a')).not.toBe(destinationKey(rules({}, 'smtp', 'relay'), 'a'));
    expect(destinationKey(rules(), 'a', 'x@one.test')).not.toBe(destinationKey(rules(), 'a', 'x@two.test'));
  });
});

describe('who resumes a TLS session', () => {
  const key = (policy: TlsPolicy = may, destination = 'example.com', of = rules(), to = host, trust = 'a') =>
    sessionKey(of, to, policy, destination, trust);

  it('connections to one server for one nexthop, whatever its preference and may be reused', () => {
    expect(key({ ...may, connectionReuse: false }, 'example.com', rules(), { ...host, preference: 20 })).toBe(
      key(),
    );
  });

  it.each<[string, string]>([
    ['nexthop', key(may, 'example.org')],
    ['host name', key(may, 'example.com', rules(), { ...host, host: 'mail.test' })],
    ['address', key(may, 'example.com', rules(), { ...host, address: '192.0.2.2' })],
    ['port', key(may, 'example.com', rules(), { ...host, port: 26 })],
    ['level', key({ ...may, level: 'verify' })],
    ['name to match', key({ ...may, match: ['a.test'] })],
    ['transport', key(may, 'example.com', rules({}, 'smtp', 'relay'))],
    ['protocol', key(may, 'example.com', rules({}, 'lmtp', 'smtp'))],
    ['HELO name', key(may, 'example.com', rules({ smtp_helo_name: 'other.test' }))],
    ['client certificate', key(may, 'example.com', rules({ smtp_tls_cert_file: '/c.pem' }))],
    ['trust anchors', key(may, 'example.com', rules({ smtp_tls_CAfile: '/ca.pem' }))],
    ['set of authorities', key(may, 'example.com', rules(), host, 'b')],
    ['fingerprint digest', key(may, 'example.com', rules({ smtp_tls_fingerprint_digest: 'sha1' }))],
  ])('not with another %s', (_, other) => {
    expect(other).not.toBe(key());
  });
});
