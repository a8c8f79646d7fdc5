/**
 * When a message is tried again and when it is given up, from its age alone: attempts are not counted and no jitter is
 * added, so the age doubles between attempts until maximal_backoff_time. Times in milliseconds.
 *
 * A deferred message is found by its due time (an index), so it is tried at that time and not, as by qmgr(8), at the
 * next run through the deferred queue.
 */
export interface RetrySettings {
  readonly minimalBackoffMs: number;
  readonly maximalBackoffMs: number;
  /** maximal_queue_lifetime */
  readonly lifetimeMs: number;
  /** bounce_queue_lifetime, for mail with a null sender. */
  readonly bounceLifetimeMs: number;
  /** delay_warning_time; 0 is never. */
  readonly delayWarningMs: number;
}

/** The minimum wins when the bounds contradict each other. */
export function nextAttemptMs(settings: RetrySettings, createdMs: number, nowMs: number): number {
  const age = nowMs - createdMs;
  return nowMs + Math.max(Math.min(age, settings.maximalBackoffMs), settings.minimalBackoffMs);
}

interface Aged {
  readonly sender: string;
  readonly arrivalMs: number;
  readonly createdMs: number;
}

/** Whether it is to be returned after a failed attempt. */
export function isExpired(settings: RetrySettings, envelope: Aged, nowMs: number): boolean {
  return nowMs >= envelope.createdMs + lifetimeMs(settings, envelope);
}

/** When it is to be returned though no attempt fails. A lifetime of 0 means one attempt, and age alone never returns such a message. */
export function endOfLifetimeMs(settings: RetrySettings, envelope: Aged): number {
  const lifetime = lifetimeMs(settings, envelope);
  return lifetime === 0 ? Infinity : envelope.createdMs + lifetime;
}

/** A bounce that outlived ordinary mail would be the last thing in the queue. */
function lifetimeMs(settings: RetrySettings, { sender }: Aged): number {
  return sender === '' ? Math.min(settings.bounceLifetimeMs, settings.lifetimeMs) : settings.lifetimeMs;
}

/** Whether the sender is to be warned of the delay; one second early, as qmgr(8) has it. */
export function isWarningDue(settings: RetrySettings, envelope: Aged, nowMs: number): boolean {
  if (settings.delayWarningMs === 0 || envelope.sender === '') return false;
  return nowMs >= envelope.arrivalMs + settings.delayWarningMs - 1000;
}
