/**
 * The name of every key of Mailfleet in Redis. All keys of shard n share the hash tag `{mf<n>}`, so that a script may touch
 * any of them on Redis Cluster. What they hold: docs/architecture.md, Redis. No other file spells a key.
 */
import type { Batch } from '@mailfleet/smtp';

/** Keys of one shard that stand for themselves, and prefixes to which a queue id is appended. */
export interface ShardKeys {
  readonly incoming: string;
  readonly active: string;
  readonly deferred: string;
  readonly hold: string;
  readonly corrupt: string;
  readonly expiry: string;
  /** Messages of this home shard whose parts are not yet copied. */
  readonly fanout: string;
  /** Parts of other home shards that were retired here lately. */
  readonly retiredParts: string;
  /** Names of the content files of this home shard's messages. */
  readonly files: string;
  /** What operators have set on destinations, by its end, and the same as JSON. */
  readonly controls: string;
  readonly controlled: string;
  /** Events that webhooks are to tell. */
  readonly events: string;
  /** Addresses that get no mail, by the end of that, and what is known of them. */
  readonly suppressed: string;
  readonly suppressions: string;
  readonly inbox: string;
  readonly lease: string;
  readonly fence: string;
  /** Workers that get batches of their own, by the time (ms) up to which they count as alive. */
  readonly workers: string;
  /** What scripts build keys from that they find by queue id. */
  readonly prefix: string;
  /** BullMQ's prefix. */
  readonly bull: string;
  message(queueId: string): string;
  content(queueId: string): string;
  timeline(queueId: string): string;
  /** Shards that still hold a part of a message of several shards. */
  parts(queueId: string): string;
  /** Records of the parts to copy. */
  copies(queueId: string): string;
  /** Remembers a queue id after its message is gone. */
  remembered(queueId: string): string;
  idempotency(key: string): string;
  /** Site of a nexthop, `transport:nexthop`. */
  site(name: string): string;
  /** The leader's answer to a question of the inbox. */
  answer(question: string): string;
  /** BullMQ's keys of a batch's job: its lock, what it is made of, and the lists and other parts of a worker's queue, or of that of all. */
  batchLock(batch: PlacedBatch): string;
  batchJob(batch: PlacedBatch): string;
  batchList(list: 'wait' | 'active' | 'stalled' | 'marker' | 'meta', worker: string | undefined): string;
}

type PlacedBatch = Pick<Batch, 'id' | 'worker'>;

const DELIVERY_QUEUE = 'delivery';
export const NOTICE_QUEUE = 'notice';

/** BullMQ's queue of the batches that are for one worker, or for all. A colon is BullMQ's own. */
export const deliveryQueueOf = (worker: string | undefined): string =>
  worker === undefined ? DELIVERY_QUEUE : `${DELIVERY_QUEUE}-${worker.replaceAll(':', '-')}`;

export function keysOf(shard: number): ShardKeys {
  const prefix = `{mf${shard}}:`;
  const bull = `${prefix}bull`;
  return {
    incoming: `${prefix}incoming`,
    active: `${prefix}active`,
    deferred: `${prefix}deferred`,
    hold: `${prefix}hold`,
    corrupt: `${prefix}corrupt`,
    expiry: `${prefix}expiry`,
    fanout: `${prefix}fanout`,
    retiredParts: `${prefix}retired-parts`,
    files: `${prefix}files`,
    controls: `${prefix}controls`,
    controlled: `${prefix}controlled`,
    suppressed: `${prefix}suppressed`,
    events: `${prefix}events`,
    suppressions: `${prefix}suppressions`,
    inbox: `${prefix}inbox`,
    lease: `${prefix}lease`,
    fence: `${prefix}fence`,
    workers: `${prefix}workers`,
    prefix,
    bull,
    message: (queueId) => `${prefix}m:${queueId}`,
    content: (queueId) => `${prefix}c:${queueId}`,
    timeline: (queueId) => `${prefix}t:${queueId}`,
    parts: (queueId) => `${prefix}p:${queueId}`,
    copies: (queueId) => `${prefix}f:${queueId}`,
    remembered: (queueId) => `${prefix}r:${queueId}`,
    idempotency: (key) => `${prefix}k:${key}`,
    site: (name) => `${prefix}s:${name}`,
    answer: (question) => `${prefix}a:${question}`,
    batchLock: ({ id, worker }) => `${bull}:${deliveryQueueOf(worker)}:${id}:lock`,
    batchJob: ({ id, worker }) => `${bull}:${deliveryQueueOf(worker)}:${id}`,
    batchList: (list, worker) => `${bull}:${deliveryQueueOf(worker)}:${list}`,
  };
}
