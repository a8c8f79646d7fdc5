/** Recording the outcomes of a delivery request, for workers and for the leader itself. */
import type { Outcome, RequestResult } from '@mailfleet/smtp';
import { keysOfShard, type QueueContext } from './context.ts';
import type { TimelineEntry } from './operator-ports.ts';
import { record } from './scripts/delivery.ts';
import type { Argument } from './scripts/script.ts';
import { webhookEvents } from './webhook-events.ts';

export interface Attempt {
  readonly shard: number;
  /** Set when the leader records. */
  readonly fence?: number;
  readonly batchId: string;
  readonly batchedMs: number;
  readonly worker: string;
  /** Recipients who asked for a notice of success: their outcome is kept until it is sent. */
  readonly wantsSuccess: ReadonlySet<number>;
  /** A recipient that has an outcome keeps it. */
  readonly onlyUntried?: boolean;
}

/** Durable when it resolves; answers how many recipients were final before. */
export async function recordOutcomes(
  context: QueueContext,
  attempt: Attempt,
  result: RequestResult,
): Promise<number> {
  const { queueId, outcomes, hopStatus, steps } = result;
  const keys = keysOfShard(context, attempt.shard);
  const timelineMs = context.config.get('message_timeline_time');
  const entry: TimelineEntry = {
    kind: 'attempt',
    batchId: attempt.batchId,
    worker: attempt.worker,
    batchedMs: attempt.batchedMs,
    steps,
    outcomes,
  };
  const args: Argument[] = [
    attempt.fence ?? '',
    attempt.fence === undefined ? attempt.batchId : '',
    queueId,
    hopStatus === undefined ? '' : JSON.stringify(hopStatus),
    outcomes.at(-1)?.reason ?? hopStatus?.reason ?? '',
    timelineMs > 0 ? JSON.stringify(entry) : '',
    timelineMs,
    result.corruption ?? '',
    context.config.get('webhook_url') === '' ? '' : JSON.stringify(webhookEvents(result, attempt.batchId)),
  ];
  for (const outcome of outcomes) {
    const state = attempt.onlyUntried === true ? 'u' : stateOf(outcome, attempt.wantsSuccess);
    args.push(outcome.recipient, state, state === 'd' ? '' : JSON.stringify(outcome));
  }
  return Number(
    await context.run(
      record,
      [keys.message(queueId), keys.timeline(queueId), keys.inbox, keys.fence, keys.events],
      args,
    ),
  );
}

function stateOf(outcome: Outcome, wantsSuccess: ReadonlySet<number>): 'd' | 's' | 'b' | 'f' {
  switch (outcome.kind) {
    case 'delivered':
      return wantsSuccess.has(outcome.recipient) ? 's' : 'd';
    case 'bounced':
      return 'b';
    case 'deferred':
      return 'f';
  }
}
