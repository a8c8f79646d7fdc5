/**
 * Promise 9: credentials never reach a log, a trace, a job payload or a page. A fleet that says all it can say runs logins that succeed, are rejected by
 * a server that repeats them, end in notices, and fetch access tokens; then everything that it wrote, sent or shows is searched for each
 * secret, in plain and in the forms that come of it.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ServerMechanism, type SmtpServer, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Fleet, startFleet } from '../fleet/fleet.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../tracing/otlp-receiver.ts';

const PASSWORD = 'Zq7-hush_Kx!93vT';
const TOKEN = 'ya29.tOkEn-of-the-fleet-5521';
const CLIENT_SECRET = 'cl1ent/secret+of=ours';
const KEY = 'Qm9uZXMgb2YgY29udGVudGlvbiBhcmUgc21hbGw0Mjk=';

let directory: string;
let endpoint: Server;
let traces: OtlpReceiver;
let peer: SmtpServer;
let fleet: Fleet;
const queueIds: string[] = [];

/** What the client sent in logins, as the server saw it. */
const sent: string[] = [];

const xoauth2: ServerMechanism = async ({ initial }) => {
  sent.push(initial?.toString('base64') ?? '');
  return initial?.toString().includes(TOKEN) === true ? 'robot' : undefined;
};

/** Takes the password for everybody but mallory, whose login it repeats in every way it can. */
const auth = ({ line }: { readonly line: string }): string | undefined => {
  const [, mechanism = '', response = ''] = line.split(' ');
  if (mechanism.toUpperCase() !== 'PLAIN') return undefined;
  sent.push(response);
  const [, user] = Buffer.from(response, 'base64').toString().split('\0');
  return user === 'mallory'
    ? `I do not like ${line}\n535-5.7.8 ${PASSWORD} is wrong\n535 5.7.8 nor do I like ${line}`
    : undefined;
};

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-secrets-'));
  endpoint = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ access_token: TOKEN, expires_in: 3600 }));
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  const { port } = endpoint.address() as AddressInfo;
  writeFileSync(join(directory, 'client-secret'), CLIENT_SECRET);
  writeFileSync(join(directory, 'key'), KEY);
  writeFileSync(
    join(directory, 'oauth2'),
    `token_url = http://127.0.0.1:${port}/\nclient_id = me\nclient_secret_file = client-secret\n`,
  );
  writeFileSync(
    join(directory, 'passwords'),
    `good@sender.test good:${PASSWORD}\nbad@sender.test mallory:${PASSWORD}\ntoken@sender.test robot:oauth2:${directory}/oauth2\n`,
  );
  traces = await startOtlpReceiver();
  peer = await startSmtpServer({
    users: { good: PASSWORD, robot: '' },
    keywords: ['PIPELINING', 'AUTH PLAIN XOAUTH2'],
    mechanisms: { XOAUTH2: xoauth2 },
    hooks: { auth },
  });
  fleet = await startFleet({
    env: traces.env,
    workers: 2,
    parameters: {
      relayhost: `[127.0.0.1]:${peer.port}`,
      smtp_sasl_auth_enable: 'yes',
      smtp_sasl_password_maps: `texthash:${directory}/passwords`,
      smtp_sender_dependent_authentication: 'yes',
      smtp_sasl_security_options: 'noanonymous',
      smtp_sasl_auth_soft_bounce: 'no',
      smtp_sasl_auth_cache_name: 'proxy:logins',
      sasl_auth_cache_key_file: `${directory}/key`,
      log_format: 'both',
      smtp_tls_loglevel: '4',
      debug_peer_list: '127.0.0.0/8',
      debug_peer_level: '3',
      notify_classes: 'bounce, delay, policy, protocol, resource, software, data',
      message_timeline_time: '1h',
    },
  });
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await peer?.close();
  await traces?.close();
  endpoint?.closeAllConnections();
  endpoint?.close();
  rmSync(directory, { recursive: true });
});

/** A secret as it stands inside Base64, whatever stands before it. */
const inBase64 = (text: string): string[] =>
  [0, 1, 2].map((shift) =>
    Buffer.from(`${'x'.repeat(shift)}${text}`)
      .toString('base64')
      .replace(/=+$/, '')
      .slice(shift === 0 ? 0 : shift + 1, -1),
  );

const formsOf = (secret: string): string[] => {
  const digests = ['md5', 'sha1', 'sha256'].flatMap((name) => {
    const digest = createHash(name).update(secret).digest();
    return [
      digest.toString('hex'),
      digest.toString('base64').replace(/=+$/, ''),
      digest.toString('base64url'),
    ];
  });
  return [
    secret,
    encodeURIComponent(secret),
    [...secret].toReversed().join(''),
    Buffer.from(secret).toString('hex'),
    ...inBase64(secret),
    ...digests,
  ];
};

const send = async (from: string, to = 'someone@example.net'): Promise<void> => {
  const transport = createTransport({ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true });
  const { response } = await transport.sendMail({ envelope: { from, to: [to] }, subject: 'x', text: 'x' });
  queueIds.push(/queued as (\w+)/.exec(response)?.[1] ?? '');
};

const read = async (path: string): Promise<string> =>
  (
    await fetch(`${fleet.dashboardUrl}${path}`, { headers: { accept: 'text/html, application/json' } })
  ).text();

test('no secret is in anything that the fleet writes, sends or shows', async () => {
  await send('good@sender.test');
  await send('token@sender.test');
  await send('bad@sender.test');
  await peer.waitForMessages(3, 60_000);
  await send('bad@sender.test');
  // The two that went out, and notices of the two that did not: to their sender, whose mail has no login of its own.
  const messages = await peer.waitForMessages(4, 60_000);
  await waitFor(
    async () => (await fleet.command(['queue', '-p'])).stdout.includes('Mail queue is empty'),
    30_000,
  );
  expect(sent).toHaveLength(3);
  const log = await fleet.maillog();
  expect(log).toMatch(
    /status=bounced \(SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] said: I do not like/,
  );
  expect(log).toContain('SASL [CACHED] authentication failed');

  const places = new Map<string, string>([['mail log', log]]);
  const commands = [
    ['queue', '-j'],
    ['sessions'],
    ['config', '-n'],
    ['destination', 'list'],
    ['explain', queueIds[2] ?? ''],
  ];
  for (const args of commands) {
    const { stdout, stderr } = await fleet.command(args);
    places.set(`mailfleet ${args.join(' ')}`, stdout + stderr);
  }
  const pages = ['/', '/messages', '/jobs', '/jobs/api/queues?activeQueue=delivery&page=1&jobsPerPage=50'];
  for (const path of [...pages, ...queueIds.flatMap((id) => [`/messages/${id}`, `/api/messages/${id}`])]) {
    places.set(`page ${path}`, await read(path));
  }
  messages.forEach((message, index) => {
    places.set(`message ${index}`, message.raw.toString('latin1'));
  });
  expect(messages.some(({ raw }) => raw.includes('SASL authentication failed'))).toBe(true);
  await fleet.stop();
  places.set('output', fleet.output());
  places.set('traces', JSON.stringify(traces.bodies));
  // Every write that Redis was asked for, job payloads included.
  const redis = join(fleet.directory, 'redis');
  for (const file of await readdir(redis, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath, file.name);
    places.set(path, (await readFile(path)).toString('latin1'));
  }
  const writes = [...places].filter(([name]) => name.endsWith('.aof')).map(([, text]) => text);
  expect(writes.join()).toContain(':login:');
  expect(places.get('traces')).toContain(
    '{"key":"mailfleet.sasl_mechanism","value":{"stringValue":"PLAIN"}}',
  );

  const forbidden = [PASSWORD, TOKEN, CLIENT_SECRET, KEY].flatMap(formsOf);
  const found = [...places].flatMap(([name, text]) =>
    [...forbidden, ...sent].filter((form) => text.includes(form)).map((form) => `${name}: ${form}`),
  );
  expect(found).toEqual([]);
});

test('the search finds what it looks for', () => {
  for (const before of ['', 'x', 'xx', '\0good\0']) {
    const response = Buffer.from(`${before}${PASSWORD}`).toString('base64');
    expect(
      inBase64(PASSWORD).some((form) => response.includes(form)),
      JSON.stringify(before),
    ).toBe(true);
  }
});
