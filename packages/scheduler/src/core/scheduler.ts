/**
 * The queue manager's mind: a deterministic state machine after qmgr(8). Put in messages, inbox entries and the time;
 * `takeTurn` hands out what is to be done: batches, outcomes decided here, conclusions, events. It does no I/O and reads
 * no clock; times in milliseconds must not run backwards.
 *
 * Every message put in is concluded exactly once (retire or defer) if every batch handed out ends, every notice
 * asked for is reported and every read is answered.
 */
import type {
  ActiveMessage,
  ControlChange,
  ExpiredMessages,
  InboxEntry,
  LeaderAnswer,
  RecipientPage,
  Subject,
} from '@mailfleet/queue';
import type { Batch } from '@mailfleet/smtp';
import { Admission, type Pull } from './admission.ts';
import { cutBatches } from './batching.ts';
import { obey } from './commands.ts';
import { applyControl, endControls } from './controls.ts';
import { enter, recipientsRead, restore } from './entering.ts';
import { ExpiryWatch } from './expiry-watch.ts';
import { explain } from './explain.ts';
import { noticePosted } from './pass.ts';
import { applyResult, endBatch } from './results.ts';
import { endOfLifetimeMs } from './retry.ts';
import { runTimers } from './reviving.ts';
import { type CoreOptions, makeState } from './state.ts';
import { stop } from './stopping.ts';
import { makeTurn, type Turn } from './turn.ts';

/**
 * Expired messages in the active queue at a time, beyond its limit: all they wait for is a notice, and when very many
 * expire together new mail still finds its place.
 */
const EXPIRED_AT_ONCE = 200;

export interface SchedulerCore {
  /** Rebuilds what a former leader left; once, before anything else. */
  restore(messages: readonly ActiveMessage[], batches: readonly Batch[], nowMs: number): void;
  apply(entry: InboxEntry, nowMs: number): void;
  /** The recipients that a turn asked for; not of a message that was concluded since, which may be back and ask anew. */
  recipientsRead(queueId: string, page: RecipientPage, nowMs: number): void;
  /** What an operator set on a destination: when the lead begins, all of it comes before `restore`. */
  control(change: ControlChange, nowMs: number): void;
  /** What the memory holds of a message or destination; changes nothing. */
  explain(subject: Subject, nowMs: number): LeaderAnswer;
  /** Which messages to pull into the active queue now; `pulled` must follow before the next question. */
  nextPull(nowMs: number): Pull | undefined;
  pulled(pull: Pull, messages: readonly ActiveMessage[], nowMs: number): void;
  /** The first due time of deferred must be asked of the queue and told. */
  readonly dueUnknown: boolean;
  setDue(dueMs: number | undefined, nowMs: number): void;
  /** The first time of the expiry index must be asked of the queue and told. */
  readonly expiryUnknown: boolean;
  setExpiry(firstMs: number | undefined): void;
  /** How many messages beyond their lifetime to ask the queue for now; `expired` must follow before the next question. */
  nextExpired(nowMs: number): number;
  expired(found: Pick<ExpiredMessages, 'taken' | 'active'>, nowMs: number): void;
  /** A batch of a turn's recalls is back; no worker had begun it. */
  recalled(batchId: string, nowMs: number): void;
  /** Looks at incoming and deferred again though nothing was announced: the net under lost wake-ups. */
  lookAgain(): void;
  /** The batch is no longer known to the queue and will not report. */
  vanished(batchId: string, nowMs: number): void;
  /** Batches handed out and not ended. */
  outstanding(): string[];
  /** Runs timers, cuts batches, and hands out all that was decided since the last call. */
  takeTurn(nowMs: number): Turn;
  /** When there will be something to do without further input. */
  nextTimerMs(): number | undefined;
}

export function createCore(options: CoreOptions): SchedulerCore {
  const state = makeState(options);
  const admission = new Admission();
  const expiry = new ExpiryWatch();
  const room = (): number => options.settings.activeLimit - (state.messages.size - state.returning.size);
  const apply = (entry: InboxEntry, nowMs: number): void => {
    switch (entry.kind) {
      case 'mail':
        if (entry.deferred === true) admission.forgetDue();
        else admission.mailArrived();
        // It may have to wait for a place longer than it lives.
        if (room() <= 0) expiry.forget();
        break;
      case 'result':
        applyResult(state, entry, nowMs);
        break;
      case 'batch-end':
        endBatch(state, entry.batchId, nowMs);
        break;
      case 'notified':
        noticePosted(state, entry, nowMs);
        break;
      case 'control':
        applyControl(state, entry.change, nowMs);
        break;
      case 'ask':
        state.turn.questions.push(entry);
        break;
      case 'command':
        obey(state, admission, entry, nowMs);
        expiry.forget();
        break;
    }
  };
  const lookAgain = (): void => {
    admission.mailArrived();
    admission.forgetDue();
    expiry.forget();
  };
  const moreExpired = (): number => Math.max(EXPIRED_AT_ONCE - state.returning.size, 0);
  return {
    restore: (messages, batches, nowMs) => restore(state, messages, batches, nowMs),
    apply,
    recipientsRead: (queueId, page, nowMs) => recipientsRead(state, queueId, page, nowMs),
    control: (change, nowMs) => applyControl(state, change, nowMs),
    explain: (subject, nowMs) => explain(state, subject, nowMs),
    nextPull: (nowMs) => admission.next(room(), nowMs),
    pulled: (pull, messages, nowMs) => {
      for (const message of messages) {
        enter(state, message, nowMs);
        expiry.seen(endOfLifetimeMs(state.settings, message.envelope));
      }
      admission.pulled(pull, messages.length);
    },
    get dueUnknown() {
      return admission.dueUnknown;
    },
    setDue: (dueMs, nowMs) => {
      admission.setDue(dueMs);
      if (dueMs === undefined || dueMs > nowMs) state.transportsLifted = false;
    },
    get expiryUnknown() {
      return expiry.unknown;
    },
    setExpiry: (firstMs) => expiry.set(firstMs),
    nextExpired: (nowMs) => (expiry.isDue(nowMs) ? moreExpired() : 0),
    expired: ({ taken, active }, nowMs) => {
      for (const message of taken) {
        state.returning.add(message.envelope.queueId);
        enter(state, message, nowMs);
      }
      for (const queueId of active) {
        const message = state.messages.get(queueId);
        if (message === undefined || message.active.held || message.stopped === 'hold') continue;
        stop(state, message, message.stopped ?? 'expire', nowMs);
      }
      expiry.forget();
    },
    recalled: (batchId, nowMs) => endBatch(state, batchId, nowMs, true),
    lookAgain,
    vanished: (batchId, nowMs) => endBatch(state, batchId, nowMs),
    outstanding: () => [...state.flights.keys()],
    takeTurn: (nowMs) => {
      endControls(state, nowMs);
      runTimers(state, nowMs);
      cutBatches(state, nowMs);
      const { turn } = state;
      state.turn = makeTurn();
      for (const conclusion of turn.conclusions) {
        if (conclusion.kind === 'defer') admission.deferredUntil(conclusion.dueMs);
      }
      return turn;
    },
    nextTimerMs: () =>
      earliest(
        earliest(state.timers.peek()?.timerMs, state.controlTimers.peek()?.timerMs),
        earliest(room() > 0 ? admission.dueMs : undefined, moreExpired() > 0 ? expiry.nextMs : undefined),
      ),
  };
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
