/** The end of an entry, which may be the end of its message's pass. */
import type { Entry } from './model.ts';
import { endPass } from './pass.ts';
import { refill, releaseEntry } from './slots.ts';
import type { State } from './state.ts';

/** All recipients of the entry have their outcome. */
export function finish(state: State, entry: Entry, nowMs: number): void {
  const { message } = entry;
  entry.state = 'done';
  entry.flight = undefined;
  for (const { index } of entry.recipients) message.forget(index);
  message.open -= 1;
  releaseEntry(state, entry);
  if (message.open === 0) endPass(state, message, nowMs);
  else refill(state, message, entry.peer.job.transport, false, nowMs);
}
