import { expect, test } from 'vitest';
import { makeQueueIds } from './queue-id.ts';

test('an id is time, z and a tail without z, as log tools expect of long queue ids', () => {
  expect(makeQueueIds()()).toMatch(
    /^[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{6}$/,
  );
});

test('ids of one process rise, also within a microsecond and when the clock goes back', () => {
  let nowMs = 1_700_000_000_000;
  const next = makeQueueIds(() => nowMs, '000000');
  const ids = [next(), next(), next()];
  nowMs -= 5_000;
  ids.push(next());
  nowMs += 60_000;
  ids.push(next());
  expect(ids).toEqual([...new Set(ids)].sort());
});

test('ids of two processes differ in the same microsecond', () => {
  expect(makeQueueIds(() => 1)()).not.toBe(makeQueueIds(() => 1)());
});

test('seconds and microseconds are those of the clock in base 52', () => {
  expect(makeQueueIds(() => 52_000.053, 'tail')()).toBe('0000100011ztail');
});
