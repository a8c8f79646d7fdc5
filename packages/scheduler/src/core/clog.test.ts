import { expect, test } from 'vitest';
import { makeMessage, makeSettings } from './fixture.ts';
import { createCore } from './scheduler.ts';

/** Warnings when messages for one destination come in, ten at each of these times. */
function warningsOf(
  clogWarnMs: number,
  timesMs: readonly number[],
  limits: Parameters<typeof makeSettings>[1] = {},
): string[] {
  const settings = makeSettings({ activeLimit: 50, batchLimit: 1, clogWarnMs }, limits);
  const core = createCore({ settings, shard: 0, fence: 1, term: '1' });
  return timesMs.flatMap((nowMs) => {
    const messages = Array.from({ length: 10 }, (_, i) => makeMessage(`m${nowMs}-${i}`, ['u@a.example']));
    core.pulled({ source: 'incoming', count: 10 }, messages, nowMs);
    return core.takeTurn(nowMs).events.flatMap((event) => (event.kind === 'remark' ? [event.text] : []));
  });
}

test('more than a fifth of the active queue for one destination is told, at most every qmgr_clog_warn_time', () => {
  expect(warningsOf(1_000, [0])).toEqual([]);
  expect(warningsOf(1_000, [0, 10, 20])).toHaveLength(1);
  expect(warningsOf(1_000, [0, 10, 1_010])).toHaveLength(2);
  expect(warningsOf(0, [0, 10, 20])).toEqual([]);
});

test.each([
  [{ window: { initial: 2, limit: 2 } }, 'its 2 sessions are busy; raise smtp_destination_concurrency_limit'],
  [{ window: { initial: 2 } }, 'its servers are slow or fail (window 2)'],
  [{ processLimit: 1 }, 'transport smtp has default_process_limit batches under way'],
  [{ destinationRateDelayMs: 5 }, 'a rate delay of transport smtp holds it back'],
])('%j: it says what the destination waits for', (limits, cause) => {
  const [warning] = warningsOf(1_000, [0, 10], limits);
  expect(warning).toContain('delivery requests wait for a.example in an active queue of 50 messages: ');
  expect(warning).toContain(cause);
});
