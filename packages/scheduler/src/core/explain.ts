/**
 * What the memory holds of a message or a destination, for `mailfleet explain`: to be asked after a turn, when all that
 * could be handed out was, so that whatever waits has a reason. Changes nothing, and bounds its answer.
 */
import type {
  DestinationState,
  Hindrance,
  LeaderAnswer,
  MessageAtDestination,
  Subject,
} from '@mailfleet/queue';
import { controlKey } from './controlled.ts';
import type { Destination, Entry, Message, Transport } from './model.ts';
import { openEntries, type State } from './state.ts';

/** Destinations, and batches of one, that an answer names at most. */
const MOST = 20;

export function explain(state: State, subject: Subject, nowMs: number): LeaderAnswer {
  const general = { activeMessages: state.messages.size, activeLimit: state.settings.activeLimit };
  if (subject.queueId !== undefined) {
    const message = state.messages.get(subject.queueId);
    return message === undefined ? general : { ...general, message: messageState(state, message, nowMs) };
  }
  const { transport: transportName, nexthop: asked } = subject.destination;
  const site = state.siteOf(transportName, asked);
  const key = controlKey({ transport: transportName, nexthop: site ?? asked });
  const destinations = [...(state.transports.get(transportName)?.destinations.values() ?? [])];
  const found = destinations.find(
    ({ transport, nexthop }) => controlKey({ transport: transport.name, nexthop }) === key,
  );
  return {
    ...general,
    ...(site === undefined ? {} : { site }),
    ...(found === undefined ? {} : { destination: destinationState(found, nowMs) }),
  };
}

function messageState(state: State, message: Message, nowMs: number): NonNullable<LeaderAnswer['message']> {
  const byDestination = [...Map.groupBy(openEntries(state, message), ({ peer }) => peer.destination)];
  return {
    ...(message.awaits === undefined ? {} : { awaits: message.awaits }),
    at: byDestination
      .slice(0, MOST)
      .map(([destination, entries]) => atDestination(destination, entries, nowMs)),
    more: Math.max(byDestination.length - MOST, 0),
    ...(message.unread === 0 ? {} : { unread: message.unread }),
    ...(message.stopped === undefined ? {} : { stopped: message.stopped }),
  };
}

function atDestination(
  destination: Destination,
  entries: readonly Entry[],
  nowMs: number,
): MessageAtDestination {
  const waiting = entries.filter(({ state }) => state === 'waiting');
  const batches = Map.groupBy(
    entries.filter(({ state }) => state === 'busy'),
    ({ flight }) => flight?.id ?? '',
  );
  return {
    destination: destinationState(destination, nowMs),
    waiting: recipientsOf(waiting),
    hindrance: hindranceOf(destination, nowMs),
    ahead: aheadOf(destination, waiting[0]),
    batches: [...batches].slice(0, MOST).map(([id, busy]) => ({ id, recipients: recipientsOf(busy) })),
  };
}

function recipientsOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { recipients }) => sum + recipients.length, 0);
}

/** In the order in which batching asks. */
function hindranceOf(destination: Destination, nowMs: number): Hindrance {
  const { transport } = destination;
  if (nowMs < transport.timerMs) return 'transport-rate-delay';
  if (destination.suspended) return 'rate-delay';
  if (destination.freeSlots === 0) return 'window';
  if (transport.freeSlots(nowMs) > 0) return 'turn';
  return transport.settings.transportRateDelayMs > 0 ? 'transport-rate-delay' : 'process-limit';
}

/** Requests of jobs that stand before that of the entry. */
function aheadOf(destination: Destination, entry: Entry | undefined): number {
  if (entry === undefined) return 0;
  const { position } = entry.peer.job;
  return destination.peers
    .items()
    .reduce((sum, { job, waiting }) => sum + (job.position < position ? waiting.length : 0), 0);
}

function destinationState(destination: Destination, nowMs: number): DestinationState {
  const { transport, nexthop, window, busy, waiting, rateDelayMs, trouble, timerMs, lastReply } = destination;
  return {
    transport: transport.name,
    nexthop: nexthop.toLowerCase(),
    window: window.size,
    limit: window.limit,
    busy,
    waiting,
    rateDelayMs,
    ...(destination.suspended ? { suspendedUntilMs: timerMs } : {}),
    ...(trouble === undefined ? {} : { dead: { ...trouble, untilMs: timerMs } }),
    ...(lastReply === undefined ? {} : { lastReply }),
    transportState: transportState(transport, nowMs),
  };
}

function transportState(transport: Transport, nowMs: number): DestinationState['transportState'] {
  const { busy, settings, timerMs } = transport;
  return {
    busy,
    processLimit: settings.processLimit,
    rateDelayMs: settings.transportRateDelayMs,
    ...(nowMs < timerMs ? { suspendedUntilMs: timerMs } : {}),
  };
}
