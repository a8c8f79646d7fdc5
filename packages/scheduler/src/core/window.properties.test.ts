/** Random feedback and random jobs: what holds of every window, and of every job that lets smaller ones go first. */
import { testSeeds } from '@mailfleet/test-kit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { enter } from './entering.ts';
import { parseFeedback } from './feedback.ts';
import { makeMessage, makeSettings } from './fixture.ts';
import type { PreemptionSettings } from './settings.ts';
import { makeState } from './state.ts';
import { nextPeer, offer, takeEntry } from './transport.ts';
import { ConcurrencyWindow } from './window.ts';

const [seed = 1] = testSeeds;

const feedback = fc.constantFrom('0', '1', '0.5', '1/3', '1/4', '1/concurrency', '0.7/concurrency');

test(`a window has its floor and its ceiling, grows by success and dies of failed cohorts only (seed ${seed})`, () => {
  const settings = fc.record({
    initial: fc.integer({ min: 1, max: 8 }),
    limit: fc.integer({ min: 0, max: 12 }),
    failedCohortLimit: fc.integer({ min: 0, max: 4 }),
    positive: feedback,
    negative: feedback,
  });
  const events = fc.array(fc.record({ success: fc.boolean(), busy: fc.integer({ min: 1, max: 15 }) }), {
    maxLength: 200,
  });
  const holds = fc.property(settings, events, ({ positive, negative, ...rest }, history) => {
    const { limit, failedCohortLimit } = rest;
    const amount = (text: string) => parseFeedback(text) ?? (() => Number.NaN);
    const window = new ConcurrencyWindow({ ...rest, positive: amount(positive), negative: amount(negative) });
    const { size: initial } = window;
    for (const { success, busy: wanted } of history) {
      const busy = limit > 0 ? Math.min(wanted, limit) : wanted;
      const before = window.size;
      const wasDead = window.dead;
      if (success) window.grow(busy);
      else window.shrink();
      const { size } = window;
      expect(Number.isInteger(size)).toBe(true);
      if (limit > 0) expect(size).toBeLessThanOrEqual(limit);
      if (success) {
        expect(window.failedCohorts).toBe(0);
        expect(size).toBeGreaterThanOrEqual(wasDead ? 1 : before);
        // It does not grow beyond what is under way plus what it began with.
        if (!wasDead && size > before) expect(before).toBeLessThan(busy + initial);
      } else if (size === 0) {
        expect(wasDead || (failedCohortLimit > 0 && window.failedCohorts >= failedCohortLimit)).toBe(true);
      } else {
        expect(size).toBeGreaterThanOrEqual(1);
        expect(size).toBeLessThanOrEqual(before);
      }
      if (failedCohortLimit === 0) expect(window.dead).toBe(false);
    }
  });
  fc.assert(holds, { seed, numRuns: 500 });
});

interface Arrival {
  readonly selection: number;
  readonly entries: number;
}

/** Entries of others that go before the last one of a job of `large` entries, at a destination with room for all. */
function passedBy(large: number, arrivals: readonly Arrival[], preemption: PreemptionSettings): number {
  const window = { initial: 1_000_000, limit: 1_000_000 };
  const settings = makeSettings({}, { recipientLimit: 1, window, preemption });
  const state = makeState({ settings, shard: 0, fence: 1, term: '1' });
  const arrive = (name: string, entries: number): void => {
    const recipients = Array.from({ length: entries }, (_, index) => `x+${index}@example.com`);
    enter(state, makeMessage(name, recipients, { activatedMs: 0 }), 0);
  };
  arrive('large', large);
  const byTime = Map.groupBy(arrivals, ({ selection }) => selection);
  let others = 0;
  let own = 0;
  for (let selection = 1; own < large; selection += 1) {
    for (const [index, { entries }] of (byTime.get(selection) ?? []).entries()) {
      arrive(`${selection}-${index}`, entries);
    }
    const transport = state.transports.get('smtp');
    const peer = transport === undefined ? undefined : nextPeer(state, transport, selection * 100);
    if (peer === undefined) throw new Error('the large job waits for nothing');
    const entry = takeEntry(state, peer, selection * 100);
    peer.destination.busy += 1;
    offer(peer.destination);
    if (entry.message.active.envelope.queueId === 'large') own += 1;
    else others += 1;
  }
  return others;
}

const arrivals = fc.array(
  fc.record({ selection: fc.integer({ min: 1, max: 300 }), entries: fc.integer({ min: 1, max: 12 }) }),
  { maxLength: 80 },
);
const jobs = { large: fc.integer({ min: 50, max: 200 }), cost: fc.integer({ min: 2, max: 6 }), arrivals };

test(`a preempted job is delayed by (k+1)/k at most when the others cannot be preempted (seed ${seed})`, () => {
  const holds = fc.property(fc.record(jobs), ({ large, cost, arrivals: coming }) => {
    const preemption = { slotCost: cost, slotLoan: 0, slotDiscount: 0, minimumSlots: Math.ceil(13 / cost) };
    expect(passedBy(large, coming, preemption)).toBeLessThanOrEqual(large / cost);
  });
  fc.assert(holds, { seed, numRuns: 200 });
});

test(`by k/(k-1) when they can (seed ${seed})`, () => {
  const holds = fc.property(fc.record(jobs), ({ large, cost, arrivals: coming }) => {
    const preemption = { slotCost: cost, slotLoan: 0, slotDiscount: 0, minimumSlots: 0 };
    expect(passedBy(large, coming, preemption)).toBeLessThanOrEqual(large / (cost - 1));
  });
  fc.assert(holds, { seed, numRuns: 200 });
});

test(`loan and discount bring the moment forward: beyond that comes one more job at most (seed ${seed})`, () => {
  const generous = {
    slotLoan: fc.integer({ min: 0, max: 10 }),
    slotDiscount: fc.integer({ min: 0, max: 100 }),
  };
  const holds = fc.property(
    fc.record({ ...jobs, ...generous }),
    ({ large, cost, arrivals: coming, ...rest }) => {
      const preemption = { slotCost: cost, ...rest, minimumSlots: Math.ceil(13 / cost) };
      expect(passedBy(large, coming, preemption)).toBeLessThanOrEqual(large / cost + 12);
    },
  );
  fc.assert(holds, { seed, numRuns: 200 });
});
