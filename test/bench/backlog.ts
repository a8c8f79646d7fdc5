/**
 * A scheduler that starts on a long queue: how long until its first batch, and how much heap it takes until its active queue is
 * full and mail flows. The queue is filled through the queue package, as fast as Redis takes it.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { makeDaemons } from '../fleet/daemons.ts';

export interface BacklogFigures {
  readonly messages: number;
  readonly fillSeconds: number;
  /** From the start of the process to the first batch in BullMQ. */
  readonly firstBatchSeconds: number;
  /** Most that was in use before a garbage collection, in MB (2^20 bytes). */
  readonly heapMb: number;
  /** Most memory of the process, in MB. */
  readonly residentMb: number;
  /** Messages in the active queue when it was measured. */
  readonly active: number;
  readonly delivered: number;
}

const DESTINATIONS = 50_000;
/** Accepts at once. */
const PARALLEL = 400;
const DELIVERED = 5_000;
const WAIT_MS = 600_000;
/** The process ends if it needs more: what is measured is also enforced. */
export const HEAP_MB = 400;

export async function measureBacklog(
  messages: number,
  log: (line: string) => void = () => undefined,
): Promise<BacklogFigures> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-backlog-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const redis = await startEmbeddedRedis({ directory, socket: true });
  stack.defer(() => redis.stop());
  const peer = await startSmtpServer({ host: '0.0.0.0', keepMessages: false });
  stack.defer(() => peer.close());
  const queue = await openQueue({ config: makeConfig(), redisUrl: redis.url });
  stack.defer(() => queue.close());

  const fillMs = performance.now();
  await fill(queue, messages, peer.port, log);
  const fillSeconds = secondsSince(fillMs);
  log(`filled in ${fillSeconds} s`);

  const daemons = stack.use(await makeDaemons(redis.url, { inet_interfaces: '127.0.0.1' }));
  const startMs = performance.now();
  const [first] = await queue.boardQueues();
  const batched = waitFor(
    async () => ((await first?.getWaitingCount()) ?? 0) > 0,
    WAIT_MS,
    'the first batch',
  );
  const scheduler = await daemons.start('scheduler', {
    node: ['--trace-gc', `--max-old-space-size=${HEAP_MB}`],
  });
  await batched;
  const firstBatchSeconds = secondsSince(startMs);
  log(`first batch after ${firstBatchSeconds} s`);

  const full = Math.min(makeConfig().get('qmgr_message_active_limit'), messages);
  await waitFor(async () => (await queue.counts()).active >= full, WAIT_MS, 'the active queue to be full');
  const { active } = await queue.counts();
  await daemons.start('smtp-worker');
  const delivered = Math.min(DELIVERED, messages);
  await waitFor(() => peer.messageCount >= delivered, WAIT_MS, `${delivered} deliveries`);
  return {
    messages,
    fillSeconds,
    firstBatchSeconds,
    heapMb: peakHeapMb(scheduler.output()),
    residentMb: await residentMb(scheduler.pid),
    active,
    delivered: peer.messageCount,
  };
}

async function fill(
  queue: Queue,
  messages: number,
  port: number,
  log: (line: string) => void,
): Promise<void> {
  const bytes = Buffer.from(`Subject: x\r\n\r\n${'line of text\r\n'.repeat(36)}`);
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < messages) {
      const number = next;
      next += 1;
      if (number % 100_000 === 0 && number > 0) log(`${number} messages`);
      const nowMs = Date.now();
      // Some destinations have many messages, most have few.
      const destination = number % 4 === 0 ? number % 50 : number % DESTINATIONS;
      await queue.accept({
        envelope: {
          queueId: queue.newQueueId(),
          sender: 'me@example.com',
          sizeBytes: bytes.length,
          arrivalMs: nowMs,
          createdMs: nowMs,
        },
        recipients: [
          {
            index: 0,
            address: `user${number}@example.org`,
            transport: 'smtp',
            nexthop: `[127.1.${destination >> 8}.${destination & 255}]:${port}`,
          },
        ],
        content: { kind: 'inline', bytes },
      });
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, one));
}

/** From lines of --trace-gc: `… Mark-Compact … 96.1 (130.4) -> 60.4 (131.0) MB, …`. */
function peakHeapMb(output: string): number {
  const before = [...output.matchAll(/ (\d+\.\d) \(\d+\.\d\) -> \d+\.\d \(\d+\.\d\) MB/g)];
  return Math.max(...before.map(([, mb]) => Number(mb)));
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  return Math.round(Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024);
}

function secondsSince(ms: number): number {
  return Math.round((performance.now() - ms) / 100) / 10;
}
