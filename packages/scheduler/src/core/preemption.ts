/**
 * Preemption of a large job by smaller ones behind it, after "Postfix Queue Scheduler": each `slotCost` entries that a job
 * hands out earn a slot, and a job whose need the slots cover may go first. Loan and discount bring the moment forward, the
 * full price is always charged. The preempted job is delayed by at most (cost+1)/cost, or cost/(cost-1) when nested.
 */
import type { Job, Peer, Transport } from './model.ts';
import { grantExtra } from './slots.ts';

/** Whether another job took the place before `current`; then it is the first candidate now. */
export function preempts(transport: Transport, current: Job, nowMs: number): boolean {
  const { slotCost, slotLoan, slotDiscount, minimumSlots } = transport.settings.preemption;
  if (slotCost < 2 || current.available <= 0 || totalOf(current) < minimumSlots * slotCost) return false;
  const candidate = bestCandidate(transport, current, slotCost, nowMs);
  if (candidate === undefined) return false;
  const need = needOf(candidate);
  const earned = Math.trunc(current.available / slotCost) + slotLoan;
  if (earned < (need * (100 - slotDiscount)) / 100) return false;
  preempt(transport, current, candidate);
  current.available -= need * slotCost;
  return true;
}

/** A job leaves its stack: slots that it did not use go back to its parent, overuse is charged. */
export function leaveStack(job: Job): void {
  const { parent } = job;
  if (parent !== undefined) {
    if (parent.level >= 0 && job.level === parent.level + 1) {
      parent.available -= job.used * parent.transport.settings.preemption.slotCost;
    }
    parent.children?.delete(job);
  }
  for (const child of job.children ?? []) {
    child.parent = parent;
    if (parent !== undefined) adopt(parent, child);
  }
  job.children = undefined;
  job.parent = undefined;
  job.level = 0;
}

/** Entries of a job; what was not read yet counts as one for each recipient, since it may become that many. */
function totalOf(job: Job): number {
  return job.read + job.message.unread;
}

function needOf(job: Job): number {
  return totalOf(job) - job.selected;
}

/** The job behind `current` with the best ratio of waiting time to size among those that fit its slots. */
function bestCandidate(transport: Transport, current: Job, slotCost: number, nowMs: number): Job | undefined {
  const maxSlots = Math.trunc((current.read - current.selected + current.available) / slotCost);
  if (maxSlots <= 0) return undefined;
  const second = Math.trunc(nowMs / 1000);
  const known = transport.candidate;
  if (known !== undefined && known.behind === current && known.second === second) {
    if (known.best === undefined || fits(known.best, maxSlots)) return known.best;
  }
  let best: Job | undefined;
  let bestScore = 0;
  for (let job = current.next; job !== undefined; job = job.next) {
    const waited = second - Math.trunc(job.queuedMs / 1000) + 1;
    // Jobs of level 0 stand in order of time: no later one has waited longer, and none is smaller than one entry.
    if (job.level === 0 && waited <= bestScore) break;
    const score = waited / totalOf(job);
    if (score > bestScore && fits(job, maxSlots)) {
      best = job;
      bestScore = score;
    }
  }
  // Which is the best changes when a job comes or a second passes, and maxSlots only falls while `current` is at work. That
  // spares a walk over thousands of jobs at each selection.
  transport.candidate = { behind: current, second, best };
  return best;
}

/** Whether a job could go first now. */
function fits(job: Job, maxSlots: number): boolean {
  const need = needOf(job);
  return need > 0 && need <= maxSlots && (job.children?.size ?? 0) === 0 && job.peers.some(isUsable);
}

function preempt(transport: Transport, current: Job, job: Job): void {
  const need = needOf(job);
  leaveStack(job);
  transport.jobs.remove(job);
  const lower = current.previous?.position ?? current.position - 2;
  transport.jobs.insertBefore(job, current);
  job.position = (lower + current.position) / 2;
  if (job.position <= lower || job.position >= current.position) renumber(transport);
  // Its place changed: so did that of its peers at their destinations.
  transport.candidates.update(job);
  for (const peer of job.peers) {
    peer.destination.peers.update(peer);
    if (isUsable(peer) && !peer.linked) job.ready.append(peer);
  }
  job.parent = current;
  adopt(current, job);
  job.level = current.level + 1;
  job.used = -need;
  grantExtra(job);
  if (job.heapIndex < 0) transport.candidates.add(job);
}

function adopt(parent: Job, child: Job): void {
  parent.children ??= new Set();
  parent.children.add(child);
}

function isUsable(peer: Peer): boolean {
  return peer.waiting.length > 0 && peer.destination.freeSlots > 0;
}

/** Halving an interval some fifty times leaves no number between its ends. Keeps the order, so heaps stay as they are. */
function renumber(transport: Transport): void {
  let position = 0;
  for (let job = transport.jobs.first; job !== undefined; job = job.next) {
    position += 1;
    job.position = position;
  }
  transport.lastPosition = position;
}
