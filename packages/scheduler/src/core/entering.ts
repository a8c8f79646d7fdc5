/**
 * Messages enter the active queue: recipients become entries of their destinations; those that no worker is for, or
 * whose destination is dead, get their outcome at once.
 */
import type { ActiveMessage, RoutedRecipient } from '@mailfleet/queue';
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
import { destinationOf, type State, transportOf } from './state.ts';
import { isOverdue, stop, tellOverdue } from './stopping.ts';
import { addEntry, offer } from './transport.ts';

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

/** A message whose time is over gets no attempt, nor does the rest of one that a former leader was told to hold. */
function begin(state: State, message: Message, recipients: readonly RoutedRecipient[], nowMs: number): void {
  if (message.active.held) {
    // Before recipients get outcomes here, which may end the pass.
    message.stopped = 'hold';
    assign(state, message, recipients, nowMs);
    if (message.open > 0) stop(state, message, 'hold', nowMs);
  } else if (isOverdue(state, message, nowMs)) {
    message.stopped = 'expire';
    tellOverdue(state, message, recipients, nowMs);
    if (message.open === 0) endPass(state, message, nowMs);
    else stop(state, message, 'expire', nowMs);
  } else {
    assign(state, message, recipients, nowMs);
  }
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
  const messages: Message[] = [];
  for (const active of actives) {
    if (!state.messages.has(active.envelope.queueId)) messages.push(register(state, active));
  }
  const held = new Map<Message, Set<number>>();
  for (const batch of batches) restoreFlight(state, batch, held);
  for (const message of messages) {
    const busy = held.get(message);
    const rest = message.active.recipients.filter(({ index }) => busy?.has(index) !== true);
    begin(state, message, rest, nowMs);
  }
}

function restoreFlight(state: State, batch: Batch, held: Map<Message, Set<number>>): void {
  const transport = transportOf(state, batch.transport);
  const entries: Entry[] = [];
  let destination: Destination | undefined;
  for (const { envelope, recipients } of batch.requests) {
    const message = state.messages.get(envelope.queueId);
    const asked = new Set(recipients.map(({ index }) => index));
    const open = message?.active.recipients.filter(({ index }) => asked.has(index)) ?? [];
    const [first] = open;
    if (message === undefined || first === undefined) continue;
    const name = queueNameOf(first, transport.settings, state.settings.recipientDelimiter);
    destination ??= destinationOf(state, transport, name, batch.nexthop);
    const entry = makeEntry(peerOf(message, destination), open);
    entry.state = 'busy';
    entry.peer.job.read += 1;
    entry.peer.job.selected += 1;
    entries.push(entry);
    const indexes = held.get(message) ?? new Set();
    for (const { index } of open) indexes.add(index);
    held.set(message, indexes);
  }
  // A batch all of whose recipients are final has nothing left to wait for.
  if (destination === undefined) return;
  const flight: Flight = { id: batch.id, destination, entries };
  for (const entry of entries) entry.flight = flight;
  state.flights.set(flight.id, flight);
  destination.busy += 1;
  transport.busy += 1;
}

function register(state: State, active: ActiveMessage): Message {
  const { queueId } = active.envelope;
  const message = new Message(active, state.flushing.delete(queueId));
  state.messages.set(queueId, message);
  return message;
}

function assign(state: State, message: Message, recipients: readonly RoutedRecipient[], nowMs: number): void {
  const outcomes: Outcome[] = [];
  for (const recipient of sortRecipients(recipients)) {
    const transport = transportOf(state, recipient.transport);
    const local =
      localOutcome(transport.settings.agent, transport.name, recipient.nexthop) ??
      place(state, message, transport, recipient, nowMs);
    if (local === undefined) continue;
    noteOutcome(message, local.kind, recipient);
    const told = outcomesOf(message, [recipient], local, nowMs);
    outcomes.push(...told.outcomes);
    state.turn.events.push(...told.events);
  }
  if (outcomes.length > 0) {
    state.turn.locals.push({ queueId: message.active.envelope.queueId, outcomes, steps: [] });
  }
  if (message.open === 0) endPass(state, message, nowMs);
}

const DEFERRED_TRANSPORT = deferral({ status: '4.3.2', reason: 'deferred transport' });

/** Adds the recipient to an entry, or says why not. */
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
  const name = queueNameOf(recipient, transport.settings, settings.recipientDelimiter);
  const destination = destinationOf(state, transport, name, recipient.nexthop);
  if (destination.trouble !== undefined) {
    if (!message.flushing) return deferral(destination.trouble);
    revive(state, destination);
  }
  const peer = peerOf(message, destination);
  const limit = transport.settings.recipientLimit;
  const last = peer.waiting.at(-1);
  if (last !== undefined && (limit === 0 || last.recipients.length < limit)) {
    last.recipients.push(recipient);
    return undefined;
  }
  addEntry(makeEntry(peer, [recipient]), false);
  offer(destination);
  warnOfClog(state, destination, nowMs);
  return undefined;
}

function makeEntry(peer: Peer, recipients: RoutedRecipient[]): Entry {
  const { message } = peer.job;
  const entry: Entry = { message, peer, recipients, state: 'waiting', returns: 0, flight: undefined };
  message.entries.push(entry);
  message.open += 1;
  return entry;
}

function peerOf(message: Message, destination: Destination): Peer {
  const { transport } = destination;
  let job = message.jobs.find((one) => one.transport === transport);
  if (job === undefined) {
    transport.lastPosition += 1;
    job = new Job(message, transport, transport.lastPosition);
    message.jobs.push(job);
  }
  return job.peerFor(destination);
}

/** What an outcome means for the end of its message's pass. */
export function noteOutcome(message: Message, kind: Outcome['kind'], recipient: RoutedRecipient): void {
  if (kind === 'deferred') message.deferred = true;
  else if (kind === 'bounced') message.bounced = true;
  else if (recipient.notify?.includes('SUCCESS') === true) message.succeeded = true;
}
