/**
 * Messages that are handed out no more: an operator put them on hold or deleted them, or their time is over. What waits for
 * a destination is taken out, batches that no worker has begun are called back, and what a worker has is left to finish;
 * then the pass ends.
 */
import type { RoutedRecipient } from '@mailfleet/queue';
import { finish } from './finishing.ts';
import { deferral, outcomesOf } from './local.ts';
import type { Entry, Message } from './model.ts';
import { endOfLifetimeMs } from './retry.ts';
import { dropIfIdle, openEntries, type State } from './state.ts';
import { dropEntry } from './transport.ts';

/** RFC 3463: X.4.7 delivery time expired, X.7.0 other security status, which is Postfix's for an operator's decision. */
const EXPIRED = deferral({
  status: '4.4.7',
  reason: 'delivery time expired',
});
const FORCED = deferral({ status: '4.7.0', reason: 'the message was expired by an operator' });

/** Why a message gets no attempt from the start: a former leader was told to hold it, or its time is over. */
export function reasonToStop(state: State, message: Message, nowMs: number): 'hold' | 'expire' | undefined {
  if (message.active.held) return 'hold';
  const overdue = message.forcedExpire || nowMs >= endOfLifetimeMs(state.settings, message.active.envelope);
  return overdue ? 'expire' : undefined;
}

/** Harmless when repeated: what a worker has meanwhile given back, or never began, is called back then. */
export function stop(
  state: State,
  message: Message,
  why: NonNullable<Message['stopped']>,
  nowMs: number,
): void {
  message.stopped = why;
  const waiting: Entry[] = [];
  for (const entry of openEntries(state, message)) {
    if (entry.state === 'waiting') waiting.push(entry);
    else if (entry.flight !== undefined) state.turn.recalls.add(entry.flight.id);
  }
  for (const entry of waiting) {
    dropEntry(entry);
    dropIfIdle(state, entry.peer.destination);
    settle(state, entry, nowMs);
  }
}

/** Ends an entry of a stopped message that stands on no list. */
export function settle(state: State, entry: Entry, nowMs: number): void {
  const { message, recipients } = entry;
  if (message.stopped === 'expire') tellOverdue(state, message, recipients, nowMs);
  else message.withdrawn = true;
  finish(state, entry, nowMs);
}

/** Recipients that were never tried get their outcome, so that the notice can name them; others keep theirs. */
export function tellOverdue(
  state: State,
  message: Message,
  recipients: readonly RoutedRecipient[],
  nowMs: number,
): void {
  if (recipients.length === 0) return;
  const local = message.forcedExpire ? FORCED : EXPIRED;
  const { outcomes, events } = outcomesOf(message, recipients, local, nowMs);
  state.turn.locals.push({
    queueId: message.active.envelope.queueId,
    outcomes,
    steps: [],
    onlyUntried: true,
  });
  // In a later pass the log has their attempts.
  if (message.active.pass === 0) state.turn.events.push(...events);
  message.deferred = true;
}
