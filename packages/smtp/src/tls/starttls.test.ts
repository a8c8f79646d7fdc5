/** STARTTLS by level, offer and certificate; nothing that came in clear survives it; the second try in clear. */
import {
  type CertificateAuthority,
  makeCertificates,
  type SmtpServer,
  startSmtpServer,
  waitFor,
} from '@mailfleet/test-kit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from '../test-agent.ts';

const servers: SmtpServer[] = [];
let authority: CertificateAuthority;
let good: { cert: string; key: string };
let wrongName: { cert: string; key: string };

beforeAll(() => {
  authority = makeCertificates();
  good = authority.issue(['mx1.test']);
  wrongName = authority.issue(['other.test']);
});

afterAll(() => authority.remove());

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const talk = async (
  options: Parameters<typeof startSmtpServer>[0],
  level: string,
  delivery: TestDelivery = {},
): Promise<{ server: SmtpServer; result: TestResult }> => {
  const server = await startSmtpServer(options);
  servers.push(server);
  const result = await deliver({
    servers: [server],
    ...delivery,
    config: {
      smtp_tls_security_level: level,
      smtp_tls_CAfile: authority.ca.certFile,
      smtp_tls_loglevel: '1',
      ...delivery.config,
    },
  });
  return { server, result };
};

const name = 'mx1.test[127.0.0.1]';
/** verdict, TLS in use, throttled */
type Cell = readonly [verdict: RegExp, tls: boolean, throttled: boolean];
const delivered = (tls: boolean): Cell => [/^delivered/, tls, false];
const unmatched: Cell = [/^deferred 4\.7\.5 Server certificate not verified$/, true, true];
const notOffered: Cell = [
  /^deferred 4\.7\.4 TLS is required, but was not offered by host mx1\.test\[127\.0\.0\.1\]$/,
  false,
  true,
];
const refused = (code: string, verdict: string): Cell => [
  new RegExp(
    `^${verdict} TLS is required, but host mx1\\.test\\[127\\.0\\.0\\.1\\] refused to start TLS: ${code} no$`,
  ),
  false,
  verdict.startsWith('deferred'),
];
const handshake = (throttled: boolean): Cell => [
  /^deferred 4\.7\.5 Cannot start TLS: handshake failure$/,
  false,
  throttled,
];

const offers: Record<string, () => Parameters<typeof startSmtpServer>[0]> = {
  'not offered': () => ({}),
  'good certificate': () => ({ tls: good }),
  'wrong name': () => ({ tls: wrongName }),
  'refused 454': () => ({ tls: good, hooks: { starttls: '454 no' } }),
  'refused 554': () => ({ tls: good, hooks: { starttls: '554 no' } }),
  'broken handshake': () => ({
    keywords: ['STARTTLS'],
    scripts: [
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
    ],
  }),
};

const table: Record<string, Record<string, Cell>> = {
  'not offered': { none: delivered(false), may: delivered(false), encrypt: notOffered, verify: notOffered },
  'good certificate': {
    none: delivered(false),
    may: delivered(true),
    encrypt: delivered(true),
    verify: delivered(true),
    secure: unmatched,
  },
  'wrong name': { may: delivered(true), encrypt: delivered(true), verify: unmatched },
  'refused 454': {
    may: delivered(false),
    encrypt: refused('454', 'deferred 4.0.0'),
  },
  'refused 554': { may: delivered(false), encrypt: refused('554', 'bounced 5.0.0') },
  'broken handshake': { may: handshake(false), encrypt: handshake(true) },
};

describe.each(Object.entries(table))('%s', (offer, levels) => {
  it.each(Object.entries(levels))('level %s', async (level, [verdict, tls, throttled]) => {
    const { server, result } = await talk(offers[offer]?.(), level);
    expect(result.verdicts).toEqual([expect.stringMatching(verdict)]);
    if (tls) await waitFor(() => server.sessions[0]?.tls, 2000, 'TLS at the server');
    else expect(server.sessions[0]?.tls).toBeUndefined();
    expect(result.results[0]?.hopStatus !== undefined).toBe(throttled);
    if (result.outcomes[0]?.kind === 'delivered') {
      expect(result.outcomes[0].tls).toBe(tls ? 'TLSv1.3' : undefined);
    }
  });
});

it('an untrusted authority is good enough for encrypt, not for verify', async () => {
  const config = { smtp_tls_CAfile: '' };
  const encrypt = await talk({ tls: good }, 'encrypt', { config });
  expect(encrypt.result.outcomes[0]?.kind).toBe('delivered');
  expect(encrypt.result.remarks[0]).toMatch(
    /^Untrusted TLS connection established to mx1\.test\[127\.0\.0\.1\]:\d+: TLSv1\.3 with cipher TLS_AES_256_GCM_SHA384 \(256\/256 bits\)/,
  );
  const verify = await talk({ tls: good }, 'verify', { config });
  expect(verify.result.verdicts).toEqual(['deferred 4.7.5 Server certificate not verified']);
});

it('a matched certificate is Verified, and an SMTP session inside TLS is kept for the batch', async () => {
  const { server, result } = await talk({ tls: good }, 'verify', {
    requests: [['a@example.com'], ['b@example.com']],
  });
  expect(result.remarks).toHaveLength(1);
  expect(result.remarks[0]).toMatch(/^Verified TLS connection/);
  expect(result.outcomes.map((outcome) => outcome.connectionUse)).toEqual([undefined, 2]);
  expect(server.connections.total).toBe(1);
});

it('LMTP speaks LHLO again inside TLS', async () => {
  const { server, result } = await talk({ tls: good, protocol: 'lmtp' }, 'none', {
    protocol: 'lmtp',
    config: { lmtp_tls_security_level: 'encrypt' },
  });
  expect(result.outcomes[0]?.kind).toBe('delivered');
  expect(server.sessions[0]?.commands.slice(0, 3)).toEqual([
    'LHLO client.test',
    'STARTTLS',
    'LHLO client.test',
  ]);
});

it('replies injected in clear behind the STARTTLS reply are dropped', async () => {
  const server = await startSmtpServer({
    tls: good,
    scripts: [
      [
        'S: 220 x',
        'C: EHLO*',
        'S: 250-x',
        'S: 250 STARTTLS',
        'C: STARTTLS',
        'raw: 220 go\\r\\n250-evil\\r\\n250 SIZE 1\\r\\n',
        'starttls',
        'C: EHLO*',
        'S: 250 x',
        'C: MAIL FROM:<sender@example.org>',
        'S: 550 no',
        'C: RSET',
        'S: 250 ok',
        'C: QUIT',
      ],
    ],
  });
  servers.push(server);
  const { verdicts } = await deliver({ servers: [server], config: { smtp_tls_security_level: 'encrypt' } });
  expect(verdicts).toEqual([`bounced 5.0.0 host ${name} said: 550 no (in reply to MAIL FROM command)`]);
  await server.dialogueDone();
});

describe('after a broken handshake at level may', () => {
  const broken = [
    'S: 220 x',
    'C: EHLO*',
    'S: 250-x',
    'S: 250 STARTTLS',
    'C: STARTTLS',
    'S: 220 go',
    'delay 30',
    'raw: no TLS\\r\\n',
    'silence',
  ];
  const clear = [
    'S: 220 x',
    'C: EHLO*',
    'S: 250-x',
    'S: 250 STARTTLS',
    'C: MAIL*',
    'S: 250 ok',
    'C: RCPT*',
    'S: 250 ok',
    'C: DATA',
    'S: 354 go',
    'content',
    'S: 250 taken',
    'C: QUIT',
  ];

  it.each([
    [299_000, 'may', 'deferred'],
    [300_000, 'may', 'delivered'],
    [300_000, 'encrypt', 'deferred'],
  ])('mail that waited %d ms, level %s: %s', async (waitedMs, level, kind) => {
    const { result } = await talk({ scripts: [broken, clear] }, level, { waitedMs });
    expect(result.outcomes).toMatchObject([{ kind }]);
  });

  it('a connection lost inside TLS gets a second try too', async () => {
    const inside = [
      'S: 220 x',
      'C: EHLO*',
      'S: 250-x',
      'S: 250 STARTTLS',
      'C: STARTTLS',
      'S: 220 go',
      'starttls',
      'C: EHLO*',
      'S: 250 x',
      'C: MAIL*',
      'reset',
    ];
    const { result } = await talk({ tls: good, scripts: [inside, clear] }, 'may', { waitedMs: 300_000 });
    expect(result.outcomes).toMatchObject([{ kind: 'delivered' }]);
  });
});

it.each([
  ['closes', ['close'], /: lost connection$/],
  ['resets', ['reset'], /: Connection reset by peer$/],
  ['says nothing', ['silence'], /: Connection timed out$/],
  ['speaks no TLS', ['raw: nonsense\\r\\n', 'silence'], /: .*wrong version number/],
])('a server that %s in the handshake: what the log says', async (_, end, words) => {
  const script = [
    'S: 220 x',
    'C: EHLO*',
    'S: 250-x',
    'S: 250 STARTTLS',
    'C: STARTTLS',
    'S: 220 go',
    'delay 50',
  ];
  const { result, server } = await talk({ scripts: [[...script, ...end]] }, 'encrypt', {
    config: { smtp_starttls_timeout: '1s' },
  });
  expect(result.remarks).toEqual([expect.stringMatching(words)]);
  expect(result.remarks[0]?.startsWith(`SSL_connect error to ${name}:${server.port}: `)).toBe(true);
});

it('wrapper mode speaks TLS first, and not below encrypt', async () => {
  const config = { smtp_tls_wrappermode: 'yes' };
  const { result } = await talk({ tls: good, tlsWrapper: true }, 'encrypt', { config });
  expect(result.outcomes[0]?.kind).toBe('delivered');
  const may = await talk({ tls: good, tlsWrapper: true }, 'may', { config });
  expect(may.result.verdicts).toEqual(['deferred 4.3.0 server unavailable or unable to receive mail']);
  expect(may.server.connections.total).toBe(0);
});

it('notes an offer that it does not take', async () => {
  const { result } = await talk({ tls: good }, 'none', { config: { smtp_tls_note_starttls_offer: 'yes' } });
  expect(result.remarks).toEqual(['Q1: Host offered STARTTLS: [mx1.test]']);
});

it('a CA file that cannot be read makes TLS unavailable, and mail waits where TLS is required', async () => {
  const config = { smtp_tls_CAfile: '/nonexistent/ca.pem' };
  const { result } = await talk({ tls: good }, 'encrypt', { config });
  expect(result.remarks[0]).toMatch(/^warning: TLS is unavailable: .*\/nonexistent\/ca\.pem/);
  expect(result.verdicts).toEqual(['deferred 4.7.5 TLS is required, but our TLS engine is unavailable']);
  expect((await talk({ tls: good }, 'may', { config })).result.outcomes[0]?.kind).toBe('delivered');
});
