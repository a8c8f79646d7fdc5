/** All that the core knows: the objects of model.ts by name, the timers, and the turn in the making. */
import { type Controls, controlKey } from './controlled.ts';
import { Heap } from './heap.ts';
import { Destination, type Entry, type Flight, type Message, Transport } from './model.ts';
import type { CoreSettings } from './settings.ts';
import { makeTurn, type Turn } from './turn.ts';

export interface State {
  readonly settings: CoreSettings;
  readonly shard: number;
  readonly fence: number;
  readonly term: string;
  readonly siteOf: SiteOf;
  /** Messages in the active queue, those that wait for a notice included. */
  readonly messages: Map<string, Message>;
  readonly transports: Map<string, Transport>;
  readonly flights: Map<string, Flight>;
  /** Destinations that are dead or suspended, transports that pause. */
  readonly timers: Heap<Destination | Transport>;
  /** Recipients in memory or on their way there. */
  recipients: number;
  /** What operators have set, by destination, and when it ends. */
  readonly controls: Map<string, Controls>;
  readonly controlTimers: Heap<Controls>;
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
  /** Default: no nexthop has one. */
  readonly siteOf?: SiteOf;
}

/** Name of the site that a nexthop shares a window with others at; asked when recipients enter. */
export type SiteOf = (transport: string, nexthop: string) => string | undefined;

export function makeState({ settings, shard, fence, term, siteOf = () => undefined }: CoreOptions): State {
  return {
    settings,
    shard,
    fence,
    term,
    siteOf,
    messages: new Map(),
    transports: new Map(),
    flights: new Map(),
    timers: new Heap((a, b) => a.timerMs < b.timerMs),
    recipients: 0,
    controls: new Map(),
    controlTimers: new Heap((a, b) => a.timerMs < b.timerMs),
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
    destination = new Destination(transport, name, nexthop, controlsOf(state, transport, nexthop));
    transport.destinations.set(name, destination);
    state.destinations += 1;
  }
  return destination;
}

/** The pause of a nexthop, or of its site. */
export function pauseOf(
  state: State,
  transport: Transport,
  nexthop: string,
  site: string | undefined,
  nowMs: number,
): Controls | undefined {
  for (const name of [nexthop, site]) {
    const controls = name === undefined ? undefined : controlsOf(state, transport, name);
    if (controls?.isPaused(nowMs) === true) return controls;
  }
  return undefined;
}

/** What operators have set on a destination, whether it is in memory or not. */
function controlsOf(state: State, transport: Transport, nexthop: string): Controls | undefined {
  if (state.controls.size === 0) return undefined;
  return state.controls.get(controlKey({ transport: transport.name, nexthop }));
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

/** A message does not list its entries: the waiting ones stand with their peers, the others with their batches. */
export function openEntries({ flights }: State, message: Message): Entry[] {
  const waiting = message.jobs.flatMap(({ peers }) => peers.flatMap((peer) => peer.waiting));
  const busy = Array.from(flights.values(), ({ entries }) => entries).flat();
  return [...waiting, ...busy.filter((entry) => entry.message === message && entry.flight !== undefined)];
}

export function setTimer(state: State, item: Destination | Transport, dueMs: number): void {
  state.timers.remove(item);
  item.timerMs = dueMs;
  state.timers.add(item);
}
