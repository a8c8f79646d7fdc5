/**
 * The worker's port. Whatever becomes of `deliver`, its batch ends with an inbox entry: from this worker while it owns the batch, else
 * from the one who got it. Outcomes of concurrent sessions share pipelines.
 */
import type { Batch } from '@mailfleet/smtp';
import { readContent } from './content.ts';
import { keysOfShard, type QueueContext } from './context.ts';
import { formatName } from './destination-words.ts';
import { handOverBatch, keepAlive } from './own-batches.ts';
import type { WorkerPort } from './ports.ts';
import { recordOutcomes } from './record-outcomes.ts';
import { endBatch, markInDoubt } from './scripts/delivery.ts';
import { shardOf } from './shard.ts';
import { wantsSuccess } from './success-wish.ts';

/** Mail hosts change seldom, and each lookup of a worker tells anew. */
const SITE_MS = 86_400_000;

export function makeWorkerPort(context: QueueContext): WorkerPort {
  const { run, prompt, redis, log } = context;
  const confirmDelayCleared = context.config.get('confirm_delay_cleared');
  /** Queue ids with an outcome, of the batches in hand: what a failed delivery need not give back. */
  const recorded = new Map<string, Set<string>>();
  let workerName = 'worker';

  return {
    async work({ name, ownBatches = false, ...options }, deliver) {
      workerName = name;
      await prompt.ready();
      const { batches } = await context.bull();
      const { signal } = options;
      const alive = ownBatches ? keepAlive(context, name, signal) : undefined;
      await batches.work({ name, ownBatches, ...options }, async (held) => {
        const { batch, token, handedOutBefore, lost } = held;
        const done = new Set<string>();
        recorded.set(batch.id, done);
        let returned: readonly string[];
        let moved = false;
        const handOver = async (worker: string): Promise<boolean> => {
          moved ||= await handOverBatch(context, batch, token, worker);
          return moved;
        };
        try {
          const claimed = {
            batch,
            handedOutBefore,
            signal: AbortSignal.any([signal, lost]),
            ...(batch.worker === undefined && handedOutBefore === 0 ? { handOver } : {}),
          };
          returned = (await deliver(claimed)).returned;
        } catch (error) {
          log.warn(
            `batch ${batch.id} for ${batch.nexthop} failed, what is left of it goes back: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
          );
          returned = batch.requests.map(({ envelope }) => envelope.queueId).filter((id) => !done.has(id));
        } finally {
          recorded.delete(batch.id);
        }
        if (moved) return 'moved';
        const keys = keysOfShard(context, batch.shard);
        const ended = await run(
          endBatch,
          [keys.inbox, keys.batchLock(batch)],
          [token, batch.id, JSON.stringify(returned)],
        );
        if (ended === 0) log.warn(`batch ${batch.id} for ${batch.nexthop} went to another worker meanwhile`);
        return 'ended';
      });
      await alive;
    },

    async content({ contentShard, envelope }) {
      const content = await readContent(context, contentShard, envelope.queueId);
      if (content !== 'file-missing') return content;
      throw new Error(
        `its file is not in content_directory ${context.config.get('content_directory')}: mount the folder that all processes of the fleet share`,
      );
    },

    async openRecipients(batch, request) {
      const indexes = request.recipients.map(({ index }) => index);
      const key = keysOfShard(context, batch.shard).message(request.envelope.queueId);
      const fields = ['e', ...indexes.flatMap((index) => [`x${index}`, `i${index}`])];
      const [record, ...states] = await redis.hmget(key, ...fields);
      if (record === null) return { open: [], inDoubt: false };
      const open = indexes.filter((_, i) => states[2 * i] === null);
      return {
        open,
        inDoubt: indexes.some((_, i) => states[2 * i] === null && states[2 * i + 1] !== null),
      };
    },

    async reportSite(name, site) {
      const shard = shardOf(name.transport, name.nexthop, context.shards.length);
      await redis.set(keysOfShard(context, shard).site(formatName(name)), site, 'PX', SITE_MS);
    },

    markInDoubt(batch, queueId, recipients) {
      const key = keysOfShard(context, batch.shard).message(queueId);
      // The final dot follows at once: a mark that still waited for its pipeline would die with the process.
      prompt.run(markInDoubt, [key], recipients).catch((error: unknown) => {
        log.warn(`${queueId}: in-doubt mark not written: ${String(error)}`);
      });
    },

    async record(batch, result) {
      const duplicates = await recordOutcomes(
        context,
        {
          shard: batch.shard,
          batchId: batch.id,
          batchedMs: batch.batchedMs,
          worker: workerName,
          wantsSuccess: successWishes(batch, result.queueId, confirmDelayCleared),
        },
        result,
      );
      recorded.get(batch.id)?.add(result.queueId);
      return { duplicates };
    },
  };
}

function successWishes(batch: Batch, queueId: string, confirmDelayCleared: boolean): ReadonlySet<number> {
  const wanted = new Set<number>();
  for (const { envelope, recipients, warned } of batch.requests) {
    if (envelope.queueId !== queueId) continue;
    for (const recipient of recipients) {
      if (wantsSuccess(recipient, confirmDelayCleared && warned === true)) wanted.add(recipient.index);
    }
  }
  return wanted;
}
