/**
 * Gathers why a message or a destination's mail is not moving: where it stands in Redis, what the leader's memory says of it, and
 * who works. The leader is asked through its inbox and answers under a key of the question; it may be gone, and then that
 * is the answer. Reads only, a bounded number of keys. The sentences: explain-words.ts.
 */
import { randomUUID } from 'node:crypto';
import { keysOfShard, type QueueContext } from './context.ts';
import type {
  DestinationName,
  DestinationPort,
  Explanation,
  LeaderAnswer,
  Subject,
} from './destination-ports.ts';
import { formatName } from './destination-words.ts';
import { controlsOf, readLease } from './destinations.ts';
import { type Circumstances, destinationReasons, type Part, partReasons } from './explain-words.ts';
import type { OperatorPort, QueueName } from './operator-ports.ts';
import { holderOf } from './own-batches.ts';
import type { Connection } from './redis/connection.ts';
import { ask } from './scripts/destinations.ts';
import { shardOf } from './shard.ts';

/** A leader answers at the end of its turn, which is short. */
const ANSWER_SECONDS = 5;
/** Different last replies, and destinations of open recipients, that an explanation looks at. */
const MOST = 20;

const QUEUES: readonly QueueName[] = ['incoming', 'active', 'deferred', 'hold', 'corrupt'];

export function makeExplain(context: QueueContext, find: OperatorPort['find']): DestinationPort['explain'] {
  let reader: Connection | undefined;

  /** Undefined: nobody leads the shard, or whoever does is silent. */
  const askLeader = async (shard: number, subject: Subject): Promise<LeaderAnswer | undefined> => {
    const keys = keysOfShard(context, shard);
    const question = randomUUID();
    const about = subject.destination === undefined ? '' : formatName(subject.destination);
    const asked = await context.run(ask, [keys.inbox, keys.lease], [question, subject.queueId ?? '', about]);
    if (asked === 0) return undefined;
    reader ??= context.openBlocking('mailfleet-explain');
    const answered = await reader.blpop(keys.answer(question), ANSWER_SECONDS);
    return answered === null ? undefined : (JSON.parse(answered[1]) as LeaderAnswer);
  };

  const circumstancesOf = async (shard: number, subject: Subject): Promise<Circumstances> => {
    const answer = await askLeader(shard, subject);
    const { batches, notices } = await context.bull();
    const ids = (answer?.message?.at ?? []).flatMap(({ batches: own }) => own.map(({ id }) => id));
    const [lease, workers, bounceDaemons, jobs] = await Promise.all([
      readLease(context, shard),
      batches.queue(shard).getWorkersCount(),
      answer?.message?.awaits === undefined ? 0 : notices.queue(shard).getWorkersCount(),
      Promise.all(ids.slice(0, MOST).map((id) => holderOf(context, batches, shard, id))),
    ]);
    return {
      shard,
      nowMs: context.now(),
      workers,
      bounceDaemons,
      holders: new Map(jobs.flatMap((holder, i) => (holder === undefined ? [] : [[ids[i] ?? '', holder]]))),
      ...(lease === undefined ? {} : { lease }),
      ...(answer === undefined ? {} : { answer }),
    };
  };

  return async (subject) =>
    subject.destination === undefined
      ? explainMessage(subject.queueId)
      : explainDestination(subject.destination);

  async function explainMessage(queueId: string): Promise<Explanation> {
    const general = { subject: queueId, replies: [], controls: [], leaders: [] };
    const view = await find(queueId);
    if (view?.listing === undefined) {
      const reason =
        view === undefined
          ? `no message ${queueId} is in the queue, and no timeline of it is kept: it was never here, or it left longer ago than message_timeline_time`
          : 'it has left the queue: it was delivered, returned or deleted; see mailfleet log';
      return {
        ...general,
        state: view === undefined ? 'unknown' : 'finished',
        reasons: [{ text: reason }],
      };
    }
    const { listing } = view;
    const parts = (
      await Promise.all(context.shards.map(async (_, shard) => standingOf(shard, queueId)))
    ).filter((part) => part !== undefined);
    const names = new Map(listing.recipients.slice(0, 1_000).map((each) => [formatName(each), each]));
    const controls = await controlsOf(
      context,
      [...names.values()].slice(0, MOST).map(({ transport, nexthop }) => ({ transport, nexthop })),
      ['pause', 'concurrency-limit', 'rate-delay'],
    );
    const replies = new Set(listing.recipients.flatMap(({ delayReason }) => delayReason ?? []));
    const told = [];
    for (const part of parts) {
      const around = await circumstancesOf(part.shard, { queueId });
      told.push({
        shard: part.shard,
        reasons: partReasons(part, around, controls, listing.forcedExpire),
        ...(around.answer === undefined ? {} : { answer: around.answer }),
      });
    }
    return {
      ...general,
      state: listing.queue,
      reasons: told.flatMap(({ reasons }) => reasons),
      replies: [...replies].slice(0, MOST),
      controls,
      leaders: told.map(({ reasons: _, ...leader }) => leader),
    };
  }

  async function explainDestination(name: DestinationName): Promise<Explanation> {
    const shard = shardOf(name.transport, name.nexthop, context.shards.length);
    const controls = await controlsOf(context, [name], ['pause', 'concurrency-limit', 'rate-delay']);
    const around = await circumstancesOf(shard, { destination: name });
    const { answer } = around;
    const known = answer?.destination;
    const paused = controls.some(({ kind }) => kind === 'pause');
    const led = known?.dead === undefined ? 'open' : 'dead';
    return {
      subject: formatName(name),
      state: paused ? 'paused' : answer === undefined ? 'no-leader' : led,
      reasons: destinationReasons(around, controls),
      replies: known?.lastReply === undefined ? [] : [known.lastReply.reason],
      controls,
      leaders: [{ shard, ...(answer === undefined ? {} : { answer }) }],
    };
  }

  /** Where a shard's part of a message stands; undefined when the shard has none. */
  async function standingOf(shard: number, queueId: string): Promise<Part | undefined> {
    const keys = keysOfShard(context, shard);
    const { redis } = context;
    const [held, expiry, copying, ...scores] = await Promise.all([
      redis.hget(keys.message(queueId), 'held'),
      redis.zscore(keys.expiry, queueId),
      redis.zscore(keys.fanout, queueId),
      ...QUEUES.map((queue) => redis.zscore(keys[queue], queueId)),
    ]);
    const at = scores.findIndex((score) => score !== null);
    const queue = QUEUES[at];
    if (queue === undefined) return undefined;
    return {
      shard,
      queue,
      sinceOrDueMs: Number(scores[at]),
      toBeHeld: held !== null,
      copying: copying !== null,
      ...(expiry === null ? {} : { expiryMs: Number(expiry) }),
    };
  }
}
