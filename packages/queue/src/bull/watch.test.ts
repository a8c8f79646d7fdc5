/** A worker that takes nothing though it could is told from one that is idle, busy, or at work. */
import { expect, test, vi } from 'vitest';
import { Takings, watchTakings } from './watch.ts';

const waiting = (count: number) => ({ getWaitingCount: async () => count });

test('nothing waits, or no room is left, or a job was taken since: it does not idle', async () => {
  const takings = new Takings(2);
  expect(await takings.idles(waiting(0))).toBe(false);
  expect(await takings.idles(waiting(1))).toBe(true);
  takings.begin();
  expect(await takings.idles(waiting(1)), 'it took one').toBe(false);
  expect(await takings.idles(waiting(1)), 'it has room for another').toBe(true);
  takings.begin();
  takings.end();
  expect(await takings.idles(waiting(1)), 'it took one').toBe(false);
  takings.begin();
  expect(await takings.idles(waiting(1))).toBe(false);
  expect(await takings.idles(waiting(1)), 'it is full').toBe(false);
});

test('one part that idles is enough to be no progress', async () => {
  const stop = new AbortController();
  const progress = vi.fn();
  const good = { takings: new Takings(1), queue: waiting(0) };
  const first = watchTakings([good], progress, stop.signal);
  await vi.waitFor(() => expect(progress).toHaveBeenCalledOnce());
  const other = vi.fn();
  const asked = vi.fn(async () => 1);
  const second = watchTakings(
    [good, { takings: new Takings(1), queue: { getWaitingCount: asked } }],
    other,
    stop.signal,
  );
  await vi.waitFor(() => expect(asked).toHaveBeenCalled());
  stop.abort();
  await Promise.all([first, second]);
  expect(other).not.toHaveBeenCalled();
});
