/**
 * REQUIRETLS and `TLS-Required: No` (RFC 8689) at the sending end: what each smtp_requiretls_policy lets out to which server, and that no
 * session is lent to a message with other demands.
 */

import { makeConfig } from '@mailfleet/config';
import {
  type CertificateAuthority,
  makeCertificates,
  type SmtpServer,
  type SmtpServerOptions,
  startSmtpServer,
  waitFor,
} from '@mailfleet/test-kit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BatchIo } from '../agent.ts';
import { createDeliveryAgent } from '../agent.ts';
import type { Envelope } from '../delivery.ts';
import { SessionPool } from '../reuse/session-pool.ts';
import { batchOf, deliver, hostsOf, requestTo, type TestDelivery } from '../test-agent.ts';

const servers: SmtpServer[] = [];
let authority: CertificateAuthority;
let good: { cert: string; key: string };
let wrongName: { cert: string; key: string };

beforeAll(() => {
  authority = makeCertificates();
  good = authority.issue(['mx1.test', 'mx2.test']);
  wrongName = authority.issue(['other.test']);
});
afterAll(() => authority.remove());
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const start = async (options: SmtpServerOptions): Promise<SmtpServer> => {
  const server = await startSmtpServer(options);
  servers.push(server);
  return server;
};

const plainKeywords = ['PIPELINING', 'SIZE', '8BITMIME', 'ENHANCEDSTATUSCODES', 'DSN'];
const keywords = [...plainKeywords, 'REQUIRETLS'];

const offers = {
  all: () => ({ tls: good, keywords }),
  'no REQUIRETLS': () => ({ tls: good, keywords: plainKeywords }),
  'no STARTTLS': () => ({ keywords }),
  'wrong name': () => ({ tls: wrongName, keywords }),
  refused: () => ({ tls: good, keywords, hooks: { starttls: '454 no' } }),
} satisfies Record<string, () => SmtpServerOptions>;

const send = async (offer: SmtpServerOptions, level: string, policy: string, delivery: TestDelivery = {}) => {
  const server = await start(offer);
  const result = await deliver({
    servers: [server],
    envelope: { requireTls: true, ret: 'FULL' },
    ...delivery,
    config: {
      smtp_tls_security_level: level,
      smtp_tls_CAfile: authority.ca.certFile,
      smtp_requiretls_policy: policy,
      ...delivery.config,
    },
  });
  return { server, verdict: result.verdicts[0] ?? '', result };
};

const delivered = /^delivered/;
const tooLow =
  /^bounced 5\.7\.10 REQUIRETLS: TLS security level (may|encrypt) does not make host mx1\.test\S+ prove/;

describe('smtp_requiretls_policy', () => {
  it.each<[keyof typeof offers, string, string, RegExp]>([
    ['all', 'verify', 'enforce', delivered],
    ['all', 'encrypt', 'enforce', tooLow],
    ['all', 'may', 'enforce', tooLow],
    ['all', 'none', 'enforce', /^bounced 5\.7\.10 REQUIRETLS: TLS is turned off/],
    [
      'no REQUIRETLS',
      'verify',
      'enforce',
      /^bounced 5\.7\.30 REQUIRETLS: REQUIRETLS was not offered by host mx1/,
    ],
    ['no STARTTLS', 'verify', 'enforce', /^bounced 5\.7\.30 REQUIRETLS: TLS was not offered by host mx1/],
    [
      'wrong name',
      'verify',
      'enforce',
      /^bounced 5\.7\.10 REQUIRETLS: host mx1\.test\S+ did not prove who it is/,
    ],
    [
      'refused',
      'verify',
      'enforce',
      /^bounced 5\.7\.10 REQUIRETLS: host mx1\.test\S+ refused to start TLS: 454 no/,
    ],
    ['all', 'may', 'opportunistic+starttls', delivered],
    ['no REQUIRETLS', 'may', 'opportunistic+starttls', delivered],
    ['wrong name', 'may', 'opportunistic+starttls', delivered],
    ['all', 'none', 'opportunistic+starttls', /^bounced 5\.7\.10 REQUIRETLS: TLS is turned off/],
    ['no STARTTLS', 'may', 'opportunistic+starttls', /^bounced 5\.7\.30 REQUIRETLS: TLS was not offered/],
    [
      'refused',
      'may',
      'opportunistic+starttls',
      /^bounced 5\.7\.10 REQUIRETLS: host mx1\.test\S+ refused to start TLS/,
    ],
    ['no STARTTLS', 'may', 'opportunistic', delivered],
    ['all', 'may', 'opportunistic', delivered],
    ['no STARTTLS', 'may', 'disable', delivered],
    ['all', 'may', 'inline:{{.com=opportunistic}}, enforce', delivered],
    ['all', 'may', 'inline:{{example.org=opportunistic}}', tooLow],
    ['all', 'may', 'inline:{{example.com=nonsense}}', /^deferred 4\.7\.10 REQUIRETLS policy lookup error/],
    ['all', 'may', 'hash:/no/such/table', /^deferred 4\.7\.10 REQUIRETLS policy lookup error/],
    ['all', 'may', 'nonsense', /^deferred 4\.7\.10 REQUIRETLS policy lookup error/],
  ])('%s at level %s, policy %s: %s', async (offer, level, policy, verdict) => {
    const sent = await send(offers[offer](), level, policy, { waitedMs: 1_000_000 });
    expect(sent.verdict).toMatch(verdict);
    const goes = verdict === delivered;
    expect(sent.server.messageCount).toBe(goes ? 1 : 0);
    if (goes) {
      const mailParameters = sent.server.messages[0]?.mailParameters ?? {};
      const asked = offer !== 'no REQUIRETLS' && offer !== 'no STARTTLS' && policy !== 'disable';
      expect('REQUIRETLS' in mailParameters).toBe(asked);
      // A notice by somebody who does not know the request must not hold the content.
      expect(mailParameters.RET).toBe(asked || policy === 'disable' ? 'FULL' : 'HDRS');
    }
  });

  it('the default asks nothing of our own domain, and everything of others', async () => {
    const bare = { config: { mydomain: 'example.com' } };
    const server = await start(offers['no STARTTLS']());
    const config = { smtp_tls_security_level: 'may', ...bare.config };
    const envelope = { requireTls: true };
    const own = await deliver({ servers: [server], config, envelope });
    expect(own.verdicts).toEqual([expect.stringMatching(delivered)]);
    const other = await deliver({ servers: [server], config, envelope, nexthop: 'example.org' });
    expect(other.verdicts).toEqual([expect.stringContaining('bounced 5.7.10 REQUIRETLS')]);
  });

  it('lmtp_requiretls_policy: by default LMTP servers, which are our own, need not even know of it', async () => {
    const server = await start({ protocol: 'lmtp', keywords: plainKeywords });
    const lmtp = {
      servers: [server],
      protocol: 'lmtp',
      nexthop: 'inet:mx1.test',
      envelope: { requireTls: true },
    } as const;
    expect((await deliver(lmtp)).verdicts).toEqual([expect.stringMatching(delivered)]);
    const config = { lmtp_requiretls_policy: 'enforce' };
    expect((await deliver({ ...lmtp, config })).verdicts).toEqual([
      expect.stringMatching(/^bounced 5\.7\.10/),
    ]);
  });

  it('another host may do better, so a failure counts as temporary until the last', async () => {
    const first = await start({ ...offers['no REQUIRETLS'](), host: '127.0.0.2' });
    const second = await start({ ...offers.all(), host: '127.0.0.3' });
    const config = {
      smtp_tls_security_level: 'verify',
      smtp_tls_CAfile: authority.ca.certFile,
      smtp_requiretls_policy: 'enforce',
    };
    const result = await deliver({ servers: [first, second], config, envelope: { requireTls: true } });
    expect(result.verdicts).toEqual([expect.stringMatching(delivered)]);
    expect([first.messageCount, second.messageCount]).toEqual([0, 1]);
  });

  it.each(['enforce', 'opportunistic+starttls'])(
    '%s: a broken handshake never leads to a try in clear',
    async (policy) => {
      const scripts = [
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
      const level = policy === 'enforce' ? 'verify' : 'may';
      const sent = await send({ scripts }, level, policy, { waitedMs: 1_000_000 });
      expect(sent.verdict).toMatch(/^deferred 4\.7\.5 Cannot start TLS/);
      expect(sent.server.connections.total).toBe(1);
    },
  );
});

describe('smtp_log_tls_feature_status', () => {
  const lost = (): SmtpServerOptions => ({
    tls: good,
    keywords,
    hooks: { starttls: { reply: '220 go', close: true } },
  });
  const unknown = { config: { smtp_tls_policy_maps: 'inline:{ example.com=nonsense }' } };
  it.each<[keyof typeof offers | 'lost', string, string, string, TestDelivery?]>([
    ['all', 'verify', 'enforce', 'verify/requiretls'],
    ['wrong name', 'verify', 'enforce', '!verify/requiretls:nocertmatch'],
    ['no REQUIRETLS', 'verify', 'enforce', 'verify/requiretls:none'],
    ['no STARTTLS', 'verify', 'enforce', '!verify/requiretls:nostarttls'],
    ['refused', 'verify', 'enforce', '!verify/requiretls:noencryption'],
    ['lost', 'verify', 'enforce', 'verify?/requiretls?'],
    ['all', 'encrypt', 'enforce', '!encrypt/requiretls:nocertmatch'],
    ['all', 'none', 'enforce', '!none/requiretls:noencryption'],
    ['all', 'may', 'opportunistic+starttls', 'may/requiretls:nocertmatch'],
    ['no REQUIRETLS', 'may', 'opportunistic+starttls', 'may/requiretls:none'],
    ['no STARTTLS', 'may', 'opportunistic+starttls', '!may/requiretls:nostarttls'],
    ['refused', 'may', 'opportunistic+starttls', '!may/requiretls:noencryption'],
    ['no STARTTLS', 'may', 'opportunistic', 'may:none/requiretls:nostarttls'],
    ['refused', 'may', 'opportunistic', 'may:none/requiretls:noencryption'],
    ['all', 'none', 'opportunistic', 'none/requiretls:noencryption'],
    ['all', 'verify', 'disable', 'verify/requiretls:none'],
    ['all', 'may', 'enforce', 'unknown?/requiretls?', unknown],
    ['all', 'verify', 'enforce', 'verify', { config: { requiretls_enable: 'no' } }],
    ['all', 'verify', 'enforce', 'verify', { envelope: {} }],
  ])('%s at level %s, policy %s: tls=%s', async (offer, level, policy, status, delivery = {}) => {
    const options = offer === 'lost' ? lost() : offers[offer]();
    const config = { smtp_log_tls_feature_status: 'yes', ...delivery.config };
    const { result } = await send(options, level, policy, { ...delivery, config });
    expect(result.outcomes.map(({ tlsStatus }) => tlsStatus)).toEqual([status]);
  });

  it('speaks for each message of a session', async () => {
    const sessions = new SessionPool({ sessionLimit: 4, endpointLimit: 4 });
    const server = await start(offers.all());
    const seen: unknown[] = [];
    for (const envelope of [{}, { requireTls: true }, {}]) {
      const { outcomes } = await deliver({
        servers: [server],
        sessions,
        caching: 'load-store',
        envelope,
        config: {
          smtp_tls_security_level: 'verify',
          smtp_tls_CAfile: authority.ca.certFile,
          smtp_log_tls_feature_status: 'yes',
        },
      });
      seen.push(...outcomes.map(({ tlsStatus }) => tlsStatus));
    }
    await sessions.close();
    expect(server.sessions).toHaveLength(1);
    expect(seen).toEqual(['verify', 'verify/requiretls', 'verify']);
  });
});

it('requiretls_enable = no: as if nobody had asked', async () => {
  const sent = await send(offers['no STARTTLS'](), 'may', 'enforce', { config: { requiretls_enable: 'no' } });
  expect(sent.verdict).toMatch(delivered);
  expect(sent.server.messages[0]?.mailParameters).not.toHaveProperty('REQUIRETLS');
});

it('REQUIRETLS that was read before STARTTLS does not count', async () => {
  const [tls, inClear] = [good, keywords];
  let hellos = 0;
  const server = await start({
    tls,
    keywords: inClear,
    hooks: { ehlo: () => (hellos++ === 0 ? undefined : '250-mx1.test\r\n250 PIPELINING') },
  });
  const config = { smtp_tls_security_level: 'verify', smtp_tls_CAfile: authority.ca.certFile };
  const result = await deliver({ servers: [server], config, envelope: { requireTls: true } });
  expect(result.verdicts).toEqual([
    expect.stringContaining('bounced 5.7.30 REQUIRETLS: REQUIRETLS was not offered'),
  ]);
});

describe('TLS-Required: No (tls_required_enable)', () => {
  const optional = { envelope: { tlsOptional: true } };
  const table = { smtp_tls_policy_maps: 'inline:{ {example.com = secure} }' };

  it('goes out where policy would not let it, over TLS where it can', async () => {
    expect(
      (await send(offers['wrong name'](), 'encrypt', 'enforce', { ...optional, config: table })).verdict,
    ).toMatch(delivered);
    const plain = await send(offers['no STARTTLS'](), 'encrypt', 'enforce', { ...optional, config: table });
    expect(plain.verdict).toMatch(delivered);
    const inTls = await send(offers.all(), 'encrypt', 'enforce', { ...optional, config: table });
    expect(inTls.server.messages[0]?.tls).toBe(true);
  });

  it('does not count with tls_required_enable = no, nor beside REQUIRETLS', async () => {
    const off = { ...table, tls_required_enable: 'no' };
    const ignored = await send(offers['no STARTTLS'](), 'encrypt', 'enforce', { ...optional, config: off });
    expect(ignored.verdict).toMatch(/^deferred 4\.7\.4/);
    const both = { envelope: { tlsOptional: true, requireTls: true } };
    const strict = await send(offers['no STARTTLS'](), 'verify', 'enforce', both);
    expect(strict.verdict).toMatch(/^bounced 5\.7\.30/);
  });
});

describe('a session is not lent to a message with other demands', () => {
  const plain = {};
  const required = { requireTls: true };
  const optional = { tlsOptional: true };
  const batches: readonly (readonly [string, readonly Partial<Envelope>[], number])[] = [
    ['the same demands', [required, required, required], 1],
    ['REQUIRETLS behind another', [plain, required], 2],
    ['another behind REQUIRETLS', [required, plain], 2],
    ['optional TLS, then the policy', [optional, plain], 2],
  ];
  // Written ahead with pipelining, one after the other without.
  it.each(batches.flatMap((batch) => (['yes', 'no'] as const).map((ahead) => [...batch, ahead] as const)))(
    '%s: %j in %i sessions, ahead: %s',
    async (_, envelopes, sessions, ahead) => {
      // Inside TLS there is no REQUIRETLS here, so what asks for it must not go out on anybody's session.
      const server = await start(offers[sessions === 1 ? 'all' : 'no REQUIRETLS']());
      const config = makeConfig({
        myhostname: 'client.test',
        smtp_tls_security_level: 'secure',
        smtp_tls_secure_cert_match: 'hostname',
        smtp_tls_CAfile: authority.ca.certFile,
        smtp_requiretls_policy: 'enforce',
        smtp_transaction_pipelining: ahead,
      });
      const pool = new SessionPool({ sessionLimit: 4, endpointLimit: 4 });
      const agent = createDeliveryAgent({
        config,
        transport: 'smtp',
        protocol: 'smtp',
        findHosts: async () => ({ kind: 'found', hosts: hostsOf([server]), finalNexthop: false }),
        sessions: pool,
      });
      const verdicts: string[] = [];
      const requests = envelopes.map((envelope, index) =>
        requestTo(['one@example.com'], `Q${index}`, envelope),
      );
      const io: BatchIo = {
        content: async () => Buffer.from('Subject: x\r\n\r\ny\r\n'),
        beforeDot: () => undefined,
        record: async ({ outcomes }) => {
          verdicts.push(...outcomes.map(({ kind, status }) => `${kind} ${status}`));
        },
        signal: new AbortController().signal,
      };
      await agent.deliverBatch(
        { ...batchOf(requests, 'example.com'), connectionLoad: true, connectionStore: true },
        io,
      );
      await pool.close();
      expect(verdicts).toEqual(
        envelopes.map((envelope) =>
          envelope === required && sessions > 1 ? 'bounced 5.7.30' : expect.stringMatching(/^delivered/),
        ),
      );
      await waitFor(() => server.connections.open === 0, 2000, 'all sessions to end');
      expect(server.sessions).toHaveLength(sessions);
      for (const { mailParameters } of server.messages) {
        expect('REQUIRETLS' in mailParameters).toBe(sessions === 1);
      }
    },
  );
});
