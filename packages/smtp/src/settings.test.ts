/** Parameters of the conversation's beginning, end and form, each with its default and its effect. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { makeCertificates, type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const start = async (options: Parameters<typeof startSmtpServer>[0] = {}): Promise<SmtpServer> => {
  const server = await startSmtpServer(options);
  servers.push(server);
  return server;
};

const talk = async (script: readonly string[], delivery: TestDelivery = {}): Promise<TestResult> => {
  const server = await start({ scripts: [script] });
  const result = await deliver({ servers: [server], ...delivery });
  await server.dialogueDone();
  return result;
};

const refused = ['C: MAIL*', 'S: 550 no', 'C: RSET', 'S: 250 ok', 'C: QUIT'];
const hello = ['S: 220 x', 'C: EHLO client.test', 'S: 250 x'];

describe('EHLO or HELO', () => {
  it.each<[string, string, Record<string, string>, string]>([
    ['EHLO by default', '220 x', {}, 'EHLO client.test'],
    ['no ESMTP in the greeting', '220 x', { smtp_always_send_ehlo: 'no' }, 'HELO client.test'],
    ['ESMTP in the greeting', '220 x esmtp ready', { smtp_always_send_ehlo: 'no' }, 'EHLO client.test'],
    ['never', '220 x ESMTP', { smtp_never_send_ehlo: 'yes' }, 'HELO client.test'],
    [
      'never beats always',
      '220 x',
      { smtp_never_send_ehlo: 'yes', smtp_always_send_ehlo: 'yes' },
      'HELO client.test',
    ],
    ['smtp_helo_name', '220 x', { smtp_helo_name: '[192.0.2.1]' }, 'EHLO [192.0.2.1]'],
    ['another myhostname', '220 x', { myhostname: 'other.test' }, 'EHLO other.test'],
  ])('%s', async (_, greeting, config, command) => {
    await talk([`S: ${greeting}`, `C: ${command}`, 'S: 250 x', ...refused], { config });
  });

  it('LMTP: LHLO with lmtp_lhlo_name, whatever the smtp_ parameters say', async () => {
    await talk(['S: 220 x', 'C: LHLO me.test', 'S: 250 x', ...refused, 'S: 221 bye'], {
      protocol: 'lmtp',
      config: { lmtp_lhlo_name: 'me.test', smtp_never_send_ehlo: 'yes', smtp_helo_name: 'no.test' },
    });
  });

  it.each([
    ['S: 550 no', 'bounced 5.0.0'],
    ['S: 450 4.7.1 no', 'deferred 4.7.1'],
    ['S: 354 no', 'bounced 5.5.0'],
  ])('HELO answered %s', async (reply, verdict) => {
    const { verdicts } = await talk(['S: 220 x', 'C: EHLO*', 'S: 502 what', 'C: HELO*', reply, 'C: QUIT']);
    expect(verdicts).toEqual([
      `${verdict} host mx1.test[127.0.0.1] refused to talk to me: ${reply.slice(3)}`,
    ]);
  });

  it.each([
    ['S: 550 no', 'bounced 5.0.0'],
    ['S: 421 4.3.2 no', 'deferred 4.3.2'],
  ])('LHLO answered %s: no HELO', async (reply, verdict) => {
    const { verdicts } = await talk(['S: 220 x', 'C: LHLO*', reply, 'C: QUIT', 'S: 221 bye'], {
      protocol: 'lmtp',
    });
    expect(verdicts).toEqual([
      `${verdict} host mx1.test[127.0.0.1] refused to talk to me: ${reply.slice(3)}`,
    ]);
  });
});

describe('smtp_skip_quit_response, smtp_quit_timeout', () => {
  it.each<['smtp' | 'lmtp', Record<string, string>, boolean]>([
    ['smtp', {}, false],
    ['smtp', { smtp_skip_quit_response: 'no' }, true],
    ['lmtp', {}, true],
    ['lmtp', { lmtp_skip_quit_response: 'yes' }, false],
  ])('%s %j: its reply is awaited: %s', async (protocol, config, waits) => {
    const verb = protocol === 'smtp' ? 'EHLO' : 'LHLO';
    const server = await start({
      scripts: [['S: 220 x', `C: ${verb}*`, 'S: 250 x', ...refused, 'silence']],
    });
    const began = performance.now();
    await deliver({ protocol, servers: [server], config: { [`${protocol}_quit_timeout`]: '1s', ...config } });
    expect(performance.now() - began >= 1000).toBe(waits);
  });

  it('a reply that never comes is no error', async () => {
    const { verdicts } = await talk([...hello, ...refused, 'silence'], {
      config: { smtp_skip_quit_response: 'no', smtp_quit_timeout: '1s' },
    });
    expect(verdicts).toEqual([expect.stringMatching(/^bounced 5\.0\.0 .*MAIL FROM/)]);
  });

  it('nor is one to RSET', async () => {
    const { verdicts } = await talk([...hello, 'C: MAIL*', 'S: 550 no', 'C: RSET', 'silence'], {
      config: { smtp_rset_timeout: '1s' },
    });
    expect(verdicts).toEqual([expect.stringMatching(/^bounced 5\.0\.0 .*MAIL FROM/)]);
  });
});

describe('lines', () => {
  it.each<[string, Record<string, string>, number]>([
    ['998 bytes by default', {}, 998],
    ['smtp_line_length_limit', { smtp_line_length_limit: '100' }, 100],
  ])('of content are folded: %s', async (_, config, limit) => {
    const server = await start();
    const { remarks } = await deliver({ servers: [server], config, content: `${'x'.repeat(limit + 5)}\n` });
    expect(server.messages[0]?.raw.toString()).toBe(`${'x'.repeat(limit)}\r\n xxxxx\r\n`);
    expect(remarks).toEqual([`Q1: breaking line > ${limit} bytes with <CR><LF>SPACE`]);
  });

  it('of content are left alone with smtp_line_length_limit = 0', async () => {
    const server = await start();
    await deliver({
      servers: [server],
      config: { smtp_line_length_limit: '0' },
      content: `${'x'.repeat(5000)}\n`,
    });
    expect(server.messages[0]?.raw.length).toBe(5002);
  });

  it.each([
    [{}, 2048],
    [{ line_length_limit: '3000' }, 3000],
  ])('of replies are cut: %j', async (config, limit) => {
    const server = await start({ hooks: { mail: `550 ${'y'.repeat(3500)}` } });
    const { remarks, outcomes } = await deliver({ servers: [server], config });
    expect(outcomes[0]?.reply).toHaveLength(limit);
    expect(remarks).toEqual([
      `Q1: warning: mx1.test[127.0.0.1]:${server.port}: response longer than ${limit}: 550 ${'y'.repeat(26)}...`,
    ]);
  });
});

it.each<[string, Record<string, string>, string]>([
  ['by default', {}, 'café'],
  ['smtputf8_enable = no', { smtputf8_enable: 'no' }, 'caf??'],
])('UTF-8 in replies %s', async (_, config, word) => {
  const server = await start({ hooks: { mail: '550 5.7.1 café' } });
  const { outcomes } = await deliver({ servers: [server], config });
  expect(outcomes[0]?.reply).toBe(`550 5.7.1 ${word}`);
});

it.each([
  ['yes', '<"a b"@example.com>'],
  ['no', '<a b@example.com>'],
])('smtp_quote_rfc821_envelope = %s', async (value, path) => {
  const server = await start({ hooks: { rcpt: '550 no' } });
  await deliver({
    servers: [server],
    config: { smtp_quote_rfc821_envelope: value },
    requests: [['a b@example.com']],
  });
  expect(server.sessions[0]?.commands).toContain(`RCPT TO:${path}`);
});

it('smtp_bind_address6', async () => {
  const server = await start({ host: '::1' });
  await deliver({
    servers: [server],
    config: { smtp_bind_address6: '[::1]', smtp_bind_address: '192.0.2.1' },
  });
  expect(server.sessions[0]?.remoteAddress).toBe('::1');
});

it('a client certificate, where the server asks for one', async () => {
  const authority = makeCertificates();
  const ours = authority.issue(['client.test']);
  const folder = mkdtempSync(join(tmpdir(), 'client-certificate-'));
  const certFile = join(folder, 'cert.pem');
  const keyFile = join(folder, 'key.pem');
  writeFileSync(certFile, ours.cert);
  writeFileSync(keyFile, ours.key);
  const seen: unknown[] = [];
  const { cert, key } = authority.issue(['mx1.test']);
  const server = createServer({ cert, key, ca: authority.ca.cert, requestCert: true }, (socket) => {
    seen.push(socket.authorized, socket.getPeerCertificate().subjectaltname);
    socket.on('error', () => undefined).end('550 enough\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const to = { servers: [{ host: '127.0.0.1', port }] };
  const config = { smtp_tls_security_level: 'encrypt', smtp_tls_wrappermode: 'yes' };
  await deliver({ ...to, config });
  await deliver({ ...to, config: { ...config, smtp_tls_cert_file: certFile, smtp_tls_key_file: keyFile } });
  // The first session ended in the handshake: no certificate.
  expect(seen).toEqual([true, 'DNS:client.test']);
  server.close();
  rmSync(folder, { recursive: true });
  authority.remove();
});

it.each([
  ['299 s', 299_000, {}, 'deferred'],
  ['300 s', 300_000, {}, 'delivered'],
  ['minimal_backoff_time', 100_000, { minimal_backoff_time: '100s' }, 'delivered'],
] as const)(
  'a failed opportunistic handshake is followed by one in clear only for mail that waited: %s',
  async (_, waitedMs, config, kind) => {
    const authority = makeCertificates();
    const broken = [
      'S: 220 x',
      'C: EHLO*',
      'S: 250-x',
      'S: 250 STARTTLS',
      'C: STARTTLS',
      'S: 220 go',
      'delay 30',
      'raw: nonsense\\r\\n',
      'silence',
    ];
    const clear = [
      'S: 220 x',
      'C: EHLO*',
      'S: 250 x',
      'C: MAIL*',
      'S: 250 ok',
      'C: RCPT*',
      'S: 250 ok',
      'C: DATA',
      'S: 354 go',
      'content',
      'S: 250 ok',
      'C: QUIT',
    ];
    const server = await start({ scripts: [broken, clear], tls: authority.issue(['mx1.test']) });
    const { outcomes } = await deliver({
      servers: [server],
      waitedMs,
      config: { smtp_tls_security_level: 'may', ...config },
    });
    expect(outcomes.map((outcome) => outcome.kind)).toEqual([kind]);
    authority.remove();
  },
);
