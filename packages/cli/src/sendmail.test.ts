import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeConfig } from '@mailfleet/config';
import { runIntake } from '@mailfleet/intake';
import { openQueue, startEmbeddedRedis } from '@mailfleet/queue';
import { createTelemetry } from '@mailfleet/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilDot } from './sendmail.ts';
import { parseSendmailArguments } from './sendmail-arguments.ts';

describe('arguments', () => {
  it.each<[string, object]>([
    ['-t -oi', { recipientsFromHeader: true, ignoreDots: true }],
    ['-i -fann@example.com bob@example.net', { sender: 'ann@example.com', recipients: ['bob@example.net'] }],
    ['-f <> -- -odd@example.net', { sender: '', recipients: ['-odd@example.net'] }],
    ['-r ann -F Ann', { sender: 'ann', fullName: 'Ann' }],
    ['-N success,delay -R hdrs -V id-1', { notify: ['SUCCESS', 'DELAY'], ret: 'HDRS', envid: 'id-1' }],
    ['-B8BITMIME -bm -oem -odi -v a@b.example', { encoding: '8bit', mode: 'submit' }],
    ['-bs', { mode: 'smtp' }],
    ['-o redis_url=redis://h -o7', { override: ['redis_url=redis://h'] }],
    ['-C /etc/mail', { config: '/etc/mail' }],
  ])('%s', (line, expected) => {
    expect(parseSendmailArguments(line.split(' '))).toMatchObject({ ok: true, arguments: expected });
  });

  it.each(['-N never,delay', '-N', '-R some', '-B 9BIT', '-bp', '-Y'])('%s is refused', (line) => {
    expect(parseSendmailArguments(line.split(' '))).toMatchObject({
      ok: false,
      sentence: expect.any(String),
    });
  });
});

it.each([
  ['a\n.\nb\n', 'a\n'],
  ['a\r\n.\r\nb', 'a\r\n'],
  ['a\n..\nb\n. \n', 'a\n..\nb\n. \n'],
  ['.\n', ''],
  ['a\n.', 'a\n'],
  ['a.', 'a.'],
])('untilDot %j -> %j, wherever it is cut', async (text, expected) => {
  for (let cut = 0; cut <= text.length; cut += 1) {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(text.slice(0, cut));
      yield Buffer.from(text.slice(cut));
    }
    let result = '';
    for await (const chunk of untilDot(source())) result += Buffer.from(chunk).toString();
    expect(result).toBe(expected);
  }
});

describe('the command', () => {
  let directory: string;
  let redis: Awaited<ReturnType<typeof startEmbeddedRedis>>;
  let queue: Awaited<ReturnType<typeof openQueue>>;
  let intake: Awaited<ReturnType<typeof runIntake>>;
  const drain = new AbortController();

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mailfleet-sendmail-'));
    redis = await startEmbeddedRedis({ directory: join(directory, 'redis'), socket: true });
    const config = makeConfig({
      content_directory: join(directory, 'content'),
      maillog_file: join(directory, 'maillog'),
      intake_smtp_listen: '127.0.0.1:0',
      intake_http_listen: '',
    });
    queue = await openQueue({ config, redisUrl: redis.url });
    const telemetry = createTelemetry({ config, program: 'smtpd' });
    intake = await runIntake({ config, queue, telemetry, signal: drain.signal });
  });

  afterAll(async () => {
    drain.abort();
    await intake?.closed;
    await queue?.close();
    await redis?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  async function sendmail(
    args: readonly string[],
    input: string,
  ): Promise<{ code: number | null; output: string }> {
    const child = spawn(process.execPath, ['--conditions=source', main, 'sendmail', ...args], {
      env: { ...process.env, MAIL_CONFIG: '', MAILFLEET_content_directory: join(directory, 'content') },
    });
    child.stdin.end(input);
    let output = '';
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    child.stderr.on('data', (chunk) => (output += String(chunk)));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, output };
  }
  const newest = async () => (await queue.list({ limit: 100 })).messages.at(-1);

  it('writes to the queue, or speaks SMTP where it has none', async () => {
    const flags = ['-t', '-f', 'ann@example.com', '-N', 'never', '-V', 'id1'];
    const message = 'To: bob@example.net\nBcc: carol@example.net\nSubject: x\n\nbody\n.\nrest\n';
    for (const way of [`redis_url=${redis.url}`, `intake_smtp_listen=127.0.0.1:${intake.smtpPort}`]) {
      expect(await sendmail([...flags, '-o', way], message)).toEqual({ code: 0, output: '' });
      const stored = await newest();
      expect(stored?.envelope).toMatchObject({ sender: 'ann@example.com', envid: 'id1' });
      expect(stored?.recipients.map(({ address }) => address)).toEqual([
        'bob@example.net',
        'carol@example.net',
      ]);
    }
    expect((await queue.list({ limit: 100 })).messages).toHaveLength(2);
  }, 30_000);

  it('speaks SMTP on its standard input', async () => {
    const session =
      'EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<dan@example.net>\r\nDATA\r\nA: b\r\n\r\n.\r\nQUIT\r\n';
    const { code, output } = await sendmail(['-bs', '-o', `redis_url=${redis.url}`], session);
    expect(code).toBe(0);
    expect(output).toMatch(/250 2\.0\.0 Ok: queued as \w+\r\n221 /);
  }, 30_000);

  it.each<[string, readonly string[], number]>([
    ['no recipients', [], 64],
    ['bad recipient', ['a@@b'], 67],
    ['unknown option', ['-Y'], 64],
    ['a Redis that is not there', ['-o', 'redis_url=unix:///nowhere/redis.sock', 'bob@example.net'], 75],
  ])(
    'ends with the right status: %s',
    async (_what, args, code) => {
      const result = await sendmail(['-o', `redis_url=${redis.url}`, ...args], 'Subject: x\n\nbody\n');
      expect(result).toEqual({ code, output: expect.stringMatching(/^mailfleet: sendmail: .+\n$/) });
    },
    30_000,
  );
});
