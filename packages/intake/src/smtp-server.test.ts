import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { installed, makeCertificates } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { dialogue, type RunningIntake, type Store, startIntake, startStore } from './fixture.ts';

let store: Store;
let intake: RunningIntake;

beforeAll(async () => {
  store = await startStore();
  intake = await startIntake(store, { intake_recipient_limit: '5', message_size_limit: '200000' });
});

afterAll(async () => {
  await intake?.[Symbol.asyncDispose]();
  await store?.[Symbol.asyncDispose]();
});

const EHLO = 'EHLO client.test';
const MAIL = 'MAIL FROM:<ann@example.com>';
const RCPT = 'RCPT TO:<bob@example.net>';
const body = (text: string): Buffer => Buffer.from(`${text}\r\n.\r\n`);
const queueIdOf = (reply = ''): string =>
  /^250 2\.0\.0 Ok: queued as (\w+)$/.exec(reply)?.[1] ?? `none in ${reply}`;

it('offers what it can do, and greets at once', async () => {
  const [greeting, ehlo] = await dialogue(intake.daemon.smtpPort, [EHLO]);
  expect(greeting).toMatch(/^220 mx\.test ESMTP /);
  expect(ehlo?.split('\r\n').map((each) => each.slice(4))).toEqual([
    'mx.test',
    'PIPELINING',
    '8BITMIME',
    'SMTPUTF8',
    'ENHANCEDSTATUSCODES',
    'DSN',
    'SIZE 200000',
    'XCLIENT NAME ADDR PORT PROTO HELO LOGIN',
    'XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE',
    'XVERP',
  ]);
});

it('keeps envelope, DSN attributes and content of a pipelined message', async () => {
  const all = await pipelined(
    'EHLO client.test\r\nMAIL FROM:<ann@example.com> BODY=8BITMIME RET=HDRS ENVID=QQ+2B1 SIZE=10\r\n' +
      'RCPT TO:<bob@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob+2Bx@example.net\r\n' +
      'RCPT TO:<"b ob"@xn--mnchen-3ya.example>\r\n' +
      'RCPT TO:<BOB@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2Bx@example.net\r\n' +
      'DATA\r\nSubject: hi\r\n\r\n..dot\r\nbare\nline\r\n.\r\nQUIT\r\n',
  );
  const queueId = /queued as (\w+)/.exec(all)?.[1] ?? '';
  const message = (await intake.stored()).find(({ envelope }) => envelope.queueId === queueId);
  expect(message?.envelope).toMatchObject({
    sender: 'ann@example.com',
    encoding: '8bit',
    ret: 'HDRS',
    envid: 'QQ+1',
    client: { name: 'localhost', address: '127.0.0.1', protocol: 'ESMTP', helo: 'client.test' },
  });
  expect(message?.recipients.map(({ address }) => address)).toEqual([
    'bob@example.net',
    'b ob@xn--mnchen-3ya.example',
  ]);
  const content = await intake.content(queueId);
  expect(content).toMatch(
    new RegExp(
      `^Received: from client\\.test \\(localhost \\[127\\.0\\.0\\.1\\]\\)\\r\\n\\tby mx\\.test \\(.*\\) with ESMTP id ${queueId}; .*\\r\\n` +
        `Subject: hi\\r\\nMessage-Id: <\\d{14}\\.${queueId}@mx\\.test>\\r\\nDate: .*\\r\\nFrom: ann@example\\.com\\r\\n\\r\\n` +
        '\\.dot\\r\\nbare\\r\\nline\\r\\n$',
    ),
  );
  expect(message?.envelope.sizeBytes).toBe(Buffer.byteLength(content));
  expect(intake.events).toContainEqual(
    expect.objectContaining({ kind: 'accepted', queueId, by: 'smtpd', clientAddress: '127.0.0.1' }),
  );
});

/** Sends all at once after the greeting, closes its side, and reads to the end. */
async function pipelined(text: string): Promise<string> {
  const socket = createConnection({ port: intake.daemon.smtpPort, host: '127.0.0.1', allowHalfOpen: true });
  let replies = '';
  socket.once('data', () => socket.end(text));
  for await (const chunk of socket) replies += String(chunk);
  return replies;
}

describe('bad input is refused and nothing stored', () => {
  it.each<[string, (string | Buffer)[], RegExp]>([
    ['no EHLO', [MAIL], /^503 5\.5\.1 /],
    ['no MAIL', [EHLO, RCPT], /^503 5\.5\.1 /],
    ['no recipients', [EHLO, MAIL, 'DATA'], /^503 5\.5\.1 /],
    ['nested MAIL', [EHLO, MAIL, MAIL], /^503 5\.5\.1 /],
    ['unknown command', [EHLO, 'FOO'], /^500 5\.5\.2 /],
    ['sender without brackets', [EHLO, 'MAIL FROM:ann@example.com'], /^501 5\.5\.4 /],
    ['sender with two @', [EHLO, 'MAIL FROM:<a@b@c>'], /^501 5\.1\.7 /],
    ['sender without domain part', [EHLO, 'MAIL FROM:<a@>'], /^501 5\.1\.7 /],
    ['bare CR in sender', [EHLO, 'MAIL FROM:<a\rb@example.com>'], /^501 5\.1\.7 /],
    ['NUL in sender', [EHLO, 'MAIL FROM:<a\0b@example.com>'], /^501 5\.1\.7 /],
    ['declared size', [EHLO, `${MAIL} SIZE=200001`], /^552 5\.3\.4 /],
    ['bad size', [EHLO, `${MAIL} SIZE=x`], /^501 5\.5\.4 /],
    ['bad BODY', [EHLO, `${MAIL} BODY=BINARYMIME`], /^501 5\.5\.4 /],
    ['bad RET', [EHLO, `${MAIL} RET=ALL`], /^501 5\.5\.4 /],
    ['bad xtext in ENVID', [EHLO, `${MAIL} ENVID=a+zz`], /^501 5\.5\.4 /],
    ['CR LF hidden in ENVID', [EHLO, `${MAIL} ENVID=a+0D+0Ab`], /^501 5\.5\.4 /],
    ['parameter twice', [EHLO, `${MAIL} RET=FULL RET=FULL`], /^501 5\.5\.4 /],
    ['unknown parameter', [EHLO, `${MAIL} FOO=1`], /^555 5\.5\.4 Unsupported option: FOO/],
    ['recipient without local part', [EHLO, MAIL, 'RCPT TO:<@example.net>'], /^501 5\.1\.3 /],
    ['recipient with blank', [EHLO, MAIL, 'RCPT TO:<a b@example.net>'], /^501 5\.1\.3 /],
    [
      'recipient with long local part',
      [EHLO, MAIL, `RCPT TO:<${'a'.repeat(65)}@example.net>`],
      /^501 5\.1\.3 /,
    ],
    ['recipient too long', [EHLO, MAIL, `RCPT TO:<a@${'b.'.repeat(126)}example>`], /^501 5\.1\.3 /],
    ['bad NOTIFY', [EHLO, MAIL, `${RCPT} NOTIFY=NEVER,DELAY`], /^501 5\.5\.4 /],
    ['bad ORCPT', [EHLO, MAIL, `${RCPT} ORCPT=bob`], /^501 5\.5\.4 /],
    [
      'local recipient',
      [EHLO, MAIL, 'RCPT TO:<postmaster>'],
      /^550 5\.1\.1 <postmaster@mx\.test>: Recipient address rejected: /,
    ],
    ['too large', [EHLO, MAIL, RCPT, 'DATA', body(`A: b\r\n\r\n${'x'.repeat(200_000)}`)], /^552 5\.3\.4 /],
    ['loop', [EHLO, MAIL, RCPT, 'DATA', body('Received: by x\r\n'.repeat(49))], /^554 5\.4\.6 /],
    ['bad XFORWARD', [EHLO, 'XFORWARD FOO=bar'], /^501 5\.5\.4 /],
    ['AUTH without tables', [EHLO, 'AUTH PLAIN AGEAYg=='], /^500 5\.5\.2 /],
  ])('%s', async (_what, lines, expected) => {
    const before = await intake.stored();
    const replies = await dialogue(intake.daemon.smtpPort, lines);
    expect(replies.at(-1)).toMatch(expected);
    expect(await intake.stored()).toHaveLength(before.length);
    expect(await intake.contentFiles()).toEqual([]);
  });

  it('a message that breaks off', async () => {
    const before = await intake.stored();
    const replies = await pipelined(`${EHLO}\r\n${MAIL}\r\n${RCPT}\r\nDATA\r\n${'x'.repeat(100_000)}`);
    expect(replies).toMatch(/354 [^\r]*\r\n$/);
    await expect.poll(() => intake.contentFiles()).toEqual([]);
    expect(await intake.stored()).toHaveLength(before.length);
  });
});

it('answers 452 beyond the recipient limit and takes those before it', async () => {
  const recipients = Array.from({ length: 6 }, (_, index) => `RCPT TO:<r${index}@example.net>`);
  const replies = await dialogue(intake.daemon.smtpPort, [
    EHLO,
    MAIL,
    ...recipients,
    'DATA',
    body('A: b\r\n'),
  ]);
  expect(replies[8]).toBe('452 4.5.3 Error: too many recipients');
  const queueId = queueIdOf(replies[10]);
  const message = (await intake.stored()).find(({ envelope }) => envelope.queueId === queueId);
  expect(message?.recipients).toHaveLength(5);
});

it('default_verp_delimiters and verp_delimiter_filter decide what XVERP means', async () => {
  await using other = await startIntake(store, {
    default_verp_delimiters: '-=',
    verp_delimiter_filter: '-=#',
  });
  const mail = (parameter: string): string => `MAIL FROM:<list@example.com> ${parameter}`;
  const replies = await dialogue(other.daemon.smtpPort, [
    EHLO,
    mail('XVERP=+='),
    mail('XVERP=-'),
    'MAIL FROM:<> XVERP',
    mail('XVERP'),
    RCPT,
    'DATA',
    body('A: b\r\n'),
    mail('XVERP=#-'),
    RCPT,
    'DATA',
    body('A: b\r\n'),
  ]);
  expect(replies.slice(2, 5).map((reply) => reply.slice(0, 9))).toEqual([
    '501 5.5.4',
    '501 5.5.4',
    '503 5.5.4',
  ]);
  const ids = [queueIdOf(replies[8]), queueIdOf(replies[12])];
  const stored = (await other.stored()).filter(({ envelope }) => ids.includes(envelope.queueId));
  expect(stored.map(({ envelope }) => envelope.verp)).toEqual(['-=', '#-']);
});

it.each(['smtpd_authorized_verp_clients', 'authorized_verp_clients'])(
  'smtpd_authorized_verp_clients, by its old name authorized_verp_clients too, says who may ask for XVERP: %s',
  async (name) => {
    await using other = await startIntake(store, { [name]: '192.0.2.1' });
    const [, ehlo, mail] = await dialogue(other.daemon.smtpPort, [
      EHLO,
      'MAIL FROM:<list@example.com> XVERP',
    ]);
    expect(ehlo).not.toContain('XVERP');
    expect(mail).toBe('555 5.5.4 Unsupported option: XVERP');
  },
);

it('hangs up after smtpd_hard_error_limit errors', async () => {
  const replies = await dialogue(intake.daemon.smtpPort, [EHLO, ...Array<string>(25).fill(RCPT)]);
  expect(replies).toHaveLength(23);
  expect(replies.at(-1)).toBe('421 4.7.0 mx.test Error: too many errors');
});

it('keeps XFORWARD attributes for one message, and Received: tells of the real client', async () => {
  const replies = await dialogue(intake.daemon.smtpPort, [
    EHLO,
    'XFORWARD NAME=spike.example ADDR=192.0.2.7 PROTO=ESMTP',
    'XFORWARD HELO=spike+2Ehelo PORT=4711',
    MAIL,
    RCPT,
    'DATA',
    body('A: b\r\n'),
    MAIL,
    RCPT,
    'DATA',
    body('A: b\r\n'),
  ]);
  const [first, second] = [queueIdOf(replies[7]), queueIdOf(replies[11])];
  const stored = await intake.stored();
  const client = (queueId: string) =>
    stored.find(({ envelope }) => envelope.queueId === queueId)?.envelope.client;
  expect(client(first)).toEqual({
    name: 'spike.example',
    address: '192.0.2.7',
    port: 4711,
    protocol: 'ESMTP',
    helo: 'spike.helo',
  });
  expect(client(second)).toMatchObject({ address: '127.0.0.1' });
  expect(await intake.content(first)).toMatch(/^Received: from client\.test \(localhost \[127\.0\.0\.1\]\)/);
});

it('relays for nobody outside mynetworks, by XCLIENT or by XFORWARD, but takes mail for its own domains', async () => {
  await using other = await startIntake(store, { relay_domains: 'ours.example' });
  const outside = await dialogue(other.daemon.smtpPort, [
    EHLO,
    'XCLIENT ADDR=192.0.2.7 NAME=stranger.example',
    EHLO,
    MAIL,
    RCPT,
    'RCPT TO:<x@sub.ours.example>',
    'DATA',
    body('Subject: x\r\n'),
  ]);
  expect(outside[5]).toBe('554 5.7.1 <bob@example.net>: Relay access denied');
  expect(outside[6]).toBe('250 2.1.5 Ok');
  // Mail of strangers is not completed.
  const content = await other.content(queueIdOf(outside[8]));
  expect(content).toContain('stranger.example [192.0.2.7]');
  expect(content).toMatch(/\r\nSubject: x\r\n\r\n$/);
  expect(outside[3]).not.toContain('XCLIENT');
  const inside = await dialogue(other.daemon.smtpPort, [EHLO, 'XFORWARD ADDR=192.0.2.7', MAIL, RCPT]);
  expect(inside[4]).toBe('250 2.1.5 Ok');
});

it('refuses XCLIENT and XFORWARD of clients that are not trusted with them', async () => {
  await using other = await startIntake(store, {
    smtpd_authorized_xclient_hosts: '',
    smtpd_authorized_xforward_hosts: '',
  });
  const replies = await dialogue(other.daemon.smtpPort, [
    EHLO,
    'XCLIENT ADDR=192.0.2.7',
    'XFORWARD ADDR=192.0.2.7',
  ]);
  expect(replies[1]).not.toMatch(/XCLIENT|XFORWARD/);
  expect(replies[2]).toMatch(/^550 5\.7\.0 /);
  expect(replies[3]).toMatch(/^550 5\.7\.0 /);
});

it('takes a client in by password, inside TLS only', async () => {
  const certificates = makeCertificates();
  onTestFinished(() => certificates.remove());
  const { certFile, keyFile } = certificates.issue(['localhost']);
  const users = join(store.directory, 'users');
  await writeFile(users, 'ann secret\n');
  await using other = await startIntake(store, {
    mynetworks: '192.0.2.0/24',
    intake_tls_cert_file: certFile,
    intake_tls_key_file: keyFile,
    intake_password_maps: `texthash:${users}`,
  });
  const clear = await dialogue(other.daemon.smtpPort, [EHLO, 'AUTH PLAIN AGFubgBzZWNyZXQ=', MAIL, RCPT]);
  expect(clear[1]).toContain('250-STARTTLS');
  expect(clear[1]).not.toContain('AUTH');
  expect(clear[2]).toMatch(/^5/);
  expect(clear[4]).toMatch(/^554 5\.7\.1 /);

  const send = async (pass: string) => {
    const transport = createTransport({
      host: '127.0.0.1',
      port: other.daemon.smtpPort,
      requireTLS: true,
      tls: { ca: certificates.ca.cert, servername: 'localhost' },
      auth: { user: 'ann', pass },
    });
    return transport.sendMail({ from: 'ann@example.com', to: 'bob@example.net', subject: 'x', text: 'y' });
  };
  await expect(send('wrong')).rejects.toThrow(/535 5\.7\.8/);
  const queueId = queueIdOf((await send('secret')).response);
  const message = (await other.stored()).find(({ envelope }) => envelope.queueId === queueId);
  expect(message?.envelope.client).toMatchObject({ protocol: 'ESMTPSA', saslUsername: 'ann' });
  expect(await other.content(queueId)).toMatch(/\(using TLSv1\.3 with cipher TLS_/);
  expect(other.events).toContainEqual(
    expect.objectContaining({ queueId, saslUsername: 'ann', saslMethod: 'PLAIN' }),
  );
});

it.skipIf(!installed(['swaks']))('understands swaks', async () => {
  const swaks = spawn('swaks', [
    ...['--server', `127.0.0.1:${intake.daemon.smtpPort}`, '--from', '<>', '--to', 'bob@example.net'],
    ...['--body', 'hello', '--suppress-data'],
  ]);
  let output = '';
  for await (const chunk of swaks.stdout) output += String(chunk);
  expect(output).toMatch(/<- {2}250 2\.0\.0 Ok: queued as \w+/);
  const last = (await intake.stored()).at(-1);
  expect(last?.envelope.sender).toBe('');
});

it('streams 20 MB in flat memory', async () => {
  await using other = await startIntake(store, { message_size_limit: '0' });
  const size = 20 * 1024 * 1024;
  const line = Buffer.from(`.${'x'.repeat(75)}\r\n`);
  let peak = 0;
  const start = process.memoryUsage.rss();
  function* lines() {
    yield Buffer.from('Subject: big\r\n\r\n');
    const block = Buffer.concat(Array<Buffer>(800).fill(line));
    for (let sent = 0; sent < size; sent += block.length) {
      peak = Math.max(peak, process.memoryUsage.rss());
      yield block;
    }
  }
  const transport = createTransport({ host: '127.0.0.1', port: other.daemon.smtpPort, ignoreTLS: true });
  const info = await transport.sendMail({
    envelope: { from: 'ann@example.com', to: 'bob@example.net' },
    raw: Readable.from(lines()),
  });
  const queueId = queueIdOf(info.response);
  const message = (await other.stored()).find(({ envelope }) => envelope.queueId === queueId);
  expect(message?.envelope.sizeBytes).toBeGreaterThan(size);
  const [file] = await other.contentFiles();
  expect(file).toBeDefined();
  // Client and server are both in this process; buffers of a few sockets, not the message.
  expect(peak - start).toBeLessThan(100 * 1024 * 1024);
  await other.queue.command({ kind: 'delete' }, [queueId]);
}, 30_000);

it('answers 451 while Redis is away, and 250 when it is back', async () => {
  await using away = await startStore();
  await using other = await startIntake(away, {}, { queueDeadlineMs: 300 });
  await away.stopRedis();
  const replies = await dialogue(other.daemon.smtpPort, [EHLO, MAIL, RCPT, 'DATA', body('A: b\r\n'), 'NOOP']);
  expect(replies[5]).toMatch(/^451 4\.3\.0 /);
  expect(replies[6]).toMatch(/^250 /);
});

it('ends idle sessions with a 421 and lets one with a message finish', async () => {
  const other = await startIntake(store);
  const idle = createConnection({ port: other.daemon.smtpPort, host: '127.0.0.1' });
  const busy = createConnection({ port: other.daemon.smtpPort, host: '127.0.0.1' });
  let idleText = '';
  let busyText = '';
  idle.on('data', (chunk) => (idleText += String(chunk)));
  busy.on('data', (chunk) => (busyText += String(chunk)));
  busy.once('data', () => busy.write(`${EHLO}\r\n${MAIL}\r\n${RCPT}\r\nDATA\r\nA: b\r\n`));
  await expect.poll(() => busyText).toContain('354');
  await expect.poll(() => idleText).toContain('220');
  const stopped = other.stop();
  await once(idle, 'close');
  expect(idleText).toContain('421 4.3.2 mx.test Service shutting down');
  busy.write('\r\n.\r\nNOOP\r\n');
  await once(busy, 'close');
  expect(busyText).toMatch(/250 2\.0\.0 Ok: queued as \w+\r\n421 /);
  await stopped;
  await other.queue.close();
});
