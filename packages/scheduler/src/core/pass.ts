/**
 * The end of a message's pass, when every recipient was read and tried: notices are asked for one after the other (the bounce
 * daemon answers each through the inbox), then the message is deferred or retired; while recipients wait for a paused
 * destination it is deferred until the pause ends. A message whose time is over is returned here too; stopping.ts brings one
 * here that waits elsewhere.
 */
import type { InboxEntry, NoticeRequest } from '@mailfleet/queue';
import type { Message } from './model.ts';
import { isExpired, isWarningDue, nextAttemptMs } from './retry.ts';
import { forgetUnread, readOn } from './slots.ts';
import type { State } from './state.ts';

export function endPass(state: State, message: Message, nowMs: number): void {
  const { envelope } = message.active;
  const { queueId } = envelope;
  const { turn, settings } = state;
  if (message.stopped === 'delete') {
    leave(state, message);
  } else if (message.stopped !== 'hold' && isUnread(message)) {
    readOn(state, message);
  } else if (message.bounced) {
    message.bounced = false;
    ask(state, message, 'failure');
  } else if (message.succeeded) {
    message.succeeded = false;
    ask(state, message, 'success');
  } else if (!isLeft(message)) {
    leave(state, message);
    turn.conclusions.push({ kind: 'retire', queueId });
    turn.concluded.push({ kind: 'removed', queueId });
  } else if (message.stopped === 'hold') {
    // The queue puts it on hold, or makes it due if it was released meanwhile. What was not tried is as due as it was before.
    leave(state, message);
    const failed = message.deferred && !message.forcedExpire;
    const dueMs = failed ? nextAttemptMs(settings, envelope.createdMs, nowMs) : nowMs;
    turn.conclusions.push({ kind: 'defer', queueId, dueMs });
  } else if (!message.deferred) {
    leave(state, message);
    turn.conclusions.push({ kind: 'defer', queueId, dueMs: parkedUntilMs(message, nowMs) });
  } else if (message.forcedExpire || isExpired(settings, envelope, nowMs)) {
    message.deferred = false;
    const forced = message.forcedExpire;
    turn.concluded.push({ kind: 'expired', queueId, from: envelope.sender, ...(forced ? { forced } : {}) });
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

function isUnread({ unread, reading }: Message): boolean {
  return unread > 0 || reading > 0;
}

/** Recipients are without a final outcome: they failed for now, were taken out, wait for a pause to end, or were never read. */
function isLeft(message: Message): boolean {
  return message.deferred || message.withdrawn || message.parkedFor !== undefined || isUnread(message);
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
  const { queueId } = message.active.envelope;
  if (isUnread(message)) forgetUnread(state, message);
  state.messages.delete(queueId);
  state.returning.delete(queueId);
}
