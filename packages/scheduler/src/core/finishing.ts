/** The end of an entry, which may be the end of its message's pass. */
import type { Entry } from './model.ts';
import { endPass } from './pass.ts';
import { refill, releaseEntry } from './slots.ts';
import type { State } from './state.ts';

/** All recipients of the entry have their outcome. */
export function finish(state: State, entry: Entry, nowMs: number): void {
  const { message, peer } = entry;
  entry.state = 'done';
  entry.flight = undefined;
  peer.open -= 1;
  if (peer.open === 0) peer.job.forget(peer);
  for (const { index } of entry.recipients) message.forget(index);
  message.open -= 1;
  releaseEntry(state, entry);
  if (message.open === 0) endPass(state, message, nowMs);
  else refill(state, message, peer.job.transport, false, nowMs);
}
