/**
 * Delays as Postfix logs them: two significant digits below ten seconds, whole seconds above, never more than
 * `delay_logging_resolution_limit` decimals. Rounded half up in whole microseconds, so that 1.05 becomes 1.1 on
 * every machine. Manual page: postconf(5), delay_logging_resolution_limit.
 */
import type { DeliveryFields } from './event.ts';

const MICROSECONDS = 1_000_000;

/** Rounds `ms` (a fraction is allowed; negative counts as 0) to seconds, with at most `limit` (0..6) decimals. */
export function roundDelay(ms: number, limit: number): number {
  const value = Math.max(0, Math.round(ms * 1000));
  const resolution = resolutionOf(value, limit);
  return (Math.floor((value + resolution / 2) / resolution) * resolution) / MICROSECONDS;
}

/** Resolution in microseconds for `value` microseconds. */
function resolutionOf(value: number, limit: number): number {
  if (limit === 0 || value >= 10 * MICROSECONDS) return MICROSECONDS;
  if (value >= MICROSECONDS) return MICROSECONDS / 10;
  let resolution = MICROSECONDS / 10 ** limit;
  while (value >= 100 * resolution) resolution *= 10;
  return resolution;
}

/** The `delay=` and `delays=` of one recipient, in seconds. */
export interface Delays {
  readonly delay: number;
  /** Before the active queue, in the scheduler until hand-off, connection set-up, transmission. */
  readonly delays: readonly [number, number, number, number];
}

export function delaysOf(times: DeliveryFields['times'], limit: number): Delays {
  const { arrivalMs, activatedMs, handedOffMs, setUpMs, doneMs } = times;
  return {
    delay: roundDelay(doneMs - arrivalMs, limit),
    delays: [
      roundDelay(activatedMs - arrivalMs, limit),
      roundDelay(handedOffMs - activatedMs, limit),
      roundDelay(setUpMs - handedOffMs, limit),
      roundDelay(doneMs - setUpMs, limit),
    ],
  };
}
