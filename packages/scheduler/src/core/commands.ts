/** What an operator's command means for the active queue. What it means for the rest is done in Redis. */
import type { InboxEntry } from '@mailfleet/queue';
import type { Admission } from './admission.ts';
import { reviveAll, reviveNexthops } from './reviving.ts';
import type { State } from './state.ts';
import { stop } from './stopping.ts';

type Command = Extract<InboxEntry, { kind: 'command' }>;

export function obey(
  state: State,
  admission: Admission,
  { command, queueId, nexthops }: Command,
  nowMs: number,
): void {
  const message = queueId === undefined ? undefined : state.messages.get(queueId);
  switch (command) {
    case 'flush':
      if (nexthops !== undefined) {
        reviveNexthops(state, new Set(nexthops));
      } else if (queueId === undefined) {
        state.transportsLifted = true;
        reviveAll(state);
      } else if (message === undefined) {
        state.flushing.add(queueId);
      }
      break;
    case 'hold':
    case 'delete':
      if (message !== undefined) stop(state, message, command, nowMs);
      else if (queueId !== undefined) state.flushing.delete(queueId);
      break;
    case 'expire':
      if (message === undefined) break;
      message.forcedExpire = true;
      // What is held is returned after its release only.
      if (message.stopped !== 'hold') stop(state, message, 'expire', nowMs);
      break;
  }
  admission.mailArrived();
  admission.forgetDue();
}
