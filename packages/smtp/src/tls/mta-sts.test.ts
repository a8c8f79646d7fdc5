/**
 * smtp_tls_mta_sts (RFC 8461) at the sending end: who gets mail under which policy, and that no relay of main.cf and no DANE is overruled.
 */
import {
  type CertificateAuthority,
  makeCertificates,
  type SmtpServer,
  startSmtpServer,
} from '@mailfleet/test-kit';
import type { MtaSts } from '@mailfleet/tls';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { deliver, type TestDelivery } from '../test-agent.ts';

let authority: CertificateAuthority;
const servers: SmtpServer[] = [];
beforeAll(() => {
  authority = makeCertificates();
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});
afterAll(() => authority.remove());

const offers = {
  good: () => ({ tls: authority.issue(['mx1.test', 'mx2.test']) }),
  'wrong name': () => ({ tls: authority.issue(['other.test']) }),
  'unknown authority': () => ({ tls: authority.issue(['mx1.test'], { selfSigned: true }) }),
  expired: () => ({ tls: authority.issue(['mx1.test'], { expired: true }) }),
  'no TLS': () => ({}),
};

const stsWith = (
  mode: 'enforce' | 'testing' | 'none',
  mx: readonly string[],
): MtaSts & { asked: string[] } => {
  const asked: string[] = [];
  return {
    asked,
    policyFor: async (domain) => {
      asked.push(domain);
      return { mode, mx, maxAgeSeconds: 86_400 };
    },
  };
};

const send = async (
  offer: keyof typeof offers,
  mtaSts: MtaSts,
  { config, ...delivery }: TestDelivery = {},
) => {
  const server = await startSmtpServer(offers[offer]());
  servers.push(server);
  const result = await deliver({
    servers: [server],
    mtaSts,
    // Long enough for a second try in clear, if there were one.
    waitedMs: 1_000_000,
    ...delivery,
    config: {
      smtp_tls_security_level: 'may',
      smtp_tls_CAfile: authority.ca.certFile,
      smtp_tls_mta_sts: 'enforce',
      ...config,
    },
  });
  return { server, result, verdict: result.verdicts[0] ?? '' };
};

const mx = ['mx1.test'];
const delivered = /^delivered/;
const notVerified = /^deferred 4\.7\.5 Server certificate not verified/;

it.each<[keyof typeof offers, RegExp]>([
  ['good', delivered],
  ['wrong name', notVerified],
  ['unknown authority', notVerified],
  ['expired', notVerified],
  ['no TLS', /^deferred 4\.7\.4 TLS is required, but was not offered/],
])('mode enforce, server with %s: %s', async (offer, verdict) => {
  const sent = await send(offer, stsWith('enforce', mx));
  expect(sent.verdict).toMatch(verdict);
  expect(sent.server.messageCount).toBe(verdict === delivered ? 1 : 0);
  if (verdict === delivered) expect(sent.server.sessions[0]?.tls?.servername).toBe('mx1.test');
});

it('a host that no pattern names gets nothing; the next one may', async () => {
  const sent = await send('good', stsWith('enforce', ['*.other.test']));
  expect(sent.verdict).toBe(
    'deferred 4.7.5 host mx1.test is none of the mail hosts that the MTA-STS policy of example.com names',
  );
  expect(sent.server.sessions).toEqual([]);
  expect(sent.result.remarks).toContainEqual(expect.stringContaining('(*.other.test)'));
  const second = await startSmtpServer({ ...offers.good(), host: '127.0.0.2' });
  servers.push(second);
  const both = await send('good', stsWith('enforce', ['mx2.test']), {
    servers: [servers[0] ?? second, second],
  });
  expect(both.verdict).toMatch(delivered);
  expect(second.messageCount).toBe(1);
});

it.each(['testing', 'none'] as const)('mode %s changes nothing', async (mode) => {
  expect((await send('wrong name', stsWith(mode, ['*.other.test']))).verdict).toMatch(delivered);
});

it('smtp_tls_mta_sts = testing asks, and obeys nobody; = no does not ask', async () => {
  const sts = stsWith('enforce', ['*.other.test']);
  const testing = { config: { smtp_tls_mta_sts: 'testing' } };
  expect((await send('wrong name', sts, testing)).verdict).toMatch(delivered);
  expect(sts.asked).toContain('example.com');
  const silent = stsWith('enforce', mx);
  expect((await send('wrong name', silent, { config: { smtp_tls_mta_sts: 'no' } })).verdict).toMatch(
    delivered,
  );
  expect(silent.asked).toEqual([]);
});

it.each<[string, TestDelivery]>([
  ['a relay in brackets', { nexthop: '[relay.test]' }],
  ['a relay by its MX records', { nexthop: 'relay.test' }],
  ['a port of its own', { nexthop: 'example.com:587' }],
  ['a table entry', { config: { smtp_tls_policy_maps: 'inline:{ {example.com = encrypt} }' } }],
  ['level none', { config: { smtp_tls_security_level: 'none' } }],
  ['TLS-Required: No', { envelope: { tlsOptional: true } }],
  ['LMTP', { protocol: 'lmtp', nexthop: 'inet:example.com' }],
])('%s: the domain has no say', async (_, delivery) => {
  const sts = stsWith('enforce', ['*.other.test']);
  const server = await startSmtpServer({
    ...offers['wrong name'](),
    ...(delivery.protocol === 'lmtp' ? { protocol: 'lmtp' as const } : {}),
  });
  servers.push(server);
  const result = await deliver({
    servers: [server],
    mtaSts: sts,
    ...delivery,
    config: { smtp_tls_security_level: 'may', smtp_tls_mta_sts: 'enforce', ...delivery.config },
  });
  expect(result.verdicts).toEqual([expect.stringMatching(delivered)]);
  expect(sts.asked).toEqual([]);
});

it('a fallback relay takes the mail that the policy held back, under the relay’s own policy', async () => {
  const sent = await send('wrong name', stsWith('enforce', mx), {
    config: { smtp_fallback_relay: '[relay.test]' },
  });
  expect(sent.verdict).toMatch(delivered);
});

it('smtp_tls_mta_sts = enforce without any authority is told at the start', async () => {
  const sent = await send('no TLS', stsWith('none', mx), { config: { smtp_tls_CAfile: '' } });
  expect(sent.result.remarks).toContainEqual(
    expect.stringContaining('smtp_tls_mta_sts = enforce, but no authority is trusted'),
  );
});

it('a domain’s mail is not sent over the session of other mail of its nexthop, which has no such policy', async () => {
  const { result, server } = await send('wrong name', stsWith('enforce', mx), {
    requests: [['a@routed.test'], ['b@example.com'], ['c@routed.test']],
  });
  expect(result.verdicts[0]).toMatch(delivered);
  expect(result.verdicts[1]).toMatch(notVerified);
  expect(server.messages.flatMap(({ recipients }) => recipients)).not.toContain('b@example.com');
});
