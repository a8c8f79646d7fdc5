/** The simulator in reduced size; the full one is `npm run simulate`. Figures follow from the seed, not from this machine. */
import { makeConfig } from '@mailfleet/config';
import { expect, test } from 'vitest';
import { settingsFrom } from '../settings.ts';
import { scaledTo } from './scenario.ts';
import { percentile, type Simulation, simulate } from './simulate.ts';

const options = scaledTo(100_000);

function simulated(values: Record<string, string>): Simulation {
  const config = makeConfig({ default_process_limit: String(options.sessions), ...values });
  return simulate(options, settingsFrom(config));
}

test('small mail passes a long list, which pays no more than the delivery slot cost allows', () => {
  const preempting = simulated({ default_delivery_slot_cost: '5' });
  const inOrder = simulated({ default_delivery_slot_cost: '0' });
  expect(percentile(inOrder.besideListMs, 50)).toBeGreaterThan(5_000);
  expect(percentile(preempting.besideListMs, 99)).toBeLessThan(1_000);
  expect(percentile(preempting.besideListMs, 99)).toBeLessThan(percentile(inOrder.besideListMs, 50) / 10);
  // (k+1)/k, and the ends of batches on top.
  expect(preempting.listMs / inOrder.listMs).toBeLessThan(1.25);
  for (const { mostActive, mostSessions, beforeListMs } of [preempting, inOrder]) {
    expect(mostSessions).toBeLessThanOrEqual(options.sessions);
    expect(mostActive).toBeLessThanOrEqual(20_000);
    // Slow and dead destinations take nothing from the others.
    expect(percentile(beforeListMs, 99)).toBeLessThan(100);
  }
}, 120_000);

test('with few recipient slots and a small active queue everything leaves exactly once, too', () => {
  const { mostActive, mostOfList } = simulated({
    qmgr_message_active_limit: '10',
    qmgr_message_recipient_limit: '10',
    default_recipient_limit: '100',
  });
  expect(mostActive).toBe(10);
  // Its minimum, the pool, and half of the reserve each time that it goes before another.
  expect(mostOfList).toBeLessThanOrEqual(10 + 100 + 1_000);
}, 120_000);
