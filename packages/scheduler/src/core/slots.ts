/**
 * Recipient slots: how many recipients of a message are in memory, after qmgr(8). Every message may hold
 * qmgr_message_recipient_minimum of them. What it may hold beyond that comes from the pools of its transports, whose free
 * slots go to the oldest message that has recipients left to read. So a list of any length costs bounded memory, and
 * a transport full of lists has room for the next message.
 *
 * A job takes all free slots of its transport when it enters the list of jobs, and gives back what it does not use once
 * its message was read to the end; then it holds as many as it has recipients.
 */
import { type Entry, type Job, type Message, type Transport, UnreadJob } from './model.ts';
import type { State } from './state.ts';

/** Most recipients of one read: bounds the answer of the queue. */
const MOST_READ = 5_000;

/**
 * Recipients that a message may start with; `qmgr_message_recipient_limit` is for such reads alone. One that has none in
 * memory starts again: its jobs gave their slots back, and recipients that need no worker never had any.
 */
export function firstReadSize(state: State, message: Message): number {
  const free = state.settings.recipientLimit - state.recipients;
  return Math.min(Math.max(free, message.slots), MOST_READ);
}

/** Recipients that may be read beside those in memory. */
function freeSlotsOf(message: Message): number {
  return message.slots - message.recipients;
}

/** A recipient came into memory. */
export function countRecipient(state: State, entry: Entry): void {
  const { job } = entry.peer;
  entry.size += 1;
  job.recipients += 1;
  job.message.recipients += 1;
  state.recipients += 1;
}

/** All recipients of an entry have their outcome. */
export function releaseEntry(state: State, entry: Entry): void {
  const { message } = entry;
  entry.peer.job.recipients -= entry.size;
  message.recipients -= entry.size;
  state.recipients -= entry.size;
  // Retired jobs hold slots as long as their recipients are under way; others may need them while the message is read.
  for (const job of message.jobs) if (message.unread === 0 || job.level < 0) giveBack(job);
}

/** The job entered the list of jobs. */
export function takeSlots(job: Job): void {
  const { transport, message } = job;
  const oldest = transport.unreadJobs.first?.job;
  if (oldest !== undefined && job.queuedMs < oldest.queuedMs) surrender(oldest);
  if (transport.unusedSlots > 0) grant(job, transport.unusedSlots);
  if (message.unread > 0) enlist(job);
}

/** The job left the list of jobs. */
export function leaveSlots(job: Job): void {
  if (job.unread !== undefined) job.transport.unreadJobs.remove(job.unread);
  giveBack(job);
}

/** The last recipients of a message were read. */
export function readToEnd(message: Message): void {
  for (const job of message.jobs) leaveSlots(job);
}

/** The message leaves before it was read to the end: what was asked for will not be counted, and others get its slots. */
export function forgetUnread(state: State, message: Message): void {
  state.recipients -= message.reading;
  message.reading = 0;
  message.unread = 0;
  readToEnd(message);
}

/** What a job that goes before another gets from the reserve of its transport. */
export function grantExtra(job: Job): void {
  const { transport } = job;
  const extra = Math.floor((transport.settings.slots.extra + transport.unusedSlots + 1) / 2);
  if (job.message.unread > 0 && extra > 0) grant(job, extra);
}

/** Returns the slots that a job does not use; the oldest job that has something to read gets all that is free then. */
export function giveBack(job: Job): void {
  const { transport } = job;
  if (!surrender(job) || transport.unusedSlots <= 0) return;
  const oldest = transport.unreadJobs.first?.job;
  if (oldest !== undefined) grant(oldest, transport.unusedSlots);
}

function surrender(job: Job): boolean {
  const { transport, message } = job;
  const unused = Math.min(job.slots - job.recipients, message.slots - message.recipients);
  if (unused <= 0) return false;
  job.slots -= unused;
  message.slots -= unused;
  transport.unusedSlots += unused;
  return true;
}

function grant(job: Job, slots: number): void {
  job.slots += slots;
  job.message.slots += slots;
  job.transport.unusedSlots -= slots;
}

/** In order of time; a new one is nearly always the last. */
function enlist(job: Job): void {
  const { unreadJobs } = job.transport;
  job.unread ??= new UnreadJob(job);
  let next: UnreadJob | undefined;
  for (
    let last = unreadJobs.last;
    last !== undefined && last.job.queuedMs > job.queuedMs;
    last = last.previous
  ) {
    next = last;
  }
  unreadJobs.insertBefore(job.unread, next);
}

/**
 * Asks for more recipients of a message that was looked at to hand out from: when many slots are free, or some and the last
 * read was a while ago, or some and the transport has nothing else of it to hand out.
 */
export function refill(
  state: State,
  message: Message,
  transport: Transport,
  nothingElse: boolean,
  nowMs: number,
): void {
  if (message.unread === 0 || message.stopped !== undefined) return;
  const { refillLimit, refillDelayMs } = transport.settings.slots;
  const free = freeSlotsOf(message);
  const late = nowMs - message.lastReadMs >= refillDelayMs;
  if (free >= refillLimit || (free > 0 && (nothingElse || late))) read(state, message, free);
}

/** All recipients in memory were tried, and there are more. */
export function readOn(state: State, message: Message): void {
  read(state, message, message.recipients === 0 ? firstReadSize(state, message) : freeSlotsOf(message));
}

function read(state: State, message: Message, most: number): void {
  const count = Math.min(most, MOST_READ);
  if (count <= 0 || message.reading > 0) return;
  // Counted as if they were here, so that others do not ask for the same room.
  message.reading = count;
  state.recipients += count;
  state.turn.reads.push({ queueId: message.active.envelope.queueId, after: message.after, count });
}
