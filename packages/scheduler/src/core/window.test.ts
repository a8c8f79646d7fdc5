import { describe, expect, test } from 'vitest';
import { parseFeedback } from './feedback.ts';
import { ConcurrencyWindow } from './window.ts';

const LARGE = 1000;

function windowOf(
  options: {
    W0?: number;
    L?: number;
    K?: number;
    both?: string;
    positive?: string;
    negative?: string;
    start?: number;
  } = {},
): ConcurrencyWindow {
  const feedback = (text: string | undefined) => parseFeedback(text ?? options.both ?? '1') ?? (() => 1);
  const window = new ConcurrencyWindow({
    initial: options.W0 ?? 5,
    limit: options.L ?? 20,
    failedCohortLimit: options.K ?? 1,
    positive: feedback(options.positive),
    negative: feedback(options.negative),
  });
  if (options.start !== undefined) window.size = options.start;
  return window;
}

/** Sizes after each event; 0 is dead. */
function sizes(window: ConcurrencyWindow, events: string, busy = LARGE): number[] {
  return events.split(' ').map((event) => {
    if (event === 'ok') window.grow(busy);
    else window.shrink();
    return window.size;
  });
}

const times = (count: number, event: string): string => Array.from({ length: count }, () => event).join(' ');
const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.abs(to - from) + 1 }, (_, index) => from + (to > from ? index : -index));

type Options = Parameters<typeof windowOf>[0];
interface State {
  readonly S?: number;
  readonly F?: number;
  readonly C?: number;
}
const quarter = { both: '1/4', K: 10 };
const third = { both: '1/3', K: 10 };
const half = { both: '0.5', K: 10 };
const perWindow = { both: '1/concurrency' };

// Steps of one row continue one window.
const rows: readonly [
  string,
  Options,
  readonly (readonly [events: string, sizes: number[], state?: State])[],
][] = [
  [
    'W1',
    {},
    [
      [times(15, 'ok'), range(6, 20)],
      [times(3, 'ok'), [20, 20, 20]],
    ],
  ],
  [
    'W2',
    {},
    [
      ['fail', [3], { F: 1, C: 0.2 }],
      ['fail', [2], { F: 1, C: 0.5333 }],
      ['fail', [0], { C: 1.0333 }],
    ],
  ],
  [
    'W3',
    {},
    [
      ['fail fail ok', [3, 2, 3], { F: 0, C: 0 }],
      ['ok ok', [4, 5]],
    ],
  ],
  [
    'W4',
    { start: 20 },
    [
      [times(12, 'fail'), range(18, 7)],
      ['fail', [0]],
    ],
  ],
  [
    'W5',
    perWindow,
    [
      ['ok', [5], { S: 0.2 }],
      ['ok ok', [5, 5], { S: 0.6 }],
      ['ok', [5], { S: 0.8 }],
      ['ok', [6], { S: 0 }],
      [times(6, 'ok'), [6, 6, 6, 6, 6, 7]],
    ],
  ],
  [
    'W6',
    perWindow,
    [
      ['fail', [4], { F: 0.8 }],
      ['fail', [4], { F: 0.55 }],
      ['fail', [4], { F: 0.3 }],
      ['fail', [3], { F: 1.05, C: 0.95 }],
      ['fail', [0], { C: 1.2833 }],
    ],
  ],
  [
    'W7',
    { ...perWindow, K: 10 },
    [
      [times(9, 'fail'), [4, 4, 4, 3, 3, 3, 2, 2, 1], { C: 2.95 }],
      ['fail fail', [1, 1]],
    ],
  ],
  [
    'W8',
    { ...perWindow, start: 20 },
    [
      [times(18, 'fail'), Array.from({ length: 18 }, () => 19)],
      ['fail', [18], { C: 0.9974 }],
      ['fail', [0]],
    ],
  ],
  [
    'W9',
    { ...perWindow, W0: 10, K: 10 },
    [
      ['fail', [9], { F: 0.9 }],
      [times(8, 'ok'), Array.from({ length: 8 }, () => 9), { S: 0.8889, F: 0.9 }],
      ['ok', [10], { S: 0, F: 0 }],
    ],
  ],
  [
    'W10',
    quarter,
    [
      [times(4, 'ok'), [5, 5, 5, 6]],
      [times(4, 'ok'), [6, 6, 6, 7]],
      ['fail', [6], { F: 0.75 }],
      ['ok ok ok', [6, 6, 6]],
      ['ok', [7], { F: 0 }],
      ['fail', [6], { F: 0.75 }],
      ['fail', [6], { F: 0.5 }],
      ['fail', [6], { F: 0.25 }],
      ['fail', [5], { F: 1 }],
      ['fail', [5], { F: 0.75 }],
    ],
  ],
  [
    'W11',
    half,
    [
      ['ok ok', [5, 6]],
      ['ok ok', [6, 7]],
      ['fail', [6], { F: 0.5 }],
      ['fail', [5], { F: 1 }],
      ['fail', [5], { F: 0.5 }],
      ['fail', [4], { F: 1 }],
    ],
  ],
  [
    'W12',
    third,
    [
      ['ok ok ok', [5, 5, 6]],
      ['ok ok ok', [6, 6, 7]],
      ['ok fail', [7, 6], { F: 0.6667 }],
      ['fail', [6], { F: 0.3333 }],
      ['fail', [5], { F: 1 }],
    ],
  ],
  [
    'W15',
    { L: 2 },
    [
      ['fail', [1], { C: 0.5 }],
      ['fail', [0]],
    ],
  ],
  ['W16', { L: 1 }, [['fail', [0]]]],
  [
    'W17',
    { L: 1, K: 10 },
    [
      [times(4, 'fail'), [1, 1, 1, 1], { C: 4 }],
      ['ok', [1], { C: 0 }],
    ],
  ],
  ['W18', { negative: '0' }, [[times(5, 'fail'), [5, 5, 5, 5, 0]]]],
  ['W19', { negative: '0', W0: 10 }, [[times(11, 'fail'), [...Array.from({ length: 10 }, () => 10), 0]]]],
  ['W20', { negative: '0', K: 0 }, [[times(100, 'fail'), Array.from({ length: 100 }, () => 5)]]],
  ['W21', { L: 0 }, [[times(100, 'ok'), range(6, 105)]]],
];

describe('the window moves as in the table', () => {
  test.each(rows)('%s', (_id, options, steps) => {
    const window = windowOf(options);
    for (const [events, expected, state] of steps) {
      expect(sizes(window, events)).toEqual(expected);
      if (state?.S !== undefined) expect(window.success).toBeCloseTo(state.S, 4);
      if (state?.F !== undefined) expect(window.failure).toBeCloseTo(state.F, 4);
      if (state?.C !== undefined) expect(window.failedCohorts).toBeCloseTo(state.C, 4);
    }
  });

  test('W13: it grows only while the work under way comes near', () => {
    expect(sizes(windowOf(), 'ok ok ok', 1)).toEqual([6, 6, 6]);
  });

  test('W14: with feedback 1/concurrency and two under way it stops at 7', () => {
    const seen = sizes(windowOf(perWindow), times(30, 'ok'), 2);
    expect(seen.slice(9, 11)).toEqual([6, 7]);
    expect(new Set(seen.slice(10))).toEqual(new Set([7]));
  });

  test('W22: a success revives a dead one with what is under way', () => {
    const window = windowOf({ L: 1 });
    expect(sizes(window, 'fail')).toEqual([0]);
    window.grow(1);
    expect([window.size, window.success, window.failure, window.failedCohorts]).toEqual([1, 0, 0, 0]);
  });

  test('a timer revives an idle one with its initial window', () => {
    const window = windowOf({ W0: 3 });
    window.size = 0;
    window.revive(0);
    expect(window.size).toBe(3);
  });
});

describe('feedback amounts', () => {
  test.each(['2', '1/sqrt_concurrency', '3/2', '2/concurrency', '', '1/0', '-1'])(
    'W23: %j is refused',
    (text) => {
      expect(parseFeedback(text)).toBeUndefined();
    },
  );

  test.each([
    ['1', 1],
    ['0', 0],
    ['.5', 0.5],
    ['3 / 4', 0.75],
    ['1 / Concurrency', 0.1],
  ])('%j is %d at a window of 10', (text, expected) => {
    expect(parseFeedback(text)?.(10)).toBe(expected);
  });
});
