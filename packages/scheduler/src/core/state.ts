/** All that the core knows: the objects of model.ts by name, the timers, and the turn in the making. */
import { Heap } from './heap.ts';
import { Destination, type Flight, type Message, Transport } from './model.ts';
import type { CoreSettings } from './settings.ts';
import { makeTurn, type Turn } from './turn.ts';

export interface State {
  readonly settings: CoreSettings;
  readonly shard: number;
  readonly fence: number;
  readonly term: string;
  /** Messages in the active queue, those that wait for a notice included. */
  readonly messages: Map<string, Message>;
  readonly transports: Map<string, Transport>;
  readonly flights: Map<string, Flight>;
  /** Destinations that are dead or suspended, transports that pause. */
  readonly timers: Heap<Destination | Transport>;
  /** Destinations in memory, over all transports. */
  destinations: number;
  batches: number;
  /** Queue ids that came from the expiry index and wait for their notice. */
  readonly returning: Set<string>;
  /** Queue ids to revive destinations for when they become active. */
  readonly flushing: Set<string>;
  /** defer_transports does not apply to what is flushed. */
  transportsLifted: boolean;
  turn: Turn;
}

export interface CoreOptions {
  readonly settings: CoreSettings;
  readonly shard: number;
  readonly fence: number;
  /** Unique over all leaders of the shard: part of batch ids, and told to the bounce daemon. */
  readonly term: string;
}

export function makeState({ settings, shard, fence, term }: CoreOptions): State {
  return {
    settings,
    shard,
    fence,
    term,
    messages: new Map(),
    transports: new Map(),
    flights: new Map(),
    timers: new Heap((a, b) => a.timerMs < b.timerMs),
    destinations: 0,
    batches: 0,
    returning: new Set(),
    flushing: new Set(),
    transportsLifted: false,
    turn: makeTurn(),
  };
}

export function transportOf(state: State, name: string): Transport {
  let transport = state.transports.get(name);
  if (transport === undefined) {
    transport = new Transport(name, state.settings.transport(name));
    state.transports.set(name, transport);
  }
  return transport;
}

export function destinationOf(
  state: State,
  transport: Transport,
  name: string,
  nexthop: string,
): Destination {
  let destination = transport.destinations.get(name);
  if (destination === undefined) {
    destination = new Destination(transport, name, nexthop);
    transport.destinations.set(name, destination);
    state.destinations += 1;
  }
  return destination;
}

/**
 * Forgets a destination with nothing to do, and with it its window. A dead one stays until its timer fires, unless there
 * are too many.
 */
export function dropIfIdle(state: State, destination: Destination): void {
  if (destination.waiting > 0 || destination.busy > 0) return;
  const { transport, name } = destination;
  if (destination.suspended || destination.window.dead) {
    if (state.destinations <= 2 * state.settings.recipientLimit) return;
    state.timers.remove(destination);
  }
  if (transport.destinations.get(name) !== destination) return;
  transport.destinations.delete(name);
  state.destinations -= 1;
}

export function setTimer(state: State, item: Destination | Transport, dueMs: number): void {
  state.timers.remove(item);
  item.timerMs = dueMs;
  state.timers.add(item);
}
