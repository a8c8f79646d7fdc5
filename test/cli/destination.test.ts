/**
 * `mailfleet destination` and `mailfleet explain` on daemons that run: a pause outlives a killed leader, a limit holds, and
 * every state that a message comes through has its true reason.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import {
  type EmbeddedRedis,
  type Explanation,
  openQueue,
  type Queue,
  startEmbeddedRedis,
} from '@mailfleet/queue';
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Daemon, type Daemons, makeDaemons } from '../fleet/daemons.ts';

const WAIT_MS = 30_000;

let directory: string;
let redis: EmbeddedRedis;
let queue: Queue;
let daemons: Daemons;
let scheduler: Daemon;
let peer: Awaited<ReturnType<typeof startSmtpServer>>;
/** Replies to RCPT wait for this. */
let gate: PromiseWithResolvers<void>;
let destination: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailfleet-destination-'));
  redis = await startEmbeddedRedis({ directory, socket: true });
  queue = await openQueue({ config: makeConfig(), redisUrl: redis.url });
  gate = Promise.withResolvers();
  peer = await startSmtpServer({
    hooks: {
      rcpt: async ({ recipient = '' }) => {
        if (recipient.startsWith('full')) return '452 4.2.2 mailbox full';
        if (recipient.startsWith('slow')) await gate.promise;
        return undefined;
      },
    },
  });
  destination = `smtp:[127.0.0.1]:${peer.port}`;
  daemons = await makeDaemons(redis.url, {
    scheduler_lease_time: '2s',
    default_destination_concurrency_limit: '3',
  });
  scheduler = await daemons.start('scheduler');
});
afterAll(async () => {
  await daemons?.[Symbol.asyncDispose]();
  await queue?.close();
  await peer?.close();
  await redis?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function accept(...addresses: readonly string[]): Promise<string> {
  const queueId = queue.newQueueId();
  const nowMs = Date.now();
  await queue.accept({
    envelope: { queueId, sender: 'me@example.com', sizeBytes: 16, arrivalMs: nowMs, createdMs: nowMs },
    recipients: addresses.map((address, index) => ({
      index,
      address,
      transport: 'smtp',
      nexthop: `[127.0.0.1]:${peer.port}`,
    })),
    content: { kind: 'inline', bytes: Buffer.from('Subject: x\r\n\r\nx\r\n') },
  });
  return queueId;
}

async function ask(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await daemons.command(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

const textOf = ({ reasons }: Explanation): string => reasons.map(({ text }) => text).join('\n');

/** Asks until the explanation says so: states come and go in between. */
async function explained(queueId: string, text: RegExp): Promise<void> {
  let last = '';
  await waitFor(
    async () => {
      const explanation = await queue.explain({ queueId });
      last = `${explanation.state}: ${textOf(explanation)}`;
      return text.test(last);
    },
    WAIT_MS,
    `an explanation like ${text}`,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; the last was ${last}`);
  });
}

test('without a worker the batch waits for one, and that is said loudly', async () => {
  const queueId = await accept('one@example.org');
  await explained(
    queueId,
    /active: 1 recipient for smtp:\[127\.0\.0\.1\]:\d+ in batch b0-\S+, which waits for a free session of a worker since .*: NO WORKER RUNS, start mailfleet smtp-worker/,
  );
  await daemons.start('smtp-worker');
  await waitFor(async () => (await queue.explain({ queueId })).state === 'finished', WAIT_MS, 'delivery');
  expect(await ask('explain', queueId)).toMatch(/finished\n {2}it has left the queue/);
});

test('a pause keeps mail in the queue with its reason everywhere, through a change of leader, until it is resumed', async () => {
  const before = peer.messageCount;
  expect(
    await ask('destination', 'pause', destination, '--for', '1h', '--reason', 'they are moving'),
  ).toMatch(/^smtp:\[127\.0\.0\.1\]:\d+ paused until \S+Z: they are moving\n$/);
  const queueId = await accept('one@example.org');
  await explained(queueId, /^deferred: delivery to \S+ is paused by the operator until .*: they are moving/);
  scheduler.signal('SIGKILL');
  await scheduler.exited;
  scheduler = await daemons.start('scheduler');
  await waitFor(() => scheduler.output().includes('leads shard 0'), WAIT_MS, 'the next leader');
  const other = await accept('two@example.org');
  await explained(other, /^deferred: delivery to \S+ is paused/);
  expect(await ask('queue')).toMatch(/is paused by the operator until .*: they are moving\)/);
  expect(await ask('destination', 'list')).toContain('they are moving');
  const said = await ask('explain', destination);
  expect(said).toMatch(/: paused\n {2}delivery to /);
  expect(said).toMatch(/next: /);
  expect(peer.messageCount).toBe(before);

  await ask('destination', 'resume', destination);
  await peer.waitForMessages(before + 2, WAIT_MS);
  await waitFor(async () => (await queue.explain({ queueId: other })).state === 'finished', WAIT_MS);
  expect(scheduler.output()).toMatch(/destination smtp:\S+: pause lifted by the operator/);
  const again = await daemons.command(['destination', 'resume', destination]);
  expect(again).toMatchObject({ code: 69, stderr: expect.stringMatching(/nothing to end at smtp:/) });
  const attempts = (await queue.find(queueId))?.timeline.filter(({ kind }) => kind === 'attempt');
  expect(attempts, 'the pause was no attempt').toHaveLength(1);
});

test('a short pause ends by itself', async () => {
  const before = peer.messageCount;
  await ask('destination', 'pause', destination, '--for', '2s', '--reason', 'short');
  await accept('one@example.org');
  await peer.waitForMessages(before + 1, WAIT_MS);
  expect(await ask('destination', 'list')).toBe('');
});

test('a lower concurrency limit holds; what waits for it says so, and what is with a worker names it', async () => {
  await ask(
    'destination',
    'limit',
    destination,
    '--concurrency',
    '1',
    '--for',
    '1h',
    '--reason',
    'so they ask',
  );
  const first = await accept('slow1@example.org');
  await explained(first, /in batch \S+ with smtp-worker@fleet\.test\[\d+\] since/);
  const second = await accept('slow2@example.org');
  await explained(
    second,
    /the concurrency window is full, 1 of 1 batches are under way \(limit 1, set by the operator until .*: so they ask;\)/,
  );
  const third = await accept('three@example.org');
  await explained(third, /is full.*, behind 1 delivery request of other messages/);
  expect(await ask('explain', third)).toContain('set by the operator:\n  smtp:');
  expect(JSON.parse(await ask('explain', '--json', destination))).toMatchObject({
    state: 'open',
    leaders: [{ shard: 0, answer: { destination: { busy: 1, window: 1, limit: 1, waiting: 2 } } }],
  });
  await ask('destination', 'limit', destination, '--lift');
  gate.resolve();
  await waitFor(async () => (await queue.explain({ queueId: third })).state === 'finished', WAIT_MS);
});

test('a deferred message says when it is tried again and what the last reply was', async () => {
  const queueId = await accept('full@example.org');
  await explained(queueId, /^deferred: deferred: it is tried again at/);
  expect(await ask('explain', queueId)).toMatch(/last replies:\n.*452 4\.2\.2 mailbox full.*\nnext: /s);
  await queue.command({ kind: 'hold' }, [queueId]);
  await explained(queueId, /^hold: on hold since/);
});

test('wrong use is told in a sentence', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['destination', 'pause', 'a.example', '--for', 'long', '--reason', 'x'], /"long" is not a time/],
    [['destination', 'pause', 'a.example', '--reason', 'x'], /required option '--for <time>'/],
    [
      ['destination', 'limit', 'a.example', '--for', '1h', '--reason', 'x'],
      /takes --concurrency or --rate-delay/,
    ],
    [
      ['destination', 'limit', 'a.example', '--concurrency', '0', '--for', '1h', '--reason', 'x'],
      /to stop delivery, pause the destination/,
    ],
    [['explain', 'NOSUCHMESSAGE'], /^$/],
  ];
  for (const [args, sentence] of cases) {
    const { code, stderr } = await daemons.command(args);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(sentence);
  }
});
