/**
 * The end of a message's pass, when every recipient was read and tried: notices are asked for one after the other (the bounce
 * daemon answers each through the inbox), then the message is deferred or retired; while recipients wait for a paused
 * destination it is deferred until the pause ends. Expiry and delay are looked at here and
 * nowhere else, so a message is never returned without an attempt.
 */
import type { InboxEntry, NoticeRequest } from '@mailfleet/queue';
import type { Message } from './model.ts';
import { isExpired, isWarningDue, nextAttemptMs } from './retry.ts';
import { readOn } from './slots.ts';
import type { State } from './state.ts';

export function endPass(state: State, message: Message, nowMs: number): void {
  const { envelope } = message.active;
  const { queueId } = envelope;
  const { turn, settings } = state;
  if (message.unread > 0 || message.reading > 0) {
    readOn(state, message);
  } else if (message.bounced) {
    message.bounced = false;
    ask(state, message, 'failure');
  } else if (message.succeeded) {
    message.succeeded = false;
    ask(state, message, 'success');
  } else if (!message.deferred && message.parkedFor !== undefined) {
    leave(state, message);
    turn.conclusions.push({ kind: 'defer', queueId, dueMs: parkedUntilMs(message, nowMs) });
  } else if (!message.deferred) {
    leave(state, message);
    turn.conclusions.push({ kind: 'retire', queueId });
    turn.concluded.push({ kind: 'removed', queueId });
  } else if (isExpired(settings, envelope, nowMs)) {
    message.deferred = false;
    turn.concluded.push({ kind: 'expired', queueId, from: envelope.sender });
    ask(state, message, 'expiry');
  } else if (!message.warned && isWarningDue(settings, envelope, nowMs)) {
    message.warned = true;
    ask(state, message, 'delay');
  } else {
    leave(state, message);
    const retryMs = nextAttemptMs(settings, envelope.createdMs, nowMs);
    const dueMs = Math.min(retryMs, parkedUntilMs(message, nowMs));
    turn.conclusions.push({ kind: 'defer', queueId, dueMs });
  }
}

/** When the first pause ends of those that recipients wait for; one that was lifted meanwhile ends now. */
function parkedUntilMs({ parkedFor }: Message, nowMs: number): number {
  const ends = Array.from(parkedFor ?? [], (controls) => controls.get('pause')?.untilMs ?? nowMs);
  return Math.min(...ends);
}

type Posted = Extract<InboxEntry, { kind: 'notified' }>;

/** The bounce daemon is done with a request; one that the message does not wait for (a repeat, a former leader's) is no answer. */
export function noticePosted(state: State, { queueId, pass, notice, term }: Posted, nowMs: number): void {
  const message = state.messages.get(queueId);
  if (message?.awaits !== notice || message.active.pass !== pass || state.term !== term) return;
  message.awaits = undefined;
  endPass(state, message, nowMs);
}

function ask(state: State, message: Message, notice: NoticeRequest['notice']): void {
  const { envelope, pass } = message.active;
  const { queueId, traceparent } = envelope;
  message.awaits = notice;
  state.turn.conclusions.push({
    kind: 'notice',
    request: {
      shard: state.shard,
      queueId,
      pass,
      notice,
      term: state.term,
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  });
}

function leave(state: State, message: Message): void {
  state.messages.delete(message.active.envelope.queueId);
}
