/**
 * The scheduler's share of the cost budget is 50 µs of CPU per message, writing to Redis included; the core alone takes 4 to
 * 10 on an idle machine. The bound is loose because a busy one doubles CPU times; the printed figure is what to look at.
 */
import type { InboxEntry } from '@mailfleet/queue';
import { expect, test } from 'vitest';
import { makeMessage, makeSettings, resultOf } from './fixture.ts';
import { createCore } from './scheduler.ts';

const MESSAGES = 100_000;
const BUDGET_US = 50;

/** CPU time per message from activation to conclusion, with as many active as the default limit allows. */
function costOf(destinations: number): number {
  const settings = makeSettings(
    { activeLimit: 20_000 },
    { processLimit: 100, preemption: { slotCost: 5, slotLoan: 3, slotDiscount: 50, minimumSlots: 3 } },
  );
  const core = createCore({ settings, shard: 0, fence: 1, term: '1' });
  const messages = Array.from({ length: MESSAGES }, (_, id) =>
    makeMessage(`m${id}`, [`u@d${(id * 7919) % destinations}.example`]),
  );
  const started = process.cpuUsage();
  let next = 0;
  let retired = 0;
  for (let nowMs = 0; retired < MESSAGES; nowMs += 1) {
    const pull = core.nextPull(nowMs);
    if (pull !== undefined) {
      core.pulled(pull, messages.slice(next, next + pull.count), nowMs);
      next += pull.count;
    }
    const turn = core.takeTurn(nowMs);
    retired += turn.conclusions.length;
    for (const { id, requests } of turn.batches) {
      for (const { envelope } of requests)
        core.apply(resultOf(id, envelope.queueId, [[0, 'delivered']]), nowMs);
      const end: InboxEntry = { id: '0-1', kind: 'batch-end', batchId: id, returned: [] };
      core.apply(end, nowMs);
    }
  }
  const { user, system } = process.cpuUsage(started);
  return (user + system) / MESSAGES;
}

test.each([1, 1000])(
  'single-recipient messages to %d destinations are within the budget',
  (destinations) => {
    const costUs = costOf(destinations);
    console.log(`core: ${costUs.toFixed(1)} µs per message, ${destinations} destinations`);
    expect(costUs).toBeLessThan(BUDGET_US);
  },
  60_000,
);
