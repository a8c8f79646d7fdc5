/** Promise 5: no message outlives its lifetime unseen, wherever it is. Over a real Redis; workers and bounce daemon are played. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { type EmbeddedRedis, openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import type { Outcome } from '@mailfleet/smtp';
import { createTelemetry, type MailEvent, type Telemetry } from '@mailfleet/telemetry';
import { waitFor } from '@mailfleet/test-kit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { recipientOf } from './core/fixture.ts';
import { runScheduler } from './run-scheduler.ts';

const WAIT_MS = 20_000;

let directory: string;
let redis: EmbeddedRedis;
let queue: Queue;
let telemetry: Telemetry;
let events: MailEvent[];
let stop: AbortController;
let parts: Promise<void>[];
/** What senders were told: queue id, recipient, reason. */
let told: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailfleet-expiry-'));
  redis = await startEmbeddedRedis({ directory, socket: true });
  events = [];
  told = [];
  parts = [];
  stop = new AbortController();
});

afterEach(async () => {
  stop.abort();
  await Promise.all(parts);
  await queue.close();
  await telemetry.shutdown();
  await redis.stop();
  await rm(directory, { recursive: true, force: true });
});

/** A fleet without workers, whose scheduler has this lifetime. */
async function startFleet(lifetime: string, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const config = makeConfig({
    content_directory: join(directory, 'content'),
    maillog_file: join(directory, 'maillog'),
    maximal_queue_lifetime: lifetime,
    ...more,
  });
  telemetry = createTelemetry({ config, program: 'qmgr', sinks: [(event) => events.push(event)] });
  queue = await openQueue({ config, redisUrl: redis.url, telemetry });
  const { signal } = stop;
  parts.push(
    runScheduler({ config, queue, telemetry, holder: 'a', signal }),
    queue.workNotices({ signal, name: 'bounce' }, async (request) => {
      const entries = (await queue.noticeMaterial(request))?.entries ?? [];
      for (const { recipient, outcome } of entries)
        told.push(`${request.notice} ${request.queueId} ${recipient.address} ${outcome.reason}`);
      await queue.noticePosted(
        request,
        { atMs: Date.now(), step: 'notified' },
        entries.map(({ recipient }) => recipient.index),
      );
    }),
  );
}

/** A worker whose servers are busy. */
function startWorker(): void {
  parts.push(
    queue.work({ sessions: 5, signal: stop.signal, name: 'test' }, async ({ batch }) => {
      for (const { envelope, recipients } of batch.requests) {
        const nowMs = Date.now();
        const times = { arrivalMs: 0, activatedMs: 0, handedOffMs: nowMs, setUpMs: nowMs, doneMs: nowMs };
        const outcomes = recipients.map(
          ({ index, address }): Outcome => ({
            ...{ recipient: index, address, kind: 'deferred', status: '4.2.0', reason: 'busy' },
            ...{ relay: 'none', action: 'delayed', times },
          }),
        );
        await queue.record(batch, { queueId: envelope.queueId, outcomes, steps: [] });
      }
      return { returned: [] };
    }),
  );
}

async function accept(address: string, hold = false, ageMs = 0): Promise<string> {
  const queueId = queue.newQueueId();
  const nowMs = Date.now() - ageMs;
  await queue.accept({
    envelope: { queueId, sender: 'me@example.org', sizeBytes: 5, arrivalMs: nowMs, createdMs: nowMs },
    recipients: [recipientOf(address, 0)],
    content: { kind: 'inline', bytes: Buffer.from('hello') },
    hold,
  });
  return queueId;
}

const isIn = (name: 'deferred' | 'hold' | 'incoming' | 'active', count = 1): Promise<unknown> =>
  waitFor(async () => (await queue.counts())[name] === count, WAIT_MS, `${count} messages in ${name}`);
const isEmpty = (): Promise<unknown> =>
  waitFor(
    async () => Object.values(await queue.counts()).every((count) => count === 0),
    WAIT_MS,
    'an empty queue',
  );

test('a deferred message is returned when its time is over, though its retry is later', async () => {
  await startFleet('2s');
  startWorker();
  const queueId = await accept('u@a.example');
  await isIn('deferred');
  await isEmpty();
  expect(told).toEqual([`expiry ${queueId} u@a.example busy`]);
  expect(events.filter(({ kind }) => kind === 'deferred' || kind === 'expired')).toMatchObject([
    { kind: 'expired', queueId },
  ]);
}, 60_000);

test('a message in a batch that no worker takes is returned, with the reason that it was never tried', async () => {
  await startFleet('2s');
  const queueId = await accept('u@a.example');
  await isIn('active');
  await isEmpty();
  expect(told).toEqual([`expiry ${queueId} u@a.example delivery time expired`]);
  expect(events).toContainEqual(expect.objectContaining({ kind: 'deferred', queueId, dsn: '4.4.7' }));
  const batches = await Promise.all((await queue.boardQueues()).map((each) => each.getWaitingCount()));
  expect(batches).toEqual([0, 0]);
}, 60_000);

test('a message that finds no place in the active queue is returned', async () => {
  await startFleet('1h', { qmgr_message_active_limit: '1' });
  await accept('u@a.example');
  await isIn('active');
  const queueId = await accept('u@b.example', false, 3_600_000 - 500);
  await waitFor(() => told.length > 0, WAIT_MS, 'a notice');
  expect(told).toEqual([`expiry ${queueId} u@b.example delivery time expired`]);
  await isIn('active');
  expect(await queue.counts()).toMatchObject({ incoming: 0, deferred: 0 });
}, 60_000);

test('a message on hold is not returned before its release, and the log says so once', async () => {
  await startFleet('1s');
  startWorker();
  const queueId = await accept('u@a.example', true);
  const warnings = (): MailEvent[] => events.filter(({ kind }) => kind === 'remark');
  await waitFor(() => warnings().length > 0, WAIT_MS, 'the warning');
  expect(warnings()).toMatchObject([{ program: 'qmgr', warning: true, queueId }]);
  expect(await queue.counts()).toMatchObject({ hold: 1 });
  expect(told).toEqual([]);
  await queue.command({ kind: 'release' }, [queueId]);
  await isEmpty();
  expect(told).toEqual([`expiry ${queueId} u@a.example delivery time expired`]);
  expect(warnings()).toHaveLength(1);
}, 60_000);

test('a lifetime of 0 is one attempt', async () => {
  await startFleet('0');
  const queueId = await accept('u@a.example');
  await isIn('active');
  startWorker();
  await isEmpty();
  expect(told).toEqual([`expiry ${queueId} u@a.example busy`]);
}, 60_000);

test('what an operator expires is returned at once; what is held in active goes on hold as it is', async () => {
  await startFleet('5d');
  const held = await accept('u@b.example');
  await isIn('active');
  // No worker has begun its batch, so it needs not wait for one.
  await queue.command({ kind: 'hold' }, [held]);
  await isIn('hold');
  await queue.command({ kind: 'release' }, [held]);
  await isIn('active');
  startWorker();
  await isIn('deferred');
  const never = await accept('u@a.example', true);
  await queue.command({ kind: 'expire' }, [held, never]);
  await waitFor(() => told.length === 1, WAIT_MS, 'a notice');
  expect(await queue.counts()).toMatchObject({ hold: 1 });
  await queue.command({ kind: 'release' }, [never]);
  await isEmpty();
  expect(told).toEqual([
    `expiry ${held} u@b.example busy`,
    `expiry ${never} u@a.example the message was expired by an operator`,
  ]);
}, 60_000);

test('a deleted message is delivered no more', async () => {
  await startFleet('5d');
  const queueId = await accept('u@a.example');
  await isIn('active');
  const waiting = async (): Promise<number | undefined> => (await queue.boardQueues())[0]?.getWaitingCount();
  await waitFor(async () => (await waiting()) === 1, WAIT_MS, 'a batch');
  await queue.command({ kind: 'delete' }, [queueId]);
  await waitFor(async () => (await waiting()) === 0, WAIT_MS, 'the batch to be taken back');
  await isEmpty();
}, 60_000);
