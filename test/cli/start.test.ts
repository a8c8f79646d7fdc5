/**
 * What `mailfleet up` says when it cannot start: one sentence that names what is wrong, where, and what to do, a code of
 * sysexits(3), and nothing left running.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedRedis } from '@mailfleet/queue';
import { freePort } from '@mailfleet/test-kit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CommandResult, mailfleet } from '../fleet/fleet.ts';

const EX_UNAVAILABLE = 69;
const EX_CONFIG = 78;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-start-'));
  writeFileSync(join(directory, 'main.cf'), '');
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs `up` in a folder of its own below ours, which is in the command line of every process that it starts. */
async function up(
  name: string,
  parameters: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const own = join(directory, name);
  mkdirSync(own, { recursive: true });
  const all = {
    redis_directory: join(own, 'redis'),
    content_directory: join(own, 'content'),
    maillog_file: join(own, 'maillog'),
    intake_smtp_listen: '127.0.0.1:0',
    intake_http_listen: '127.0.0.1:0',
    dashboard_listen: '127.0.0.1:0',
    ...parameters,
  };
  const overrides = Object.entries(all).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  const result = await mailfleet(['up', '-c', directory, ...overrides], { env });
  expect(await processesOf(`${own}/`), 'processes left behind').toEqual([]);
  return result;
}

/** Command lines of running processes that mention the folder. */
async function processesOf(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return lines.map((line) => line.replaceAll('\0', ' ')).filter((line) => line.includes(folder));
}

/** What was said beside the progress of the start. */
function complaints({ stdout, stderr }: CommandResult): string[] {
  return `${stdout}${stderr}`.split('\n').filter((line) => line !== '' && !line.includes(' started '));
}

// First, because it waits longest.
test.concurrent('nothing answers at redis_url; its password is not told', async () => {
  const port = await freePort();
  const result = await up('unreachable', { redis_url: `redis://:s3cret@127.0.0.1:${port}` });
  expect(complaints(result)).toEqual([
    `mailfleet: Redis of redis_url does not answer: connect ECONNREFUSED 127.0.0.1:${port}; check the URL and that it runs`,
  ]);
  expect(result.code).toBe(EX_UNAVAILABLE);
});

test.concurrent.each(['intake_smtp_listen', 'intake_http_listen', 'dashboard_listen'])(
  'the address of %s is in use',
  async (parameter) => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const result = await up(parameter, { [parameter]: `127.0.0.1:${port}` });
    other.close();
    const service = parameter.split('_')[0];
    expect(complaints(result)).toEqual([
      `mailfleet: ${service} cannot start: cannot listen at 127.0.0.1:${port}: another program listens there already; end it, or set ${parameter} to another address`,
    ]);
    expect(result.code).toBe(EX_UNAVAILABLE);
  },
);

test.concurrent('everything wrong in main.cf is told at once, by file and line', async () => {
  const own = join(directory, 'bad');
  mkdirSync(own);
  const file = join(own, 'main.cf');
  writeFileSync(
    file,
    'relayhost = [127.0.0.1]:2526\nsoft_bounce = perhaps\nbounce_queue_lifetime = 5 fortnights\n',
  );
  const result = await mailfleet(['up', '-c', own, '-o', 'qmgr_message_active_limit=many']);
  expect(complaints(result)).toEqual([
    expect.stringMatching(new RegExp(`^mailfleet: ${file}:2: soft_bounce: `)),
    expect.stringMatching(new RegExp(`^mailfleet: ${file}:3: bounce_queue_lifetime: `)),
    expect.stringMatching(/^mailfleet: .*: qmgr_message_active_limit: /),
  ]);
  expect(result.code).toBe(EX_CONFIG);
});

test.concurrent('a folder without main.cf', async () => {
  const result = await mailfleet(['up'], { env: { MAIL_CONFIG: join(directory, 'nowhere') } });
  expect(complaints(result)).toEqual([
    `mailfleet: there is no ${directory}/nowhere/main.cf; name the folder of main.cf with -c or MAIL_CONFIG`,
  ]);
  expect(result.code).toBe(EX_CONFIG);
});

test.concurrent('a Redis that can lose mail is refused, with all that is wrong with it', async () => {
  const redis = await startEmbeddedRedis({ directory: join(directory, 'unsafe-redis') });
  const client = new Redis(redis.url);
  await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await client.config('SET', 'appendonly', 'no');
  await client.quit();
  const result = await up('unsafe', { redis_url: redis.url });
  await redis.stop();
  expect(complaints(result)).toEqual([
    'mailfleet: Redis can lose accepted mail: its maxmemory-policy is allkeys-lru, set maxmemory-policy noeviction; it keeps no append-only file, set appendonly yes and appendfsync always; change that, or set redis_data_loss_ok = yes to run all the same',
  ]);
  expect(result.code).toBe(EX_UNAVAILABLE);
});

test.concurrent('there is no Redis server and no way to one', async () => {
  const result = await up(
    'no-server',
    {},
    // The download of a server is asked of an address where nobody is.
    { PATH: '', XDG_CACHE_HOME: join(directory, 'cache'), 'yarn_https-proxy': 'http://127.0.0.1:9' },
  );
  expect(complaints(result)).toEqual([
    `mailfleet up: no redis-server or valkey-server on PATH; fetching one into ${directory}/cache/mailfleet, once`,
    'mailfleet: no Redis server found: install one (Debian, Ubuntu: apt-get install redis-server; Fedora: dnf install valkey; macOS: brew install redis), or start one (Docker: docker run -p 6379:6379 redis:7 --appendonly yes --appendfsync always) and set redis_url',
  ]);
  expect(result.code).toBe(EX_UNAVAILABLE);
});

test.concurrent('redis_directory cannot be written', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  const result = await up('not-writable', { redis_directory: `${file}/redis` });
  expect(complaints(result)).toEqual([
    `mailfleet: the folder ${file}/redis for the data of Redis cannot be written (ENOTDIR); make it writable for this user, or set redis_directory to another`,
  ]);
  expect(result.code).toBe(EX_UNAVAILABLE);
});

test.concurrent('redis_directory is in use by another fleet, whose Redis goes on', async () => {
  const redis = await startEmbeddedRedis({ directory: join(directory, 'shared-redis'), socket: true });
  const result = await up('shared', { redis_directory: join(directory, 'shared-redis') });
  const client = new Redis(redis.url.replace('unix://', ''));
  expect(await client.ping()).toBe('PONG');
  await client.quit();
  await redis.stop();
  expect(complaints(result)).toEqual([
    `mailfleet: another Redis runs at ${directory}/shared-redis/redis.sock; one mailfleet up at a time may use a redis_directory: end the other, or set redis_directory`,
  ]);
  expect(result.code).toBe(EX_UNAVAILABLE);
});

test.concurrent('maillog_file cannot be opened', async () => {
  const result = await up('no-log', { maillog_file: join(directory, 'nowhere', 'maillog') });
  expect(complaints(result)).toEqual([
    expect.stringMatching(
      /^mailfleet: [a-z0-9-]+ cannot start: maillog_file: cannot open \S+ for appending \(ENOENT\); check that its folder exists and is writable$/,
    ),
  ]);
  expect(result.code).toBe(EX_UNAVAILABLE);
});
