/** A queue over a real Redis of its own, and messages, batches and outcomes to put through it, for tests. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import type { Batch, Envelope, Outcome, OutcomeKind, RequestResult } from '@mailfleet/smtp';
import { Redis } from 'ioredis';
import { type EmbeddedRedis, startEmbeddedRedis } from './embedded/embedded-redis.ts';
import { openQueue, type Queue } from './open-queue.ts';
import type { ActiveMessage, InboxEntry, Lease, NewMessage, RoutedRecipient } from './ports.ts';
import { shardOf } from './shard.ts';

export interface TestRedis {
  readonly directory: string;
  readonly server: EmbeddedRedis;
  /** A plain connection to look at keys with. */
  readonly redis: Redis;
  readonly open: (values?: Record<string, string>) => Promise<Queue>;
  stop(): Promise<void>;
}

export async function startTestRedis(): Promise<TestRedis> {
  const directory = mkdtempSync(join(tmpdir(), 'mailfleet-queue-'));
  const server = await startEmbeddedRedis({ directory, socket: true });
  const redis = new Redis(server.url.replace('unix://', ''));
  const queues: Queue[] = [];
  return {
    directory,
    server,
    redis,
    async open(values = {}) {
      const queue = await openQueue({ config: testConfig(directory, values), redisUrl: server.url });
      queues.push(queue);
      return queue;
    },
    async stop() {
      await Promise.all(queues.map((queue) => queue.close()));
      redis.disconnect();
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export function testConfig(directory: string, values: Record<string, string> = {}) {
  return makeConfig({ content_directory: join(directory, 'content'), ...values });
}

/** A nexthop of the wanted shard. */
export function nexthopOn(shard: number, shards: number): string {
  for (let i = 0; ; i += 1) {
    const nexthop = `d${i}.example`;
    if (shardOf('smtp', nexthop, shards) === shard) return nexthop;
  }
}

export function newMessage(
  queueId: string,
  nexthops: readonly string[] = ['a.example'],
  extra: Partial<Omit<NewMessage, 'envelope'>> & { envelope?: Partial<Envelope> } = {},
): NewMessage {
  const recipients: RoutedRecipient[] = nexthops.map((nexthop, index) => ({
    index,
    address: `u${index}@${nexthop}`,
    transport: 'smtp',
    nexthop,
  }));
  const nowMs = Date.now();
  const envelope: Envelope = {
    queueId,
    sender: 'from@example.org',
    sizeBytes: 5,
    arrivalMs: nowMs,
    createdMs: nowMs,
  };
  return {
    recipients,
    content: { kind: 'inline', bytes: Buffer.from('hello') },
    ...extra,
    envelope: { ...envelope, ...extra.envelope },
  };
}

export async function leaseOf(queue: Queue, shard = 0, holder = 'leader'): Promise<Lease> {
  const lease = await queue.acquireLease(shard, holder, 60_000);
  if (lease === undefined) throw new Error(`shard ${shard} has another leader`);
  return lease;
}

export function batchOf(messages: readonly ActiveMessage[], id = 'batch-1', shard = 0): Batch {
  return {
    id,
    shard,
    fence: 1,
    transport: 'smtp',
    protocol: 'smtp',
    nexthop: messages[0]?.recipients[0]?.nexthop ?? 'a.example',
    batchedMs: Date.now(),
    requests: messages.map(({ envelope, recipients, contentShard, activatedMs }) => ({
      envelope,
      recipients,
      contentShard,
      activatedMs,
    })),
  };
}

export function outcome(recipient: number, kind: OutcomeKind, reason = `${kind} it is`): Outcome {
  return {
    recipient,
    address: `u${recipient}@a.example`,
    kind,
    status: { delivered: '2.0.0', deferred: '4.0.0', bounced: '5.0.0' }[kind],
    reason,
    relay: 'mx.a.example[192.0.2.1]:25',
    action: ({ delivered: 'relayed', deferred: 'delayed', bounced: 'failed' } as const)[kind],
    times: { arrivalMs: 1, activatedMs: 2, handedOffMs: 3, setUpMs: 4, doneMs: 5 },
  };
}

export function resultOf(queueId: string, ...outcomes: readonly Outcome[]): RequestResult {
  return { queueId, outcomes, steps: [{ atMs: 1, step: 'transaction' }] };
}

/** Reads the inbox until the condition holds; the pushes wake it, so it never polls. */
export async function inboxUntil(
  queue: Queue,
  shard: number,
  done: (entries: readonly InboxEntry[]) => boolean,
): Promise<readonly InboxEntry[]> {
  const entries: InboxEntry[] = [];
  const deadline = Date.now() + 20_000;
  while (!done(entries)) {
    if (Date.now() > deadline) throw new Error(`the inbox holds only ${JSON.stringify(entries)}`);
    entries.push(...(await queue.readInbox(shard, entries.at(-1)?.id ?? '0', 1_000)));
  }
  return entries;
}

/** Accepts messages and brings them to active. */
export async function activated(
  queue: Queue,
  lease: Lease,
  ...messages: readonly NewMessage[]
): Promise<readonly ActiveMessage[]> {
  for (const message of messages) await queue.accept(message);
  return queue.activate(lease, 'incoming', messages.length, Date.now());
}

/** Narrowing for test data that must be there. */
export function must<T>(value: T | undefined | null): T {
  if (value === undefined || value === null) throw new Error('a value is missing');
  return value;
}
