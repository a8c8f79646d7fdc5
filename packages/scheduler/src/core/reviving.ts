/**
 * Dead destinations and pauses. A destination dies when it failed as many cohorts as allowed; what waits for it is
 * deferred with its reason, and so is what comes, until its timer, a success of a batch still under way or an operator's
 * flush revives it.
 */
import type { HopStatus } from '@mailfleet/smtp';
import { finish } from './finishing.ts';
import { deferral, outcomesOf } from './local.ts';
import { Destination, type Entry } from './model.ts';
import { dropIfIdle, type State, setTimer } from './state.ts';
import { dropEntry, offer } from './transport.ts';

const STATUS = /^[245]\.\d{1,3}\.\d{1,3}$/;

export function die(state: State, destination: Destination, report: HopStatus, nowMs: number): void {
  const reason = report.reason === '' ? 'unknown error' : report.reason;
  destination.trouble = {
    status: STATUS.test(report.status) ? report.status : '4.0.0',
    reason: `delivery temporarily suspended: ${reason}`,
  };
  destination.connectionLoad = false;
  destination.connectionStore = false;
  setTimer(state, destination, nowMs + state.settings.minimalBackoffMs);
  const waiting = destination.peers.items().flatMap((peer) => peer.waiting);
  for (const entry of waiting) {
    dropEntry(entry);
    deferEntry(state, entry, destination.trouble, nowMs);
  }
}

/** Defers an entry that stands on no list, without an attempt. */
export function deferEntry(state: State, entry: Entry, trouble: HopStatus, nowMs: number): void {
  const { message, recipients } = entry;
  const { outcomes, events } = outcomesOf(message, recipients, deferral(trouble), nowMs);
  state.turn.locals.push({ queueId: message.active.envelope.queueId, outcomes, steps: [] });
  state.turn.events.push(...events);
  message.deferred = true;
  finish(state, entry, nowMs);
}

export function revive(state: State, destination: Destination): void {
  state.timers.remove(destination);
  destination.trouble = undefined;
  destination.window.revive(destination.busy);
}

/** "Flush": forgets what is dead. Pauses stay, they are the receiver's wish. */
export function reviveAll(state: State): void {
  reviveSome(state, () => true);
}

/** The same for some destinations, by their nexthop in lower case. */
export function reviveNexthops(state: State, nexthops: ReadonlySet<string>): void {
  reviveSome(state, ({ nexthop }) => nexthops.has(nexthop.toLowerCase()));
}

function reviveSome(state: State, wanted: (destination: Destination) => boolean): void {
  for (const transport of state.transports.values()) {
    for (const destination of transport.destinations.values()) {
      if (destination.trouble === undefined || !wanted(destination)) continue;
      revive(state, destination);
      dropIfIdle(state, destination);
    }
  }
}

/** Ends what is due to end. */
export function runTimers(state: State, nowMs: number): void {
  for (;;) {
    const item = state.timers.peek();
    if (item === undefined || item.timerMs > nowMs) return;
    state.timers.remove(item);
    if (!(item instanceof Destination)) continue;
    if (item.suspended) item.suspended = false;
    else revive(state, item);
    offer(item);
    dropIfIdle(state, item);
  }
}
