/** smtp_tlsrpt_enable: which handshakes, and which failures before one, are told, as what, and which are not (RFC 8460 section 4.3). */
import {
  type CertificateAuthority,
  makeCertificates,
  type SmtpServer,
  startSmtpServer,
} from '@mailfleet/test-kit';
import type { MtaSts, TlsResult } from '@mailfleet/tls';
import { SessionTickets } from '@mailfleet/tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { deliver, hostsOf, type TestDelivery } from '../test-agent.ts';

let authority: CertificateAuthority;
const servers: SmtpServer[] = [];
beforeAll(() => {
  authority = makeCertificates();
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});
afterAll(() => authority.remove());

const broken = [
  [
    'S: 220 x',
    'C: EHLO*',
    'S: 250-x',
    'S: 250 STARTTLS',
    'C: STARTTLS',
    'S: 220 go',
    'delay 30',
    'raw: nonsense\\r\\n',
    'silence',
  ],
];
const offers = {
  good: () => ({ tls: authority.issue(['mx1.test']) }),
  'wrong name': () => ({ tls: authority.issue(['other.test']) }),
  'unknown authority': () => ({ tls: authority.issue(['mx1.test'], { selfSigned: true }) }),
  expired: () => ({ tls: authority.issue(['mx1.test'], { expired: true }) }),
  refused: () => ({ tls: authority.issue(['mx1.test']), hooks: { starttls: '454 no' } }),
  broken: () => ({ scripts: broken }),
  'no TLS': () => ({}),
} satisfies Record<string, () => Parameters<typeof startSmtpServer>[0]>;

const send = async (
  offer: keyof typeof offers,
  level: string,
  { config, ...delivery }: TestDelivery = {},
) => {
  const server = await startSmtpServer(offers[offer]());
  servers.push(server);
  const told: (TlsResult & { for: string })[] = [];
  const tlsReports = {
    add: (domain: string, result: TlsResult) => void told.push({ for: domain, ...result }),
  };
  const once = () =>
    deliver({
      servers: [server],
      tlsReports,
      ...delivery,
      config: {
        smtp_tls_security_level: level,
        smtp_tls_CAfile: authority.ca.certFile,
        smtp_tlsrpt_enable: 'yes',
        ...config,
      },
    });
  return { told, result: await once(), once };
};

const noPolicy = { type: 'no-policy-found', domain: 'example.com', strings: [], mxHosts: [] };
const at = { sendingMtaIp: '127.0.0.1', receivingMxHostname: 'mx1.test', receivingIp: '127.0.0.1' };

it.each<[keyof typeof offers, string, object | undefined]>([
  ['good', 'may', {}],
  ['good', 'verify', {}],
  ['wrong name', 'may', {}],
  ['wrong name', 'verify', { failure: { type: 'certificate-host-mismatch', ...at } }],
  [
    'unknown authority',
    'verify',
    { failure: { type: 'certificate-not-trusted', ...at, reason: expect.anything() } },
  ],
  ['expired', 'verify', { failure: { type: 'certificate-expired', ...at, reason: expect.anything() } }],
  ['refused', 'may', { failure: { type: 'starttls-not-supported', ...at } }],
  ['refused', 'encrypt', { failure: { type: 'starttls-not-supported', ...at } }],
  ['no TLS', 'encrypt', { failure: { type: 'starttls-not-supported', ...at } }],
  ['no TLS', 'may', undefined],
  [
    'broken',
    'may',
    { failure: { type: 'validation-failure', ...at, reason: expect.stringMatching(/^\S+$/) } },
  ],
  ['good', 'none', undefined],
])('server with %s at level %s: %j', async (offer, level, result) => {
  const { told } = await send(offer, level);
  expect(told).toEqual(result === undefined ? [] : [{ for: 'example.com', policy: noPolicy, ...result }]);
});

it.each<[string, TestDelivery]>([
  ['smtp_tlsrpt_enable = no', { config: { smtp_tlsrpt_enable: 'no' } }],
  ['a relay in brackets', { nexthop: '[relay.test]' }],
  ['a relay by name', { nexthop: 'relay.test' }],
  ['TLS-Required: No', { envelope: { tlsOptional: true } }],
])('%s: nothing is told', async (_, delivery) => {
  expect((await send('good', 'may', delivery)).told).toEqual([]);
});

it('smtp_tlsrpt_socket_name is not needed; lmtp_tlsrpt_enable, lmtp_tlsrpt_socket_name and lmtp_tlsrpt_skip_reused_handshakes have no meaning', async () => {
  const { result } = await send('good', 'may', { config: { smtp_tlsrpt_socket_name: 'run/tlsrpt' } });
  expect(result.remarks).toContainEqual(
    expect.stringContaining('smtp_tlsrpt_socket_name = run/tlsrpt is not needed'),
  );
  const lmtp = await deliver({
    servers: [],
    protocol: 'lmtp',
    nexthop: 'inet:example.com',
    findHosts: async () => ({ kind: 'failed', status: '4.4.3', reason: 'x' }),
    config: {
      lmtp_tlsrpt_enable: 'yes',
      lmtp_tlsrpt_socket_name: 'run/tlsrpt',
      lmtp_tlsrpt_skip_reused_handshakes: 'yes',
    },
  });
  expect(lmtp.remarks).toContainEqual(expect.stringContaining('lmtp_tlsrpt_enable is ignored'));
});

it('smtp_tlsrpt_skip_reused_handshakes leaves out resumed sessions', async () => {
  for (const [skip, count] of [
    ['no', 2],
    ['yes', 1],
  ] as const) {
    const config = {
      smtp_tlsrpt_skip_reused_handshakes: skip,
      smtp_tls_session_cache_database: 'btree:x',
    };
    const { told, once } = await send('good', 'may', { config, tickets: new SessionTickets() });
    await once();
    expect(servers.at(-1)?.sessions).toHaveLength(2);
    expect(told).toHaveLength(count);
  }
});

const sts = (mode: 'enforce' | 'testing', mx: string): MtaSts => ({
  policyFor: async () => ({ mode, mx: [mx], maxAgeSeconds: 86_400 }),
});

it.each<[keyof typeof offers, MtaSts, object]>([
  ['good', sts('enforce', 'mx1.test'), {}],
  ['wrong name', sts('enforce', 'mx1.test'), { failure: { type: 'certificate-host-mismatch', ...at } }],
  ['good', sts('testing', 'mx1.test'), {}],
  ['wrong name', sts('testing', 'mx1.test'), { failure: { type: 'certificate-host-mismatch', ...at } }],
  [
    'good',
    sts('testing', '*.other.test'),
    { failure: { type: 'validation-failure', ...at, reason: 'host_is_none_of_the_policy' } },
  ],
])('%s under an MTA-STS policy: reported as such', async (offer, mtaSts, result) => {
  const { told } = await send(offer, 'may', { mtaSts, config: { smtp_tls_mta_sts: 'enforce' } });
  expect(told).toMatchObject([{ policy: { type: 'sts', domain: 'example.com' }, ...result }]);
  expect(told[0]?.policy.strings).toContain('max_age: 86400');
});

describe('smtp_tlsrpt_enable, before any handshake', () => {
  const enforcing = { smtp_tls_mta_sts: 'enforce' };
  const skipped = {
    failure: {
      type: 'validation-failure',
      reason: 'host_is_none_of_the_policy',
      receivingMxHostname: 'mx1.test',
    },
  };

  it('a host outside the MTA-STS policy is told, once for each message', async () => {
    const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => {
      return { host: 'mx1.test', address, port: 25, preference: 10 };
    });
    const { told, result } = await send('good', 'may', {
      mtaSts: sts('enforce', '*.other.test'),
      config: enforcing,
      findHosts: async () => ({ kind: 'found', hosts: addresses, finalNexthop: false }),
    });
    expect(result.verdicts).toEqual([expect.stringContaining('none of the mail hosts')]);
    expect(told).toEqual([
      {
        for: 'example.com',
        policy: {
          type: 'sts',
          domain: 'example.com',
          strings: expect.arrayContaining(['mode: enforce']),
          mxHosts: ['*.other.test'],
        },
        ...skipped,
      },
    ]);
  });

  it('so is one outside the patterns of a table (smtp_tls_enforce_sts_mx_patterns)', async () => {
    const attributes = 'policy_type=sts policy_domain=example.com mx_host_pattern=*.other.test';
    const table = `inline:{ { example.com = secure match=nexthop ${attributes} } }`;
    const { told } = await send('good', 'may', { config: { smtp_tls_policy_maps: table } });
    expect(told).toMatchObject([{ policy: { type: 'sts', mxHosts: ['*.other.test'] }, ...skipped }]);
  });

  const failure = { type: 'sts-webpki-invalid', reason: 'certificate has expired' } as const;
  const unfetched: MtaSts = { policyFor: async () => ({ failure }) };
  const noSts = {
    for: 'example.com',
    policy: { type: 'sts', domain: 'example.com', strings: [], mxHosts: [] },
    failure: { type: 'sts-webpki-invalid', reason: 'certificate_has_expired' },
  };

  it.each<[keyof typeof offers, object]>([
    ['good', noSts],
    ['no TLS', noSts],
    ['refused', { policy: noPolicy, failure: { type: 'starttls-not-supported' } }],
  ])('a policy that cannot be fetched; server with %s: %j', async (offer, expected) => {
    const { told, result } = await send(offer, 'may', { mtaSts: unfetched, config: enforcing });
    expect(result.verdicts).toEqual([expect.stringMatching(/^delivered/)]);
    expect(told).toMatchObject([expected]);
  });

  const remarks = { warnings: [], notes: [] };
  const signed = { canonicalName: 'x', validated: true, ...remarks };
  const answers = {
    silence: { kind: 'retry', reason: 'try again', ...remarks },
    'an answer that our reply filter drops': { kind: 'policy', reason: 'dropped', ...remarks },
    'no records': { kind: 'notfound', reason: 'none', ...remarks },
    'unusable records': {
      kind: 'ok',
      records: [{ usage: 1, selector: 1, matchingType: 1, certificate: Buffer.alloc(32) }],
      ...signed,
    },
  } as const;
  it.each<[keyof typeof answers, string, object | undefined]>([
    ['silence', 'dane', { type: 'dnssec-invalid', reason: 'TLSA_lookup_error:_try_again' }],
    ['silence', 'dane-only', { type: 'dnssec-invalid', reason: 'TLSA_lookup_error:_try_again' }],
    ['no records', 'dane-only', { type: 'dane-required', reason: 'no_TLSA_records_found' }],
    [
      'unusable records',
      'dane-only',
      { type: 'tlsa-invalid', reason: 'TLSA_records_of_mx1.test_are_unusable' },
    ],
    ['an answer that our reply filter drops', 'dane', undefined],
  ])('TLSA: %s at level %s: %j', async (answer, level, expected) => {
    const server = await startSmtpServer({});
    servers.push(server);
    const hosts = hostsOf([server]).map((host) => ({ ...host, validated: true }));
    const { told, result } = await send('good', level, {
      config: { smtp_dns_support_level: 'dnssec' },
      resolver: { lookup: async () => answers[answer] as never },
      findHosts: async () => ({ kind: 'found', hosts, finalNexthop: false }),
    });
    expect(result.verdicts).toEqual([expect.stringMatching(/^deferred 4\.7\.5/)]);
    const policy = { type: 'tlsa', domain: 'mx1.test', strings: [], mxHosts: ['mx1.test'] };
    const failed = { ...expected, receivingMxHostname: 'mx1.test' };
    expect(told).toEqual(expected === undefined ? [] : [{ for: 'example.com', policy, failure: failed }]);
  });

  it('what main.cf lacks is nothing to tell others', async () => {
    const { told, result } = await send('good', 'dane-only');
    expect(result.verdicts).toEqual(['deferred 4.7.5 client TLS configuration problem']);
    expect(told).toEqual([]);
  });
});
