/**
 * Cuts batches while windows have free slots. A batch takes its share of what waits for the destination, the waiting
 * requests divided by the free slots: a short queue spreads over the window as Postfix would have it, a long one fills each
 * session up to destination_batch_limit.
 */
import type { Batch, DeliveryRequest, Protocol, Recipient } from '@mailfleet/smtp';
import type { Entry, Flight, Peer, Transport } from './model.ts';
import type { State } from './state.ts';
import { nextPeer, offer, takeEntry } from './transport.ts';

export function cutBatches(state: State, nowMs: number): void {
  for (const transport of state.transports.values()) {
    while (transport.freeSlots(nowMs) > 0) {
      const peer = nextPeer(transport, nowMs);
      if (peer === undefined) break;
      cut(state, transport, peer, nowMs);
    }
  }
}

function cut(state: State, transport: Transport, lead: Peer, nowMs: number): void {
  const { destination } = lead;
  const entries = fill(state, lead);
  destination.busy += 1;
  transport.busy += 1;
  state.batches += 1;
  const id = `b${state.shard}-${state.term}-${state.batches}`;
  const flight: Flight = { id, destination, entries };
  for (const entry of entries) entry.flight = flight;
  state.flights.set(id, flight);
  offer(destination);

  const caching = destination.cacheHints.select(destination.busy, nowMs);
  const batch: Batch = {
    id,
    shard: state.shard,
    fence: state.fence,
    transport: transport.name,
    // Only transports with a worker's agent get entries.
    protocol: transport.settings.agent as Protocol,
    nexthop: destination.nexthop,
    batchedMs: nowMs,
    requests: entries.map(requestOf),
    ...(caching === undefined ? {} : { caching }),
  };
  state.turn.batches.push(batch);
  for (const { message } of entries) {
    state.turn.events.push({
      kind: 'batched',
      queueId: message.active.envelope.queueId,
      batchId: id,
      transport: transport.name,
      nexthop: destination.nexthop,
      requests: entries.length,
    });
  }
}

/** The lead's entry, and those behind it in scheduler order. */
function fill(state: State, lead: Peer): Entry[] {
  const { destination } = lead;
  const { batchLimit, batchByteLimit } = state.settings;
  const { destinationRateDelayMs, transportRateDelayMs } = destination.transport.settings;
  // A rate delay follows every delivery, so a batch may hold one.
  const limit = destinationRateDelayMs > 0 || transportRateDelayMs > 0 ? 1 : batchLimit;
  const share = Math.min(limit, Math.ceil(destination.waiting / destination.freeSlots));
  const entries: Entry[] = [];
  let bytes = 0;
  for (let peer: Peer | undefined = lead; peer !== undefined; peer = destination.peers.peek()) {
    const entry = takeEntry(peer);
    entries.push(entry);
    bytes += entry.message.active.envelope.sizeBytes;
    if (entries.length >= share || bytes > batchByteLimit) break;
  }
  return entries;
}

function requestOf(entry: Entry): DeliveryRequest {
  const { envelope, contentShard, activatedMs } = entry.message.active;
  return { envelope, recipients: entry.recipients.map(withoutRoute), contentShard, activatedMs };
}

/** The batch names the route once. */
function withoutRoute({ index, address, originalAddress, orcpt, notify }: Recipient): Recipient {
  return {
    index,
    address,
    ...(originalAddress === undefined ? {} : { originalAddress }),
    ...(orcpt === undefined ? {} : { orcpt }),
    ...(notify === undefined ? {} : { notify }),
  };
}
