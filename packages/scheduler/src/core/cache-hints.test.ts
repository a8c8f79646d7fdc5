import type { Batch } from '@mailfleet/smtp';
import { expect, test } from 'vitest';
import { CacheHints } from './cache-hints.ts';
import { makeMessage, makeSettings, resultOf } from './fixture.ts';
import { createCore } from './scheduler.ts';

/** Busy batches of one destination, as qmgr counts them. */
class Deliveries {
  readonly #hints = new CacheHints();
  busy = 0;

  select(seconds: number): Batch['caching'] {
    this.busy += 1;
    return this.#hints.select(this.busy, seconds * 1000);
  }

  complete(seconds: number, count = 1): void {
    this.busy -= count;
    this.#hints.done(seconds * 1000);
  }
}

test('the hints that qmgr sends in its sequence of five windows', () => {
  const deliveries = new Deliveries();
  const start = 1000;
  for (let slot = 0; slot < 5; slot += 1) expect(deliveries.select(start)).toBeUndefined();
  deliveries.complete(start + 1);
  expect(deliveries.select(start + 1)).toBe('load-store');
  expect(deliveries.select(start + 6)).toBe('load-store');
  expect(deliveries.busy).toBe(6);
  deliveries.complete(start + 6, 6);
  expect(deliveries.select(start + 9)).toBe('load');
  deliveries.complete(start + 10);
  expect(deliveries.select(start + 11)).toBe('load-store');
});

test('back to back is a matter of whole seconds', () => {
  const hints = new CacheHints();
  hints.done(1_999);
  expect(hints.select(1, 3_000)).toBeUndefined();
  hints.done(2_000);
  expect(hints.select(1, 3_999)).toBe('load-store');
});

test('a batch carries the hints of its destination', () => {
  const window = { initial: 2, limit: 2 };
  const core = createCore({
    settings: makeSettings({ batchLimit: 1 }, { window }),
    shard: 0,
    fence: 7,
    term: '7-t',
  });
  const admit = (nowMs: number, count: number, name: string): readonly Batch[] => {
    const pull = core.nextPull(nowMs);
    const messages = Array.from({ length: count }, (_, i) => makeMessage(`${name}${i}`, ['u@a.example']));
    if (pull === undefined) throw new Error('the core wants no message');
    core.pulled(pull, messages, nowMs);
    return core.takeTurn(nowMs).batches;
  };
  core.apply({ id: '0-0', kind: 'mail' }, 10_000);
  const batches = admit(10_000, 6, 'm');
  expect(batches.map(({ caching }) => caching)).toEqual([undefined, undefined]);
  const [first] = batches;
  core.apply(resultOf(first?.id ?? '', 'm0', [[0, 'delivered']]), 10_500);
  core.apply({ id: '0-1', kind: 'batch-end', batchId: first?.id ?? '', returned: [] }, 10_500);
  const [third] = core.takeTurn(10_500).batches;
  expect(third?.caching).toBe('load-store');
});

test('with its destination dead nothing is kept open', () => {
  const hints = new CacheHints();
  hints.done(1_000);
  expect(hints.select(1, 1_500)).toBe('load-store');
  hints.clear();
  expect(hints.select(1, 9_000)).toBeUndefined();
});
