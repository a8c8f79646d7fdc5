/**
 * Cuts batches while windows have free slots. A batch takes its share of what waits for the destination, the waiting
 * requests divided by the free slots: a short queue spreads over the window as Postfix would have it, a long one fills each
 * session up to destination_batch_limit.
 */
import { verpSender } from '@mailfleet/queue';
import type { Batch, DeliveryRequest, Protocol, Recipient } from '@mailfleet/smtp';
import type { Destination, Entry, Flight, Peer, Transport } from './model.ts';
import type { State } from './state.ts';
import { nextPeer, offer, takeEntry } from './transport.ts';

export function cutBatches(state: State, nowMs: number): void {
  for (const transport of state.transports.values()) {
    while (transport.freeSlots(nowMs) > 0) {
      const peer = nextPeer(state, transport, nowMs);
      if (peer === undefined) break;
      cut(state, transport, peer, nowMs);
    }
  }
}

function cut(state: State, transport: Transport, lead: Peer, nowMs: number): void {
  const { destination } = lead;
  const entries = fill(state, lead, nowMs);
  destination.busy += 1;
  transport.busy += 1;
  state.batches += 1;
  const id = `b${state.shard}-${state.term}-${state.batches}`;
  const flight: Flight = { id, destination, entries };
  for (const entry of entries) entry.flight = flight;
  state.flights.set(id, flight);
  offer(destination);
  hintAtCaching(destination, nowMs);

  const batch: Batch = {
    id,
    shard: state.shard,
    fence: state.fence,
    transport: transport.name,
    // Only transports with a worker's agent get entries.
    protocol: transport.settings.agent as Protocol,
    nexthop: lead.nexthop,
    batchedMs: nowMs,
    requests: entries.map(requestOf),
    ...(destination.connectionLoad ? { connectionLoad: true } : {}),
    ...(destination.connectionStore ? { connectionStore: true } : {}),
  };
  state.turn.batches.push(batch);
  for (const { message } of entries) {
    state.turn.events.push({
      kind: 'batched',
      queueId: message.active.envelope.queueId,
      batchId: id,
      transport: transport.name,
      nexthop: lead.nexthop,
      requests: entries.length,
    });
  }
}

/**
 * On-demand connection caching, as qmgr(8) decides it: volume is not counted, deliveries back to back are what makes an open
 * session worth keeping. Compared in whole seconds.
 */
function hintAtCaching(destination: Destination, nowMs: number): void {
  const second = Math.floor(nowMs / 1000);
  const backToBack = Math.floor(destination.lastDoneMs / 1000) + 1 >= second;
  if (!destination.connectionStore) {
    if (!backToBack) return;
    destination.connectionLoad = true;
    destination.connectionStore = true;
  } else if (destination.busy <= 1 && !backToBack) {
    // Those that are open may still be used.
    destination.connectionStore = false;
  }
}

/** The lead's entry, and those for its nexthop behind it in scheduler order. */
function fill(state: State, lead: Peer, nowMs: number): Entry[] {
  const { destination } = lead;
  const { transportRateDelayMs } = destination.transport.settings;
  const { batchLimit, batchByteLimit, batchRecipientLimit } = state.settings;
  // A rate delay follows every delivery, so a batch may hold one.
  const limit = destination.rateDelayMs > 0 || transportRateDelayMs > 0 ? 1 : batchLimit;
  const share = Math.min(limit, Math.ceil(destination.waiting / destination.freeSlots));
  const entries: Entry[] = [];
  let bytes = 0;
  let recipients = 0;
  for (let peer: Peer | undefined = lead; peer !== undefined; peer = nextOf(destination, lead.nexthop)) {
    const entry = takeEntry(state, peer, nowMs);
    entries.push(entry);
    bytes += entry.message.active.envelope.sizeBytes;
    recipients += entry.recipients.length;
    if (entries.length >= share || bytes > batchByteLimit || recipients >= batchRecipientLimit) break;
  }
  return entries;
}

/** Most peers of a site that are looked at for one more request: those of other nexthops are in between, in no order. */
const LOOK_AT = 200;

function nextOf({ peers }: Destination, nexthop: string): Peer | undefined {
  const first = peers.peek();
  if (first === undefined || first.nexthop === nexthop) return first;
  let best: Peer | undefined;
  for (const peer of peers.items().slice(0, LOOK_AT)) {
    if (peer.nexthop === nexthop && (best === undefined || peer.job.position < best.job.position))
      best = peer;
  }
  return best;
}

function requestOf(entry: Entry): DeliveryRequest {
  const { envelope, contentShard, activatedMs, warned } = entry.message.active;
  const [first] = entry.recipients;
  return {
    // With VERP a request has one recipient.
    envelope:
      envelope.verp === undefined || first === undefined
        ? envelope
        : { ...envelope, sender: verpSender(envelope, first.address) },
    recipients: entry.recipients.map(withoutRoute),
    contentShard,
    activatedMs,
    ...(warned ? { warned } : {}),
  };
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
