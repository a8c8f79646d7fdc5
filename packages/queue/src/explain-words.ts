/** The sentences of `explain`, one for each thing that mail waits for. Pure: facts in, sentences out. */
import type {
  DestinationControl,
  DestinationState,
  LeaderAnswer,
  MessageAtDestination,
  WaitReason,
} from './destination-ports.ts';
import { formatName, pauseReason } from './destination-words.ts';
import type { QueueName } from './operator-ports.ts';

/** Where a shard's part of a message stands. */
export interface Part {
  readonly shard: number;
  readonly queue: QueueName;
  /** Since when, or in deferred until when. */
  readonly sinceOrDueMs: number;
  /** It goes on hold at the end of its pass. */
  readonly toBeHeld: boolean;
  /** Parts of other shards are not copied there yet. */
  readonly copying: boolean;
  readonly expiryMs?: number;
}

/** What goes on around it. */
export interface Circumstances {
  readonly shard: number;
  readonly nowMs: number;
  readonly lease?: { readonly holder: string; readonly leftMs: number };
  readonly answer?: LeaderAnswer;
  /** Worker processes that are connected. */
  readonly workers: number;
  readonly bounceDaemons: number;
  /** Who has a batch; one that nobody took yet has no worker. */
  readonly holders: ReadonlyMap<string, { readonly worker?: string; readonly sinceMs: number }>;
}

export function partReasons(
  part: Part,
  around: Circumstances,
  controls: readonly DestinationControl[],
  forcedExpire: boolean,
): WaitReason[] {
  const reasons = [...placeReasons(part, around, controls)];
  if (part.toBeHeld) reasons.push({ text: 'it goes on hold when this pass ends' });
  if (part.copying)
    reasons.push({
      text: 'recipients of other shards are still being copied there; that is repeated until it is done',
    });
  if (forcedExpire)
    reasons.push({ text: 'an operator made it expire: it is returned to its sender when its turn comes' });
  else if (part.expiryMs !== undefined && part.expiryMs <= around.nowMs)
    reasons.push({
      text: `its lifetime ended at ${at(part.expiryMs)}: it is returned to its sender ${part.queue === 'hold' ? 'when it is released' : 'now'}`,
    });
  return reasons;
}

function placeReasons(
  part: Part,
  around: Circumstances,
  controls: readonly DestinationControl[],
): WaitReason[] {
  const { queue, sinceOrDueMs } = part;
  const { nowMs } = around;
  switch (queue) {
    case 'hold':
      return [
        {
          text: `on hold since ${at(sinceOrDueMs)}; nothing happens to it until it is released with mailfleet queue --release`,
        },
      ];
    case 'corrupt':
      return [
        {
          text: `it cannot be read and stands in the corrupt queue since ${at(sinceOrDueMs)}; nothing happens to it until mailfleet queue --release or --delete`,
        },
      ];
    case 'deferred': {
      const pauses = pauseReasons(controls);
      if (sinceOrDueMs > nowMs) {
        return [
          ...pauses,
          { text: `deferred: it is tried again at ${at(sinceOrDueMs)}`, nextMs: sinceOrDueMs },
          ...(around.answer === undefined ? [noLeader(around)] : []),
        ];
      }
      return [...pauses, ...queued(around, `due since ${at(sinceOrDueMs)}`)];
    }
    case 'incoming':
      return [
        ...pauseReasons(controls),
        ...queued(around, `in the incoming queue since ${at(sinceOrDueMs)}`),
      ];
    case 'active':
      // What is paused is left alone in this pass, and waits when it ends.
      return [...pauseReasons(controls), ...activeReasons(part, around, controls)];
  }
}

/** It waits to become active. */
function queued(around: Circumstances, since: string): WaitReason[] {
  const { answer } = around;
  if (answer === undefined) return [{ text: `${since}, where it stays: ${noLeader(around).text}` }];
  const { activeMessages, activeLimit } = answer;
  const why =
    activeMessages >= activeLimit
      ? `the active queue is full (qmgr_message_active_limit, ${activeLimit}); it gets a place when one is free`
      : 'older mail comes first, then it becomes active';
  return [{ text: `${since}: ${why}` }];
}

function activeReasons(
  part: Part,
  around: Circumstances,
  controls: readonly DestinationControl[],
): WaitReason[] {
  const { answer } = around;
  const since = `in the active queue since ${at(part.sinceOrDueMs)}`;
  if (answer === undefined) return [{ text: `${since}; ${noLeader(around).text}` }];
  const { message } = answer;
  if (message === undefined) {
    return [{ text: `${since}: its scheduler is just taking it in or is done with this pass; ask again` }];
  }
  if (message.awaits !== undefined) {
    const daemons =
      around.bounceDaemons === 0
        ? ': NO BOUNCE DAEMON RUNS, start mailfleet bounce'
        : ' of the bounce daemon; then the pass ends';
    return [{ text: `${since}: waits for the ${message.awaits} notice${daemons}` }];
  }
  const reasons = message.at.flatMap((one) => destinationOfMessage(one, around, controls));
  if (message.stopped !== undefined) {
    reasons.push({
      text: `nothing more of it is handed out (${STOPPED[message.stopped]}); what workers have ends first`,
    });
  }
  if (message.unread !== undefined) {
    reasons.push({
      text: `${count(message.unread, 'recipient')} more are read into memory when there is room (qmgr_message_recipient_limit, default_recipient_limit)`,
    });
  }
  if (message.more > 0) reasons.push({ text: `and ${message.more} more destinations` });
  if (reasons.length === 0)
    reasons.push({ text: `${since}: every recipient was tried, the pass is just ending` });
  return reasons;
}

const STOPPED = {
  hold: 'an operator put it on hold',
  delete: 'an operator deleted it',
  expire: 'its time is over, or an operator made it expire',
} as const;

function destinationOfMessage(
  { destination, waiting, hindrance, ahead, batches }: MessageAtDestination,
  around: Circumstances,
  controls: readonly DestinationControl[],
): WaitReason[] {
  const name = formatName(destination);
  const reasons: WaitReason[] = batches.map(({ id, recipients }) => {
    const holder = around.holders.get(id);
    const what = `${count(recipients, 'recipient')} for ${name} in batch ${id}`;
    if (holder === undefined) return { text: `${what}, whose end is just being taken note of` };
    if (holder.worker !== undefined)
      return { text: `${what} with ${holder.worker} since ${at(holder.sinceMs)}` };
    return {
      text: `${what}, which waits for a free session of a worker since ${at(holder.sinceMs)}: ${workersRun(around)}`,
    };
  });
  if (waiting > 0) {
    const behind = ahead === 0 ? '' : `, behind ${count(ahead, 'delivery request')} of other messages`;
    const { text, nextMs } = hindranceReason(destination, hindrance, around, controls);
    reasons.push({
      text: `${count(waiting, 'recipient')} for ${name}: ${text}${behind}`,
      ...(nextMs === undefined ? {} : { nextMs }),
    });
  }
  return reasons;
}

function hindranceReason(
  destination: DestinationState,
  hindrance: MessageAtDestination['hindrance'],
  around: Circumstances,
  controls: readonly DestinationControl[],
): WaitReason {
  const { transport, window, busy, rateDelayMs, suspendedUntilMs, transportState } = destination;
  const idle = around.workers === 0 ? `; ${workersRun(around)}` : '';
  switch (hindrance) {
    case 'rate-delay':
      return {
        text: `the rate delay of ${rateDelayMs / 1000} s between deliveries${bySetter(destination, controls, 'rate-delay')} ends at ${at(suspendedUntilMs ?? 0)}`,
        ...(suspendedUntilMs === undefined ? {} : { nextMs: suspendedUntilMs }),
      };
    case 'window':
      if (rateDelayMs > 0)
        return {
          text: `the rate delay of ${rateDelayMs / 1000} s${bySetter(destination, controls, 'rate-delay')} allows one delivery at a time, and one is under way${idle}`,
        };
      return {
        text: `the concurrency window is full, ${busy} of ${window} batches are under way (${limitOf(destination, controls)})${idle}`,
      };
    case 'transport-rate-delay': {
      const until = transportState.suspendedUntilMs;
      const delay = `the rate delay of ${transportState.rateDelayMs / 1000} s of transport ${transport}`;
      return until === undefined
        ? { text: `${delay} allows one delivery at a time, and one is under way${idle}` }
        : { text: `${delay} ends at ${at(until)}`, nextMs: until };
    }
    case 'process-limit':
      return {
        text: `transport ${transport} has as many batches under way as default_process_limit, or maxproc in master.cf, allows its shard (${transportState.processLimit})${idle}`,
      };
    case 'turn':
      return { text: 'nothing hinders it, its batch is being made now' };
  }
}

export function destinationReasons(
  around: Circumstances,
  controls: readonly DestinationControl[],
): WaitReason[] {
  const reasons = pauseReasons(controls);
  const { answer, nowMs } = around;
  if (answer === undefined) return [...reasons, noLeader(around)];
  const { destination, site } = answer;
  if (site !== undefined) {
    reasons.push({
      text: `it shares the window of site ${site} with all that have the same (destination_site_maps, destination_site_rollup)`,
    });
  }
  if (destination === undefined) {
    reasons.push({
      text: 'no mail for it is in the active queue, and it is not dead; mail for a domain may go to another nexthop (relayhost, transport_maps), see mailfleet explain <queue-id>',
    });
    return reasons;
  }
  const { dead, suspendedUntilMs, window, busy, waiting, rateDelayMs, transportState } = destination;
  if (dead !== undefined) {
    reasons.push({
      text: `dead until ${at(dead.untilMs)}, its mail is deferred meanwhile: ${dead.status} ${dead.reason}`,
      nextMs: dead.untilMs,
    });
  } else {
    reasons.push({
      text: `${busy} of ${window} batches are under way (${limitOf(destination, controls)}), ${count(waiting, 'delivery request')} ${waiting === 1 ? 'waits' : 'wait'}`,
    });
  }
  if (suspendedUntilMs !== undefined) {
    reasons.push({
      text: `the rate delay of ${rateDelayMs / 1000} s between deliveries${bySetter(destination, controls, 'rate-delay')} ends at ${at(suspendedUntilMs)}`,
      nextMs: suspendedUntilMs,
    });
  }
  if (transportState.suspendedUntilMs !== undefined && transportState.suspendedUntilMs > nowMs) {
    reasons.push({
      text: `the rate delay of ${transportState.rateDelayMs / 1000} s of transport ${destination.transport} ends at ${at(transportState.suspendedUntilMs)}`,
      nextMs: transportState.suspendedUntilMs,
    });
  }
  if (transportState.busy >= transportState.processLimit) {
    reasons.push({
      text: `transport ${destination.transport} has as many batches under way as default_process_limit, or maxproc in master.cf, allows its shard (${transportState.processLimit})`,
    });
  }
  if (around.workers === 0) reasons.push({ text: workersRun(around) });
  return reasons;
}

function pauseReasons(controls: readonly DestinationControl[]): WaitReason[] {
  return controls
    .filter(({ kind }) => kind === 'pause')
    .map((pause) => ({ text: pauseReason(pause), nextMs: pause.untilMs }));
}

function limitOf(destination: DestinationState, controls: readonly DestinationControl[]): string {
  const { limit, rateDelayMs } = destination;
  if (rateDelayMs > 0) return 'a rate delay allows one';
  const by = bySetter(destination, controls, 'concurrency-limit');
  return limit === 0 ? `without limit${by}` : `limit ${limit}${by}`;
}

/** Who set it, when it was an operator. */
function bySetter(
  destination: DestinationState,
  controls: readonly DestinationControl[],
  kind: DestinationControl['kind'],
): string {
  const control = controls.find((one) => one.kind === kind && formatName(one) === formatName(destination));
  return control === undefined
    ? ''
    : `, set by the operator until ${at(control.untilMs)}: ${control.reason};`;
}

function noLeader({ shard, lease }: Circumstances): WaitReason {
  if (lease === undefined) return { text: `NO SCHEDULER LEADS shard ${shard}: start mailfleet scheduler` };
  return {
    text: `the scheduler of shard ${shard}, ${lease.holder}, did not answer: it is busy or gone; its lease ends in ${Math.ceil(lease.leftMs / 1000)} s unless it renews it, and then a standby takes over`,
  };
}

function workersRun({ workers }: Circumstances): string {
  if (workers === 0) return 'NO WORKER RUNS, start mailfleet smtp-worker';
  return workers === 1 ? '1 worker runs' : `${workers} workers run`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function at(ms: number): string {
  return new Date(ms).toISOString();
}
