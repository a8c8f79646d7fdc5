/** The scheduler's port. Every call with a lease is refused with LeaseLostError once another scheduler leads the shard. */
import { hostname } from 'node:os';
import { keysOfShard, type QueueContext } from './context.ts';
import { readableViews } from './corrupt.ts';
import { formatName } from './destination-words.ts';
import { pageOfControls, readLease } from './destinations.ts';
import { makeExpiry } from './expiry.ts';
import { repeatCopies, settlePart, settleParts } from './fanout.ts';
import { fenced } from './fenced.ts';
import { makeInboxReader, nextInboxId } from './inbox.ts';
import { parseRecord } from './message-record.ts';
import {
  addBatches,
  outstandingBatches,
  recallBatches,
  takeBackBatches,
  vanishedBatches,
} from './own-batches.ts';
import {
  type ActiveMessage,
  type Conclusion,
  LeaseLostError,
  type RecipientPage,
  type RoutedRecipient,
  type SchedulerPort,
} from './ports.ts';
import { look, type RecipientState } from './recipients.ts';
import { recordOutcomes } from './record-outcomes.ts';
import { answer, wake } from './scripts/destinations.ts';
import { acquireLease, activate, activePage, conclude, releaseLease, renewLease } from './scripts/leader.ts';
import type { Argument } from './scripts/script.ts';
import { sweepFiles } from './sweep.ts';

/** Messages or conclusions of one script call: a few milliseconds of Redis, which serves others in between. */
const CHUNK = 500;

export function makeSchedulerPort(context: QueueContext): SchedulerPort {
  const { run, runOnce, redis, now } = context;
  const timelineMs = context.config.get('message_timeline_time');

  return {
    async acquireLease(shard, holder, ttlMs) {
      const keys = keysOfShard(context, shard);
      const fence = Number(await run(acquireLease, [keys.lease, keys.fence], [holder, ttlMs]));
      return fence === 0 ? undefined : { shard, fence };
    },
    async renewLease({ shard, fence }, holder, ttlMs) {
      const keys = keysOfShard(context, shard);
      return (await run(renewLease, [keys.lease, keys.fence], [holder, ttlMs, fence])) === 1;
    },
    leaseState: (shard) => readLease(context, shard),
    async releaseLease({ shard }, holder) {
      await run(releaseLease, [keysOfShard(context, shard).lease], [holder]);
    },

    async activate(lease, source, count, nowMs) {
      const keys = keysOfShard(context, lease.shard);
      const messages: ActiveMessage[] = [];
      for (let left = count; left > 0; left -= CHUNK) {
        const most = Math.min(left, CHUNK);
        const [taken, views] = (await fenced(
          lease,
          // Repeated it would take the next ones, and nobody would know of the first.
          runOnce(
            activate,
            [keys[source], keys.active, keys.fence],
            [lease.fence, most, nowMs, keys.prefix, source === 'deferred' ? 'due' : 'all'],
          ),
        )) as [number, unknown[]];
        messages.push(...(await readableViews(context, lease, views)));
        if (taken < most) break;
      }
      return messages;
    },
    async nextDueMs(shard) {
      const [, score] = await redis.zrange(keysOfShard(context, shard).deferred, 0, '0', 'WITHSCORES');
      return score === undefined ? undefined : Number(score);
    },
    async activePage(lease, cursor) {
      const keys = keysOfShard(context, lease.shard);
      const [score = '', member = ''] = cursor.split(' ');
      const [nextScore, nextMember, views] = (await fenced(
        lease,
        run(activePage, [keys.active, keys.fence], [lease.fence, keys.prefix, CHUNK, score, member]),
      )) as [string, string, unknown[]];
      return {
        cursor: nextMember === '' ? '' : `${nextScore} ${nextMember}`,
        messages: await readableViews(context, lease, views),
      };
    },

    async readRecipients(shard, queueId, after, count) {
      const key = keysOfShard(context, shard).message(queueId);
      const text = await redis.hget(key, 'e');
      const record = text === null ? undefined : parseRecord(text);
      if (record === undefined) {
        return { recipients: [], after, unread: 0, unreported: [], unreportedSuccess: [] };
      }
      const { seen, unread } = await look(redis, key, record, after, count);
      return pageOf(seen, unread, after, count);
    },

    controlsPage: (shard, cursor) => pageOfControls(context, shard, cursor, CHUNK),
    async sitesOf(shard, names) {
      if (names.length === 0) return [];
      const keys = keysOfShard(context, shard);
      const sites = await redis.mget(names.map((name) => keys.site(formatName(name))));
      return sites.map((site) => site ?? undefined);
    },
    async wake(lease, dueMs, nowMs) {
      const keys = keysOfShard(context, lease.shard);
      if (dueMs <= nowMs) return;
      const args = [lease.fence, dueMs, nowMs, CHUNK];
      while ((await fenced(lease, run(wake, [keys.deferred, keys.fence], args))) === CHUNK);
    },
    async answer(lease, question, said) {
      const keys = keysOfShard(context, lease.shard);
      await fenced(
        lease,
        run(answer, [keys.answer(question), keys.fence], [lease.fence, JSON.stringify(said)]),
      );
    },

    ...makeExpiry(context),
    readInbox: makeInboxReader(context),
    async conclude(lease, conclusions, through) {
      const keys = keysOfShard(context, lease.shard);
      const changes = conclusions.filter((each) => each.kind !== 'notice');
      for (let from = 0; from === 0 || from < changes.length; from += CHUNK) {
        const last = from + CHUNK >= changes.length;
        const args: Argument[] = [
          lease.fence,
          keys.prefix,
          last && through !== undefined ? nextInboxId(through) : '',
          now(),
          lease.shard,
          timelineMs,
        ];
        for (const each of changes.slice(from, from + CHUNK)) args.push(...argumentsOf(each));
        const left = (await fenced(
          lease,
          run(
            conclude,
            [
              keys.active,
              keys.incoming,
              keys.deferred,
              keys.hold,
              keys.expiry,
              keys.inbox,
              keys.fence,
              keys.retiredParts,
              keys.files,
              keys.corrupt,
            ],
            args,
          ),
        )) as [string, string, string][];
        await Promise.all(left.map((each) => dropRest(lease.shard, each)));
      }
      // After the script, which checked the fence. A crash in between leaves the message in active, and
      // recovery asks again for the same notice.
      const requests = conclusions.filter((each) => each.kind === 'notice').map(({ request }) => request);
      if (requests.length > 0) await (await context.bull()).notices.add(requests);
    },
    async recordLocal(lease, result) {
      await fenced(
        lease,
        recordOutcomes(
          context,
          {
            shard: lease.shard,
            fence: lease.fence,
            batchId: '',
            batchedMs: now(),
            worker: `qmgr@${hostname()}`,
            wantsSuccess: new Set(result.wantsSuccess),
            onlyUntried: result.onlyUntried === true,
          },
          result,
        ),
      );
    },

    addBatches: async (batches) => addBatches(context, (await context.bull()).batches, batches),
    outstandingBatches: async (shard) => outstandingBatches(context, (await context.bull()).batches, shard),
    vanishedBatches: async (shard, batchIds) =>
      vanishedBatches(context, (await context.bull()).batches, shard, batchIds),
    takeBackBatches: async (lease) => takeBackBatches(context, (await context.bull()).batches, lease),
    recallBatches: async (shard, batchIds) =>
      recallBatches(context, (await context.bull()).batches, shard, batchIds),

    async finishFanout(lease, ageMs) {
      const fence = await redis.get(keysOfShard(context, lease.shard).fence);
      if (fence !== String(lease.fence)) throw new LeaseLostError(lease.shard);
      const repeated = await repeatCopies(context, lease.shard, ageMs);
      await settleParts(context, lease.shard);
      return repeated;
    },
    sweepContent: (ageMs) => sweepFiles(context, ageMs),
  };

  async function dropRest(shard: number, [file, home, queueId]: [string, string, string]): Promise<void> {
    if (file !== '') await context.files.remove(file);
    if (home !== '') await settlePart(context, shard, Number(home), queueId);
  }
}

/** As many of what was seen as hold `count` open recipients. */
function pageOf(
  seen: readonly RecipientState[],
  unread: number,
  after: number,
  count: number,
): RecipientPage {
  const recipients: RoutedRecipient[] = [];
  const unreported: number[] = [];
  const unreportedSuccess: number[] = [];
  let looked = 0;
  for (const { recipient, state } of seen) {
    if (recipients.length === count) break;
    looked += 1;
    if (state === undefined) recipients.push(recipient);
    else if (state === 'b') unreported.push(recipient.index);
    else if (state === 's') unreportedSuccess.push(recipient.index);
  }
  return {
    recipients,
    after: seen[looked - 1]?.recipient.index ?? after,
    unread: unread + seen.length - looked,
    unreported,
    unreportedSuccess,
  };
}

function argumentsOf(conclusion: Exclude<Conclusion, { kind: 'notice' }>): Argument[] {
  return [conclusion.kind, conclusion.queueId, conclusion.kind === 'defer' ? conclusion.dueMs : ''];
}
