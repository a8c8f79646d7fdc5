/**
 * What workers report: results move windows and finish entries, the end of a batch frees its slot. A result counts for
 * the window once per delivery request; whatever a batch leaves without a result goes back in front, unpenalised.
 */
import type { InboxEntry } from '@mailfleet/queue';
import { park } from './controls.ts';
import { noteOutcome } from './entering.ts';
import { finish } from './finishing.ts';
import type { Destination, Flight } from './model.ts';
import { endPass } from './pass.ts';
import { deferEntry, die, revive } from './reviving.ts';
import { dropIfIdle, pauseOf, type State, setTimer } from './state.ts';
import { settle } from './stopping.ts';
import { addEntry, dropEntry, offer } from './transport.ts';

/** Workers that stop give work back, so it goes out again at once; what comes back time and again must not go round in circles. */
const MAX_RETURNS = 10;
const NEVER_TRIED = { status: '4.3.0', reason: `not tried: workers gave it back ${MAX_RETURNS} times` };

type Result = Extract<InboxEntry, { kind: 'result' }>;

export function applyResult(state: State, result: Result, nowMs: number): void {
  // Without a batch it is our own: told to the message when it was decided.
  if (result.batchId === '') return;
  const flight = state.flights.get(result.batchId);
  const news = applyOutcomes(state, result, flight, nowMs);
  if (flight === undefined || !(news || result.hopStatus !== undefined)) return;
  const { destination } = flight;
  destination.lastReply = { reason: result.reason, atMs: nowMs };
  const before = destination.window.size;
  if (result.hopStatus === undefined) {
    if (destination.trouble !== undefined) revive(state, destination);
    else destination.window.grow(destination.busy);
    offer(destination);
  } else if (destination.trouble === undefined && !destination.suspended) {
    destination.window.shrink();
    if (destination.window.dead) die(state, destination, result.hopStatus, nowMs);
  }
  if (state.settings.feedbackDebug) showFeedback(state, destination, result.hopStatus === undefined, before);
}

/** How a report moved the window. */
function showFeedback(state: State, destination: Destination, positive: boolean, before: number): void {
  const { transport, name, window } = destination;
  const { size, success, failure, failedCohorts } = window;
  const sums = `success ${success.toFixed(4)}, failure ${failure.toFixed(4)}, failed cohorts ${failedCohorts.toFixed(4)}`;
  const text = `${positive ? 'positive' : 'negative'} feedback for ${transport.name}:${name}: window ${before} to ${size}, ${sums}`;
  state.turn.events.push({ kind: 'remark', program: 'qmgr', text });
}

/**
 * @returns whether any outcome was news. A batch that was given up may still report: a final outcome holds wherever its
 * recipient stands now, a deferral unless someone else is at it.
 */
function applyOutcomes(state: State, result: Result, flight: Flight | undefined, nowMs: number): boolean {
  const message = state.messages.get(result.queueId);
  if (message === undefined) return false;
  let news = false;
  for (const outcome of result.outcomes) {
    const entry = message.entryOf(outcome.recipient);
    const recipient = entry?.recipients.find(({ index }) => index === outcome.recipient);
    if (entry === undefined || recipient === undefined || entry.state === 'done') continue;
    const elsewhere = entry.state === 'busy' && entry.flight !== flight;
    if (elsewhere && outcome.kind === 'deferred') continue;
    news = true;
    noteOutcome(state.settings, message, outcome.kind, recipient);
    entry.recipients = entry.recipients.filter((one) => one !== recipient);
    message.forget(outcome.recipient);
    if (entry.recipients.length > 0) continue;
    if (entry.state === 'waiting') {
      dropEntry(entry);
      dropIfIdle(state, entry.peer.destination);
    }
    finish(state, entry, nowMs);
  }
  return news;
}

/** The batch is with nobody any more: its worker ended it, or vanished; or no worker had it yet, and it was called back. */
export function endBatch(state: State, batchId: string, nowMs: number, recalled = false): void {
  const flight = state.flights.get(batchId);
  if (flight === undefined) return;
  state.flights.delete(batchId);
  const { destination } = flight;
  const { transport } = destination;
  destination.busy -= 1;
  destination.lastDoneMs = nowMs;
  transport.busy -= 1;
  for (const entry of flight.entries.toReversed()) {
    if (entry.flight !== flight) continue;
    entry.flight = undefined;
    if (entry.message.stopped !== undefined) {
      settle(state, entry, nowMs);
      continue;
    }
    if (!recalled) entry.returns += 1;
    const pause = pauseOf(state, transport, entry.peer.nexthop, destination.nexthop, nowMs);
    if (pause !== undefined) {
      park(state, entry, pause, nowMs);
      continue;
    }
    const trouble = destination.trouble ?? (entry.returns < MAX_RETURNS ? undefined : NEVER_TRIED);
    if (trouble === undefined) addEntry(entry, true);
    else deferEntry(state, entry, trouble, nowMs);
  }
  for (const message of flight.unread ?? []) {
    message.formerFlights -= 1;
    if (message.formerFlights === 0) endPass(state, message, nowMs);
  }
  const { transportRateDelayMs } = transport.settings;
  const { rateDelayMs } = destination;
  if (transportRateDelayMs > 0) setTimer(state, transport, nowMs + transportRateDelayMs);
  if (rateDelayMs > 0) {
    if (destination.trouble !== undefined) revive(state, destination);
    destination.suspended = true;
    setTimer(state, destination, nowMs + rateDelayMs);
  }
  offer(destination);
  dropIfIdle(state, destination);
}
