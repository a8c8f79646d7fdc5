/** The scheduler over the real queue and a real Redis; workers and bounce daemon are played by the test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, makeConfig } from '@mailfleet/config';
import {
  type EmbeddedRedis,
  type NewMessage,
  openQueue,
  type Queue,
  startEmbeddedRedis,
} from '@mailfleet/queue';
import type { Batch, DeliveryRequest, OutcomeKind, RequestResult } from '@mailfleet/smtp';
import { createTelemetry, type MailEvent, type Telemetry } from '@mailfleet/telemetry';
import { waitFor } from '@mailfleet/test-kit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { recipientOf } from './core/fixture.ts';
import { runScheduler } from './run-scheduler.ts';

const WAIT_MS = 20_000;

let directory: string;
let redis: EmbeddedRedis;
let queue: Queue;
let values: Record<string, string>;
let config: Config;
let telemetry: Telemetry;
let events: MailEvent[];
let running: { readonly stop: AbortController; readonly ended: Promise<void> }[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailfleet-scheduler-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

beforeEach(async () => {
  const data = await mkdtemp(join(directory, 'redis-'));
  redis = await startEmbeddedRedis({ directory: data, socket: true });
  values = {
    content_directory: join(data, 'content'),
    maillog_file: join(data, 'maillog'),
    scheduler_shards: '2',
    scheduler_lease_time: '1s',
    batch_lease_time: '1s',
    minimal_backoff_time: '1s',
    maximal_backoff_time: '1s',
  };
  config = makeConfig(values);
  events = [];
  running = [];
  telemetry = createTelemetry({ config, program: 'qmgr', sinks: [(event) => events.push(event)] });
  queue = await openQueue({ config, redisUrl: redis.url, telemetry });
});

afterEach(async () => {
  for (const { stop } of running) stop.abort();
  await Promise.all(running.map(({ ended }) => ended));
  await queue.close();
  await telemetry.shutdown();
  await redis.stop();
});

function start(run: (signal: AbortSignal) => Promise<void>): AbortController {
  const stop = new AbortController();
  running.push({ stop, ended: run(stop.signal) });
  return stop;
}

const startScheduler = (holder: string, port: Queue = queue): AbortController =>
  start((signal) => runScheduler({ config, queue: port, telemetry, holder, signal }));

interface Attempt {
  readonly queueId: string;
  readonly recipient: number;
  readonly batchId: string;
}

/** A worker whose servers answer as `fate` says. */
function startWorker(fate: (attempt: Attempt, before: number) => OutcomeKind = () => 'delivered'): Attempt[] {
  const attempts: Attempt[] = [];
  start((signal) =>
    queue.work({ sessions: 20, signal, name: 'test' }, async ({ batch, handedOutBefore }) => {
      for (const request of batch.requests) {
        const { queueId } = request.envelope;
        // On a busy machine the lock of a batch may run out: the one who gets it next must look before it acts.
        if (handedOutBefore > 0 && (await queue.openRecipients(batch, request)).open.length === 0) continue;
        await queue.record(
          batch,
          resultOf(batch, request, (recipient) => {
            const attempt = { queueId, recipient, batchId: batch.id };
            const before = attempts.filter(
              (one) => one.queueId === queueId && one.recipient === recipient,
            ).length;
            attempts.push(attempt);
            return fate(attempt, before);
          }),
        );
      }
      return { returned: [] };
    }),
  );
  return attempts;
}

function resultOf(
  batch: Batch,
  { envelope, recipients, activatedMs }: DeliveryRequest,
  kindOf: (recipient: number) => OutcomeKind,
): RequestResult {
  const nowMs = Date.now();
  return {
    queueId: envelope.queueId,
    steps: [],
    outcomes: recipients.map(({ index, address }) => {
      const kind = kindOf(index);
      return {
        recipient: index,
        address,
        kind,
        status: { delivered: '2.0.0', deferred: '4.2.0', bounced: '5.1.1' }[kind],
        reason: kind,
        relay: batch.nexthop,
        action: ({ delivered: 'relayed', deferred: 'delayed', bounced: 'failed' } as const)[kind],
        times: {
          arrivalMs: envelope.arrivalMs,
          activatedMs,
          handedOffMs: batch.batchedMs,
          setUpMs: nowMs,
          doneMs: nowMs,
        },
      };
    }),
  };
}

const accept = (...recipients: readonly string[]): Promise<string> => acceptAs({}, ...recipients);

async function acceptAs(kind: Pick<NewMessage, 'notice'>, ...recipients: readonly string[]): Promise<string> {
  const queueId = queue.newQueueId();
  const nowMs = Date.now();
  const message: NewMessage = {
    envelope: { queueId, sender: 'sender@example.org', sizeBytes: 5, arrivalMs: nowMs, createdMs: nowMs },
    recipients: recipients.map(recipientOf),
    content: { kind: 'inline', bytes: Buffer.from('hello') },
    ...kind,
  };
  expect(await queue.accept(message)).toBe('accepted');
  return queueId;
}

async function drained(): Promise<void> {
  await waitFor(
    async () => Object.values(await queue.counts()).every((count) => count === 0),
    WAIT_MS,
    'an empty queue',
  );
}

const kinds = (queueId: string): string[] =>
  events.flatMap((event) => ('queueId' in event && event.queueId === queueId ? [event.kind] : []));

/** Each recipient of each message once. */
function expectOnce(attempts: readonly Attempt[], count: number): void {
  const byRecipient = Map.groupBy(attempts, ({ queueId, recipient }) => `${queueId} ${recipient}`);
  expect([...byRecipient.values()].filter((each) => each.length > 1)).toEqual([]);
  expect(byRecipient.size).toBe(count);
}

test('mail that waited and mail that comes is delivered once and leaves the queue', async () => {
  const attempts = startWorker();
  for (let index = 0; index < 60; index += 1)
    await accept(`u@d${index % 7}.example`, `v@d${index % 5}.example`);
  startScheduler('a');
  for (let index = 0; index < 60; index += 1)
    await accept(`u@d${index % 7}.example`, `v@d${index % 5}.example`);
  await drained();
  expectOnce(attempts, 240);
  const last = attempts.at(-1)?.queueId ?? '';
  await waitFor(() => kinds(last).includes('removed'), WAIT_MS, 'the last event');
  expect(kinds(last)[0]).toBe('activated');
}, 60_000);

test('a deferred message is tried again when it is due', async () => {
  const attempts = startWorker((_attempt, before) => (before === 0 ? 'deferred' : 'delivered'));
  startScheduler('a');
  await accept('u@a.example');
  await drained();
  expect(attempts).toHaveLength(2);
}, 60_000);

test('a bounced message waits for its notice; error: needs no worker', async () => {
  const noticed: string[] = [];
  startWorker(() => 'bounced');
  start((signal) =>
    queue.workNotices({ signal, name: 'bounce' }, async (request) => {
      const material = await queue.noticeMaterial(request);
      const reported = material?.entries.map(({ recipient }) => recipient.index) ?? [];
      noticed.push(`${request.notice} ${request.queueId} ${reported.join(',')}`);
      await queue.noticePosted(request, { atMs: Date.now(), step: 'notified' }, reported);
    }),
  );
  startScheduler('a');
  const remote = await accept('u@a.example');
  const local = await accept('error:5.1.1 no such user u@b.example');
  await drained();
  expect(noticed.sort()).toEqual([`failure ${remote} 0`, `failure ${local} 0`].sort());
  expect(events).toContainEqual(
    expect.objectContaining({ kind: 'bounced', queueId: local, dsn: '5.1.1', reason: 'no such user' }),
  );
}, 60_000);

test('new mail finds a place in an active queue that notices filled, before the notices that wait for one', async () => {
  config = makeConfig({ ...values, scheduler_shards: '1', qmgr_message_active_limit: '10' });
  await queue.close();
  queue = await openQueue({ config, redisUrl: redis.url, telemetry });
  startScheduler('a');
  for (let index = 0; index < 200; index += 1) await acceptAs({ notice: true }, 'u@sender.example');
  await waitFor(async () => (await queue.counts()).active === 10, WAIT_MS, 'a full active queue');
  const mail = await accept('u@first.example');
  const attempts = startWorker();
  await drained();
  expectOnce(attempts, 201);
  expect(attempts.findIndex(({ queueId }) => queueId === mail)).toBeLessThan(30);
}, 60_000);

test('a notice that comes while the leader waits is seen at once, and so is one behind mail that is due later', async () => {
  const attempts = startWorker(({ queueId }) => (queueId === later ? 'deferred' : 'delivered'));
  config = makeConfig({ ...values, minimal_backoff_time: '1h', maximal_backoff_time: '1h' });
  startScheduler('a');
  const later = await accept('u@a.example');
  await waitFor(async () => (await queue.counts()).deferred === 1, WAIT_MS, 'mail that is due later');
  for (let count = 2; count < 5; count += 1) {
    await acceptAs({ notice: true }, 'u@a.example');
    // Less than the leader's look for what it was not told of.
    await waitFor(() => attempts.length === count, 15_000, 'the notice to be tried');
  }
}, 60_000);

test('a long list is read bit by bit, also by the next leader, and each of its recipients is tried once', async () => {
  config = makeConfig({
    ...values,
    qmgr_message_active_limit: '20',
    qmgr_message_recipient_limit: '20',
    smtp_recipient_limit: '200',
    smtp_destination_recipient_limit: '10',
    destination_batch_limit: '2',
  });
  const noticed: number[] = [];
  start((signal) =>
    queue.workNotices({ signal, name: 'bounce' }, async (request) => {
      const material = await queue.noticeMaterial(request);
      const reported = material?.entries.map(({ recipient }) => recipient.index) ?? [];
      noticed.push(...reported);
      await queue.noticePosted(request, { atMs: Date.now(), step: 'notified' }, reported);
    }),
  );
  const first = startScheduler('a');
  const list = Array.from({ length: 3_000 }, (_, index) => `u${index}@d${index % 7}.example`);
  await accept(...list);
  const small = await accept('u@e.example');
  let attempts: Attempt[] = [];
  attempts = startWorker(({ recipient }) => {
    if (attempts.length === 1_000) first.abort();
    return recipient % 500 === 42 ? 'bounced' : 'delivered';
  });
  startScheduler('b');
  await drained();
  expectOnce(attempts, 3_001);
  expect(attempts.findIndex(({ queueId }) => queueId === small)).toBeLessThan(1_000);
  expect(noticed.sort((a, b) => a - b)).toEqual([42, 542, 1042, 1542, 2042, 2542]);
}, 60_000);

test('a standby takes over from a leader that stops, and from one that falls silent', async () => {
  const attempts = startWorker();
  const first = startScheduler('a');
  // Its renewals never arrive, as if its network were gone; its other calls do.
  startScheduler('b', { ...queue, renewLease: () => new Promise(() => undefined) });
  for (let index = 0; index < 50; index += 1) await accept(`u@d${index % 9}.example`);
  first.abort();
  for (let index = 0; index < 50; index += 1) await accept(`u@d${index % 9}.example`);
  startScheduler('c');
  await drained();
  for (let index = 0; index < 50; index += 1) await accept(`u@d${index % 9}.example`);
  await drained();
  expectOnce(attempts, 150);
}, 60_000);

test('shards together hand out no more batches of a transport than its process limit', async () => {
  config = makeConfig({ ...values, default_process_limit: '5' });
  startScheduler('a');
  for (let index = 0; index < 40; index += 1) await accept(`u@d${index}.example`);
  await waitFor(async () => (await queue.counts()).active === 40, WAIT_MS, 'all messages in active');
  const waiting = async (): Promise<number> => {
    const counts = (await queue.boardQueues()).map((each) => each.getJobCountByTypes('wait'));
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  };
  await waitFor(async () => (await waiting()) >= 5, WAIT_MS, 'the batches');
  expect(await waiting()).toBe(5);
  const attempts = startWorker();
  await drained();
  expectOnce(attempts, 40);
}, 60_000);

test('a batch that vanished from the job queue goes out again', async () => {
  startScheduler('a');
  await accept('u@a.example');
  const waiting = async () => {
    const jobs = await Promise.all((await queue.boardQueues()).map((each) => each.getJobs(['wait'])));
    return jobs.flat().find(({ data }) => 'requests' in (data as object));
  };
  const job = await waitFor(waiting, WAIT_MS, 'a batch');
  await job.remove();
  const again = await waitFor(waiting, WAIT_MS, 'a second batch');
  expect(again.id).not.toBe(job.id);
  expectOnce(startWorker(), 0);
  await drained();
}, 60_000);
