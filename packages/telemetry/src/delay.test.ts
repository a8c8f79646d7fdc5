import { expect, test } from 'vitest';
import { delaysOf, roundDelay } from './delay.ts';

test.each([
  // seconds, limit 2, limit 3, limit 0
  [0.004, '0', '0.004', '0'],
  [0.0149, '0.01', '0.015', '0'],
  [0.049, '0.05', '0.049', '0'],
  [0.095, '0.1', '0.095', '0'],
  [0.994, '0.99', '0.99', '1'],
  [0.995, '1', '1', '1'],
  [1.05, '1.1', '1.1', '1'],
  [9.96, '10', '10', '10'],
  [10.5, '11', '11', '11'],
  [123.4, '123', '123', '123'],
  [-0.5, '0', '0', '0'],
])(
  'delay_logging_resolution_limit 2, 3 and 0: %d s is logged as %s, %s or %s',
  (seconds, two, three, none) => {
    expect([2, 3, 0].map((limit) => String(roundDelay(seconds * 1000, limit)))).toEqual([two, three, none]);
  },
);

test('the smallest delay that six digits can show is not in exponent form', () => {
  expect(String(roundDelay(0.0014, 6))).toBe('0.000001');
});

test('delays are the differences between the five instants', () => {
  const times = { arrivalMs: 1000, activatedMs: 1010, handedOffMs: 1030, setUpMs: 1530, doneMs: 2230 };
  expect(delaysOf(times, 2)).toEqual({ delay: 1.2, delays: [0.01, 0.02, 0.5, 0.7] });
});
