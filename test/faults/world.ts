/**
 * What the fault tests share: a Redis or a Redis Cluster, daemons as processes of their own, a receiver that counts what each
 * recipient got, and mail that keeps coming from many destinations until it is told to stop.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { startRedisCluster, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { type Daemon, type Daemons, makeDaemons } from '../fleet/daemons.ts';

export const WAIT_MS = 90_000;

export interface World extends AsyncDisposable {
  readonly shards: number;
  readonly queue: Queue;
  readonly daemons: Daemons;
  /** How often each recipient got a message. */
  readonly got: ReadonlyMap<string, number>;
  /** Queue ids by recipient, as accepted. */
  readonly sent: ReadonlyMap<string, string>;
  /** Keeps mail coming, some hundred messages a second; resolves when `stop` is called and all is accepted. */
  load(): { stop(): Promise<void> };
  /** Every recipient got its message, and nothing is in the queue. */
  drained(): Promise<void>;
  /** Recipients that got a message more than once. */
  twice(): string[];
}

export interface WorldOptions {
  readonly redis: 'single' | 'cluster';
  readonly shards: number;
  readonly parameters?: Readonly<Record<string, string>>;
}

/** Many destinations on one port: loopback has 16 million addresses. */
const DESTINATIONS = 60;
const CHUNK = 40;

export async function makeWorld({ redis, shards, parameters = {} }: WorldOptions): Promise<World> {
  const stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-faults-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const redisUrl = await startRedis(redis, directory, stack);
  const got = new Map<string, number>();
  const peer = await startSmtpServer({
    host: '0.0.0.0',
    keepMessages: false,
    onMessage: ({ recipients }) => {
      for (const recipient of recipients) got.set(recipient, (got.get(recipient) ?? 0) + 1);
    },
  });
  stack.defer(() => peer.close());
  const queue = await openQueue({ config: makeConfig({ scheduler_shards: String(shards) }), redisUrl });
  stack.defer(() => queue.close());
  const daemons = stack.use(
    await makeDaemons(redisUrl, {
      scheduler_shards: String(shards),
      inet_interfaces: '127.0.0.1',
      ...parameters,
    }),
  );
  const sent = new Map<string, string>();

  async function accept(number: number): Promise<void> {
    const queueId = queue.newQueueId();
    const address = `u${number}@example.org`;
    const nowMs = Date.now();
    await queue.accept({
      envelope: { queueId, sender: 'me@example.com', sizeBytes: 16, arrivalMs: nowMs, createdMs: nowMs },
      recipients: [
        {
          index: 0,
          address,
          transport: 'smtp',
          nexthop: `[127.0.1.${1 + (number % DESTINATIONS)}]:${peer.port}`,
        },
      ],
      content: { kind: 'inline', bytes: Buffer.from('Subject: x\r\n\r\nx\r\n') },
    });
    sent.set(address, queueId);
  }

  return {
    shards,
    queue,
    daemons,
    got,
    sent,
    load() {
      let stopping = false;
      const loading = (async () => {
        while (!stopping) {
          const from = sent.size;
          await Promise.all(Array.from({ length: CHUNK }, (_, i) => accept(from + i)));
          await pause(100);
        }
      })();
      return {
        stop: () => {
          stopping = true;
          return loading;
        },
      };
    },
    async drained() {
      await waitFor(() => got.size === sent.size, WAIT_MS, 'every message at the receiver').catch((error) => {
        throw new Error(`${String(error)}: ${got.size} of ${sent.size}`);
      });
      await waitFor(
        async () => Object.values(await queue.counts()).every((count) => count === 0),
        WAIT_MS,
        'an empty queue',
      );
    },
    twice: () => [...got].filter(([, count]) => count > 1).map(([recipient]) => recipient),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function startRedis(
  kind: WorldOptions['redis'],
  directory: string,
  stack: AsyncDisposableStack,
): Promise<string> {
  if (kind === 'cluster') return stack.use(await startRedisCluster('redis-server')).url;
  const server = await startEmbeddedRedis({ directory, socket: true });
  stack.defer(() => server.stop());
  return server.url;
}

/** Shards that a scheduler said it leads, by the fence of the last time. */
export function fencesOf(scheduler: Daemon): Map<number, number> {
  return new Map(
    [...scheduler.output().matchAll(/leads shard (\d+) \(fence (\d+)\)/g)].map(([, shard, fence]) => [
      Number(shard),
      Number(fence),
    ]),
  );
}

export async function leadsAll(scheduler: Daemon, shards: number): Promise<void> {
  await waitFor(
    () => fencesOf(scheduler).size === shards,
    WAIT_MS,
    `scheduler ${scheduler.pid} to lead all shards`,
  );
}

/** Recipients whose message was said to be in doubt. */
export function inDoubt(daemons: readonly Daemon[]): number {
  return daemons.reduce((sum, daemon) => sum + daemon.output().split('in doubt').length - 1, 0);
}
