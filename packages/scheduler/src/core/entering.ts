/**
 * Messages enter the active queue: recipients become entries of their destinations; those that no worker is for, or
 * whose destination is dead, get their outcome at once.
 */
import { type ActiveMessage, type RecipientPage, type RoutedRecipient, wantsSuccess } from '@mailfleet/queue';
import type { Batch, Outcome } from '@mailfleet/smtp';
import { warnOfClog } from './clog.ts';
import { queueNameOf, sortRecipients } from './grouping.ts';
import { deferral, type LocalOutcome, localOutcome, outcomesOf } from './local.ts';
import {
  type Destination,
  type Entry,
  type Flight,
  Job,
  Message,
  type Peer,
  type Transport,
} from './model.ts';
import { endPass } from './pass.ts';
import { revive } from './reviving.ts';
import type { CoreSettings } from './settings.ts';
import { countRecipient, firstReadSize, readOn, readToEnd } from './slots.ts';
import { destinationOf, pauseOf, type State, transportOf } from './state.ts';
import { reasonToStop, stop, tellOverdue } from './stopping.ts';
import { addEntry, offer, retireIfDone } from './transport.ts';

export function enter(state: State, active: ActiveMessage, nowMs: number): void {
  const { envelope } = active;
  if (state.messages.has(envelope.queueId)) return;
  const message = register(state, active);
  state.turn.events.push({
    kind: 'activated',
    queueId: envelope.queueId,
    from: envelope.sender,
    sizeBytes: envelope.sizeBytes,
    nrcpt: active.recipientCount,
  });
  begin(state, message, active.recipients, nowMs);
}

/** The answer to a read of a turn. */
export function recipientsRead(state: State, queueId: string, page: RecipientPage, nowMs: number): void {
  const message = state.messages.get(queueId);
  if (message === undefined) return;
  state.recipients -= message.reading;
  message.reading = 0;
  message.lastReadMs = nowMs;
  message.after = page.after;
  message.unread = page.unread;
  if (page.unreported.length > 0) message.bounced = true;
  if (page.unreportedSuccess.length > 0) message.succeeded = true;
  const { handedOut } = message;
  const news =
    handedOut === undefined ? page.recipients : page.recipients.filter(({ index }) => !handedOut.has(index));
  take(state, message, news, nowMs);
  for (const job of message.jobs) {
    // It may have become small enough to go first, or large enough for others to do so.
    job.transport.candidate = undefined;
    retireIfDone(job);
  }
  // All of them were final: nothing will end that could ask for the next.
  if (page.recipients.length === 0 && message.unread > 0) readOn(state, message);
}

/**
 * Rebuilds the active queue of a former leader: recipients in its batches count as handed out, the rest waits. To be
 * called once, before anything else. A message may stand in `actives` twice, as pages of a changing queue show it.
 */
export function restore(
  state: State,
  actives: readonly ActiveMessage[],
  batches: readonly Batch[],
  nowMs: number,
): void {
  const restored = new Map<string, Restored>();
  for (const active of actives) {
    const { queueId } = active.envelope;
    if (!state.messages.has(queueId)) {
      restored.set(queueId, { message: register(state, active), recipients: active.recipients });
    }
  }
  for (const batch of batches) restoreFlight(state, batch, restored);
  for (const { message, recipients } of restored.values()) {
    const { handedOut } = message;
    const rest = recipients.filter(({ index }) => handedOut?.has(index) !== true);
    if (message.formerFlights === 0) begin(state, message, rest, nowMs);
    else message.stopped = reasonToStop(state, message, nowMs);
  }
}

interface Restored {
  readonly message: Message;
  /** Its open recipients, as far as they were read. */
  readonly recipients: readonly RoutedRecipient[];
}

/** A batch keeps its slot until it ends, also when all of its recipients are final: a worker is at it. */
function restoreFlight(state: State, batch: Batch, restored: ReadonlyMap<string, Restored>): void {
  const transport = transportOf(state, batch.transport);
  const destination = destinationOfBatch(state, transport, batch);
  if (destination === undefined) return;
  const entries: Entry[] = [];
  const unread: Message[] = [];
  for (const { envelope, recipients } of batch.requests) {
    const found = restored.get(envelope.queueId);
    if (found === undefined) continue;
    const { message } = found;
    const asked = new Set(recipients.map(({ index }) => index));
    const open = found.recipients.filter(({ index }) => asked.has(index));
    if (open.length === 0) {
      if (message.unread === 0) continue;
      // Which of them are open will be known when they are read, and that must wait for what this batch makes of them.
      message.formerFlights += 1;
      unread.push(message);
      continue;
    }
    const entry = makeEntry(peerOf(message, destination, batch.nexthop));
    for (const recipient of open) addRecipient(state, entry, recipient);
    entry.state = 'busy';
    entry.peer.job.read += 1;
    entry.peer.job.selected += 1;
    entries.push(entry);
    message.handedOut ??= new Set();
    for (const { index } of open) message.handedOut.add(index);
  }
  const flight: Flight = { id: batch.id, destination, entries, unread };
  for (const entry of entries) entry.flight = flight;
  state.flights.set(flight.id, flight);
  destination.busy += 1;
  transport.busy += 1;
}

function destinationOfBatch(state: State, transport: Transport, batch: Batch): Destination | undefined {
  const { nexthop, requests } = batch;
  const recipient = requests[0]?.recipients[0];
  if (recipient === undefined) return undefined;
  return enterDestination(state, transport, { ...recipient, transport: transport.name, nexthop });
}

function register(state: State, active: ActiveMessage): Message {
  const { queueId } = active.envelope;
  const flushing = state.flushing.delete(queueId);
  // Recipients live in entries, and leave with them; a single one is not worth the copy.
  const kept = active.recipients.length > 1 ? { ...active, recipients: [] } : active;
  const message = new Message(kept, state.settings.recipientMinimum, flushing);
  state.messages.set(queueId, message);
  return message;
}

/** The first recipients of a message; what there is no room for is forgotten and read again. */
function begin(state: State, message: Message, recipients: readonly RoutedRecipient[], nowMs: number): void {
  message.stopped = reasonToStop(state, message, nowMs);
  const most = firstReadSize(state, message);
  if (recipients.length <= most) {
    take(state, message, recipients, nowMs);
    return;
  }
  const first = recipients.toSorted((a, b) => a.index - b.index).slice(0, most);
  message.unread += recipients.length - most;
  message.after = first.at(-1)?.index ?? -1;
  message.lastReadMs = nowMs;
  take(state, message, first, nowMs);
}

/** Recipients that were read: those of a stopped message are not handed out. */
function take(state: State, message: Message, recipients: readonly RoutedRecipient[], nowMs: number): void {
  const { stopped } = message;
  if (stopped === undefined) {
    assign(state, message, recipients, nowMs);
    return;
  }
  if (stopped === 'expire') tellOverdue(state, message, recipients, nowMs);
  else if (recipients.length > 0) message.withdrawn = true;
  if (message.unread === 0) readToEnd(message);
  if (message.open === 0) endPass(state, message, nowMs);
  else stop(state, message, stopped, nowMs);
}

function assign(state: State, message: Message, recipients: readonly RoutedRecipient[], nowMs: number): void {
  const outcomes: Outcome[] = [];
  for (const recipient of sortRecipients(recipients)) {
    const transport = transportOf(state, recipient.transport);
    const local =
      localOutcome(transport.settings.agent, transport.name, recipient.nexthop) ??
      place(state, message, transport, recipient, nowMs);
    if (local === undefined) continue;
    noteOutcome(state.settings, message, local.kind, recipient);
    const told = outcomesOf(message, [recipient], local, nowMs);
    outcomes.push(...told.outcomes);
    state.turn.events.push(...told.events);
  }
  if (outcomes.length > 0) {
    const { confirmDelayCleared } = state.settings;
    const cleared = confirmDelayCleared && message.active.warned;
    const wishes = recipients.filter((recipient) => wantsSuccess(recipient, cleared));
    state.turn.locals.push({
      queueId: message.active.envelope.queueId,
      outcomes,
      steps: [],
      ...(wishes.length > 0 ? { wantsSuccess: wishes.map(({ index }) => index) } : {}),
    });
  }
  if (message.unread === 0) readToEnd(message);
  if (message.open === 0) endPass(state, message, nowMs);
}

const DEFERRED_TRANSPORT = deferral({ status: '4.3.2', reason: 'deferred transport' });

/** Adds the recipient to an entry, or says why not; one whose destination is paused is left alone. */
function place(
  state: State,
  message: Message,
  transport: Transport,
  recipient: RoutedRecipient,
  nowMs: number,
): LocalOutcome | undefined {
  const { settings } = state;
  const lifted = message.flushing || state.transportsLifted;
  if (!lifted && settings.deferTransports.has(transport.name)) return DEFERRED_TRANSPORT;
  const { nexthop } = recipient;
  const pause = pauseOf(state, transport, nexthop, state.siteOf(transport.name, nexthop), nowMs);
  if (pause !== undefined) {
    message.park(pause);
    return undefined;
  }
  const destination = enterDestination(state, transport, recipient);
  if (destination.trouble !== undefined) {
    if (!message.flushing) return deferral(destination.trouble);
    revive(state, destination);
  }
  const peer = peerOf(message, destination, nexthop);
  const limit = message.active.envelope.verp === undefined ? transport.settings.recipientLimit : 1;
  const last = peer.waiting.at(-1);
  if (last !== undefined && (limit === 0 || last.recipients.length < limit)) {
    addRecipient(state, last, recipient);
    return undefined;
  }
  const entry = makeEntry(peer);
  addEntry(entry, false);
  addRecipient(state, entry, recipient);
  offer(destination);
  warnOfClog(state, destination, nowMs);
  return undefined;
}

/** The recipient's own destination where each has one, else that of its site, else that of its nexthop. */
function enterDestination(state: State, transport: Transport, recipient: RoutedRecipient): Destination {
  const { settings, name: transportName } = transport;
  const { nexthop } = recipient;
  const site = settings.recipientLimit === 1 ? undefined : state.siteOf(transportName, nexthop);
  if (site !== undefined) return destinationOf(state, transport, site, site);
  const name = queueNameOf(recipient, settings, state.settings.recipientDelimiter);
  return destinationOf(state, transport, name, nexthop);
}

function makeEntry(peer: Peer): Entry {
  const { message } = peer.job;
  message.open += 1;
  peer.open += 1;
  return { message, peer, recipients: [], size: 0, state: 'waiting', returns: 0, flight: undefined };
}

function addRecipient(state: State, entry: Entry, recipient: RoutedRecipient): void {
  entry.recipients.push(recipient);
  entry.message.hold(recipient.index, entry);
  countRecipient(state, entry);
}

function peerOf(message: Message, destination: Destination, nexthop: string): Peer {
  const { transport } = destination;
  let job = message.jobs.find((one) => one.transport === transport);
  if (job === undefined) {
    transport.lastPosition += 1;
    job = new Job(message, transport, transport.lastPosition);
    message.jobs.push(job);
  }
  // A nexthop of the site, or the destination's own in its spelling.
  const name = nexthop.toLowerCase();
  return job.peerFor(destination, name === destination.nexthop.toLowerCase() ? destination.nexthop : name);
}

/** What an outcome means for the end of its message's pass. */
export function noteOutcome(
  { confirmDelayCleared }: CoreSettings,
  message: Message,
  kind: Outcome['kind'],
  recipient: RoutedRecipient,
): void {
  if (kind === 'deferred') message.deferred = true;
  else if (kind === 'bounced') message.bounced = true;
  else if (wantsSuccess(recipient, confirmDelayCleared && message.active.warned)) message.succeeded = true;
}
