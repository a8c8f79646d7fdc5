/** The end of an entry, which may be the end of its message's pass. */
import type { Entry } from './model.ts';
import { endPass } from './pass.ts';
import type { State } from './state.ts';

/** All recipients of the entry have their outcome. */
export function finish(state: State, entry: Entry, nowMs: number): void {
  const { message } = entry;
  entry.state = 'done';
  entry.flight = undefined;
  message.open -= 1;
  if (message.open === 0) endPass(state, message, nowMs);
}
