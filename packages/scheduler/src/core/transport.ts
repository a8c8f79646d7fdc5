/**
 * Which entry a transport hands out next: the first job in scheduler order that has an entry for a destination with a
 * free slot; within the job its destinations take turns. Model and invariant: model.ts.
 */
import { strict as assert } from 'node:assert';
import type { Destination, Entry, Job, Peer, Transport } from './model.ts';
import { leaveStack, preempts } from './preemption.ts';
import { giveBack, leaveSlots, refill, takeSlots } from './slots.ts';
import type { State } from './state.ts';

/** The peer whose oldest entry comes next; undefined when nothing suits. */
export function nextPeer(state: State, transport: Transport, nowMs: number): Peer | undefined {
  for (;;) {
    const job = transport.candidates.peek();
    if (job === undefined) return undefined;
    const peer = readyPeer(job);
    refill(state, job.message, transport, peer === undefined, nowMs);
    if (peer === undefined) transport.candidates.remove(job);
    else if (!preempts(transport, job, nowMs)) return peer;
  }
}

/** First usable peer of a job; those that are not any more leave the chain. */
function readyPeer(job: Job): Peer | undefined {
  for (;;) {
    const peer = job.ready.first;
    if (peer === undefined) return undefined;
    if (peer.waiting.length > 0 && peer.destination.freeSlots > 0) return peer;
    job.ready.remove(peer);
  }
}

/** Hands out the peer's oldest entry. */
export function takeEntry(state: State, peer: Peer, nowMs: number): Entry {
  const entry = peer.waiting.shift();
  assert(entry !== undefined, 'a peer that is selected has waiting entries');
  const { job, destination } = peer;
  destination.waiting -= 1;
  job.available += 1;
  job.used += 1;
  job.selected += 1;
  if (peer.linked) job.ready.remove(peer);
  if (peer.waiting.length === 0) destination.peers.remove(peer);
  else job.ready.append(peer);
  if (job.selected >= job.read) {
    refill(state, job.message, job.transport, true, nowMs);
    retireIfDone(job);
  }
  entry.state = 'busy';
  return entry;
}

/** Adds a waiting entry to its peer: at the end when it is new, in front when it was handed out and came back. */
export function addEntry(entry: Entry, cameBack: boolean): void {
  const { peer } = entry;
  const { job, destination } = peer;
  entry.state = 'waiting';
  if (cameBack) {
    peer.waiting.unshift(entry);
    job.selected -= 1;
    job.available -= 1;
    job.used -= 1;
  } else {
    peer.waiting.push(entry);
    job.read += 1;
  }
  destination.waiting += 1;
  if (peer.heapIndex < 0) destination.peers.add(peer);
  if (job.linked) return;
  link(job);
  if (cameBack && job.message.unread === 0) giveBack(job);
}

/** Takes out a waiting entry that needs no delivery any more. */
export function dropEntry(entry: Entry): void {
  const { peer } = entry;
  const { job, destination } = peer;
  const index = peer.waiting.indexOf(entry);
  assert(index >= 0, 'a waiting entry stands with its peer');
  peer.waiting.splice(index, 1);
  destination.waiting -= 1;
  job.read -= 1;
  if (peer.waiting.length === 0) {
    destination.peers.remove(peer);
    job.ready.remove(peer);
  }
  retireIfDone(job);
}

/**
 * To be called whenever a destination may have got a free slot, a waiting entry, or another first peer: makes its first
 * peer a candidate.
 */
export function offer(destination: Destination): void {
  if (destination.waiting === 0 || destination.freeSlots === 0) return;
  const peer = destination.peers.peek();
  if (peer === undefined) return;
  const { job } = peer;
  if (!peer.linked) job.ready.append(peer);
  if (job.heapIndex < 0) job.transport.candidates.add(job);
}

/** Into the list of jobs: at the end when it is new, at its old place when it was retired. */
function link(job: Job): void {
  const { jobs } = job.transport;
  let next: Job | undefined;
  if (jobs.last !== undefined && jobs.last.position > job.position) {
    next = jobs.first;
    while (next !== undefined && next.position <= job.position) next = next.next;
  }
  jobs.insertBefore(job, next);
  job.level = 0;
  job.transport.candidate = undefined;
  takeSlots(job);
}

/** A job with nothing to hand out leaves the list, unless more of its message is on its way. */
export function retireIfDone(job: Job): void {
  if (!job.linked || job.selected < job.read || job.message.reading > 0) return;
  leaveStack(job);
  job.transport.jobs.remove(job);
  job.transport.candidates.remove(job);
  job.level = -1;
  leaveSlots(job);
}
