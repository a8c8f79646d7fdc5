/**
 * Warns of a destination that takes up much of the active queue, since other mail then waits for a place (qmgr_clog_warn_time). It says
 * what the destination waits for, as far as the scheduler can see.
 */
import type { Destination } from './model.ts';
import type { State } from './state.ts';

/** Of the active queue: what one destination may fill without a word. */
const SHARE = 5;

/** To be called when the destination got another entry. */
export function warnOfClog(state: State, destination: Destination, nowMs: number): void {
  const { clogWarnMs, activeLimit } = state.settings;
  if (clogWarnMs === 0 || destination.waiting <= activeLimit / SHARE || nowMs < destination.clogQuietMs)
    return;
  destination.clogQuietMs = nowMs + clogWarnMs;
  const filled = `${destination.waiting} delivery requests wait for ${destination.nexthop} in an active queue of ${activeLimit} messages`;
  const text = `${filled}: ${causeOf(destination)}; or raise qmgr_message_active_limit`;
  state.turn.events.push({ kind: 'remark', program: 'qmgr', warning: true, text });
}

function causeOf({ transport, window, busy, suspended, rateDelayMs }: Destination): string {
  const { name, settings } = transport;
  const { limit } = window;
  if (rateDelayMs > 0 || settings.transportRateDelayMs > 0 || suspended)
    return `a rate delay of transport ${name} holds it back; give it a transport of its own`;
  if (transport.busy >= settings.processLimit)
    return `transport ${name} has default_process_limit batches under way; raise that, or give this destination a transport of its own`;
  if (limit > 0 && window.size >= limit && busy >= limit)
    return `its ${limit} sessions are busy; raise ${name}_destination_concurrency_limit, if its servers allow`;
  return `its servers are slow or fail (window ${window.size}); a transport of its own with shorter connect timeouts keeps it apart`;
}
