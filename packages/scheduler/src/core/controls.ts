/**
 * An operator's pauses and limits of destinations. What waits for a paused destination is put back: its message returns to
 * the deferred queue until the pause ends, without an attempt and without an outcome, so that a pause takes no place in
 * the active queue from others. A pause that is lifted early wakes what waits for it: its messages are due exactly when it
 * would have ended.
 */
import type { ControlChange } from '@mailfleet/queue';
import { Controls, controlKey } from './controlled.ts';
import { finish } from './finishing.ts';
import type { Entry } from './model.ts';
import { dropIfIdle, type State } from './state.ts';
import { dropEntry, offer } from './transport.ts';

export function applyControl(state: State, change: ControlChange, nowMs: number): void {
  const { kind, control, previousUntilMs } = change;
  const key = controlKey(change);
  const controls = state.controls.get(key) ?? new Controls(key);
  controls.put(kind, control !== undefined && control.untilMs > nowMs ? control : undefined);
  state.controls.set(key, controls);
  settle(state, controls, nowMs);
  if (kind === 'pause' && previousUntilMs !== undefined && previousUntilMs > (control?.untilMs ?? nowMs)) {
    wake(state, previousUntilMs);
  }
}

/** Ends what is due to end. */
export function endControls(state: State, nowMs: number): void {
  for (;;) {
    const controls = state.controlTimers.peek();
    if (controls === undefined || controls.timerMs > nowMs) return;
    controls.dropEnded(nowMs);
    settle(state, controls, nowMs);
  }
}

/** Puts back an entry of a paused destination that stands on no list. */
export function park(state: State, entry: Entry, controls: Controls, nowMs: number): void {
  entry.message.park(controls);
  finish(state, entry, nowMs);
}

/** Brings timers and destinations in line with what is set now. */
function settle(state: State, controls: Controls, nowMs: number): void {
  state.controlTimers.remove(controls);
  if (controls.empty) state.controls.delete(controls.key);
  else state.controlTimers.add(controls);
  const transport = state.transports.get(controls.key.slice(0, controls.key.indexOf(':')));
  if (transport === undefined) return;
  const isMeant = ({ nexthop }: { readonly nexthop: string }): boolean =>
    controlKey({ transport: transport.name, nexthop }) === controls.key;
  // Several are meant where each recipient has a destination of its own, and a nexthop may be part of a site.
  for (const destination of [...transport.destinations.values()]) {
    const whole = isMeant(destination);
    if (whole) destination.control(controls.empty ? undefined : controls);
    if (controls.isPaused(nowMs)) {
      const peers = destination.peers.items().filter((peer) => whole || isMeant(peer));
      for (const entry of peers.flatMap((peer) => peer.waiting)) {
        dropEntry(entry);
        park(state, entry, controls, nowMs);
      }
    }
    offer(destination);
    dropIfIdle(state, destination);
  }
}

/** A message with recipients at several paused destinations is due at the first end: it may stand under any earlier one. */
function wake(state: State, untilMs: number): void {
  const ends = new Set([untilMs]);
  for (const controls of state.controls.values()) {
    const end = controls.get('pause')?.untilMs;
    if (end !== undefined && end <= untilMs) ends.add(end);
  }
  state.turn.wakes.push(...ends);
}
