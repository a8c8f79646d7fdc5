/** A sentence for each thing that a message in the active queue may wait for. */
import { expect, test } from 'vitest';
import type { DestinationControl, DestinationState, Hindrance, LeaderAnswer } from './destination-ports.ts';
import { type Circumstances, destinationReasons, partReasons } from './explain-words.ts';

const NOW_MS = Date.UTC(2026, 10, 26, 12);
const name = { transport: 'smtp', nexthop: 'a.example' };
const state: DestinationState = {
  ...name,
  window: 5,
  limit: 20,
  busy: 5,
  waiting: 9,
  rateDelayMs: 0,
  transportState: { busy: 7, processLimit: 7, rateDelayMs: 0 },
};

function around(answer: Partial<LeaderAnswer>, more: Partial<Circumstances> = {}): Circumstances {
  return {
    shard: 0,
    nowMs: NOW_MS,
    lease: { holder: 'scheduler@host[1]', leftMs: 9_000 },
    workers: 2,
    bounceDaemons: 1,
    holders: new Map(),
    answer: { activeMessages: 1, activeLimit: 100, ...answer },
    ...more,
  };
}

const active = { shard: 0, queue: 'active', sinceOrDueMs: NOW_MS, toBeHeld: false, copying: false } as const;

function waiting(
  hindrance: Hindrance,
  destination: Partial<DestinationState> = {},
  more: Partial<Circumstances> = {},
  controls: readonly DestinationControl[] = [],
): string {
  const at = [
    { destination: { ...state, ...destination }, waiting: 2, hindrance, ahead: 3, batches: [] },
  ] as const;
  const reasons = partReasons(active, around({ message: { at, more: 0 } }, more), controls, false);
  return reasons.map(({ text }) => text).join('\n');
}

const WHO = '2 recipients for smtp:a.example: ';
const BEHIND = ', behind 3 delivery requests of other messages';

test.each<[string, string]>([
  [waiting('window'), 'the concurrency window is full, 5 of 5 batches are under way (limit 20)'],
  [
    waiting('window', { limit: 0 }),
    'the concurrency window is full, 5 of 5 batches are under way (without limit)',
  ],
  [
    waiting('window', {}, { workers: 0 }),
    'the concurrency window is full, 5 of 5 batches are under way (limit 20); NO WORKER RUNS, start mailfleet smtp-worker',
  ],
  [
    waiting('window', { rateDelayMs: 2_000 }),
    'the rate delay of 2 s allows one delivery at a time, and one is under way',
  ],
  [
    waiting('rate-delay', { rateDelayMs: 2_000, suspendedUntilMs: NOW_MS + 1_000 }),
    'the rate delay of 2 s between deliveries ends at 2026-11-26T12:00:01.000Z',
  ],
  [
    waiting('transport-rate-delay', {
      transportState: { busy: 0, processLimit: 7, rateDelayMs: 3_000, suspendedUntilMs: NOW_MS + 1_000 },
    }),
    'the rate delay of 3 s of transport smtp ends at 2026-11-26T12:00:01.000Z',
  ],
  [
    waiting('transport-rate-delay', { transportState: { busy: 1, processLimit: 7, rateDelayMs: 3_000 } }),
    'the rate delay of 3 s of transport smtp allows one delivery at a time, and one is under way',
  ],
  [
    waiting('process-limit'),
    'transport smtp has as many batches under way as default_process_limit, or maxproc in master.cf, allows its shard (7)',
  ],
  [waiting('turn'), 'nothing hinders it, its batch is being made now'],
])('%s', (sentence, wanted) => {
  expect(sentence).toBe(WHO + wanted + BEHIND);
});

test('an operator who set what hinders is named with the reason', () => {
  const control = {
    ...name,
    kind: 'rate-delay',
    value: 2_000,
    sinceMs: NOW_MS,
    untilMs: NOW_MS + 60_000,
    reason: 'so they ask',
  } as const;
  expect(waiting('window', { rateDelayMs: 2_000 }, {}, [control])).toContain(
    'the rate delay of 2 s, set by the operator until 2026-11-26T12:01:00.000Z: so they ask; allows one delivery',
  );
});

test('a message between two states of its pass is told to be that', () => {
  const text = (answer: Partial<LeaderAnswer>): string | undefined =>
    partReasons(active, around(answer), [], false)[0]?.text;
  expect(text({})).toMatch(/is just taking it in or is done with this pass/);
  expect(text({ message: { at: [], more: 0 } })).toMatch(
    /every recipient was tried, the pass is just ending/,
  );
  expect(text({ message: { awaits: 'delay', at: [], more: 0 } })).toMatch(
    /waits for the delay notice of the bounce daemon/,
  );
});

test('a pause of one of its destinations is told wherever the message is', () => {
  const pause = { ...name, kind: 'pause', value: 0, sinceMs: 0, untilMs: NOW_MS + 1, reason: 'why' } as const;
  for (const queue of ['incoming', 'active', 'deferred'] as const) {
    const [first] = partReasons({ ...active, queue }, around({}), [pause], false);
    expect(first).toEqual({
      text: expect.stringMatching(/is paused by the operator until .*: why$/),
      nextMs: NOW_MS + 1,
    });
  }
});

test('recipients to be read, and a message that is stopped', () => {
  const text = (message: Partial<NonNullable<LeaderAnswer['message']>>): string =>
    partReasons(active, around({ message: { at: [], more: 0, ...message } }), [], false)
      .map((reason) => reason.text)
      .join();
  expect(text({ unread: 7 })).toMatch(/^7 recipients more are read into memory when there is room/);
  expect(text({ stopped: 'hold' })).toMatch(
    /^nothing more of it is handed out \(an operator put it on hold\)/,
  );
});

test('forced to expire, and parts to be copied', () => {
  const texts = partReasons({ ...active, copying: true }, around({}), [], true).map(({ text }) => text);
  expect(texts).toContainEqual(expect.stringMatching(/an operator made it expire/));
  expect(texts).toContainEqual(expect.stringMatching(/recipients of other shards are still being copied/));
});

test('a destination: idle, at work, dead, at its limits', () => {
  const of = (destination?: Partial<DestinationState>, more: Partial<Circumstances> = {}): string =>
    destinationReasons(
      around(destination === undefined ? {} : { destination: { ...state, ...destination } }, more),
      [],
    )
      .map(({ text }) => text)
      .join('\n');
  expect(of()).toMatch(/^no mail for it is in the active queue, and it is not dead/);
  expect(of({ waiting: 1 }, { workers: 0 })).toBe(
    [
      '5 of 5 batches are under way (limit 20), 1 delivery request waits',
      'transport smtp has as many batches under way as default_process_limit, or maxproc in master.cf, allows its shard (7)',
      'NO WORKER RUNS, start mailfleet smtp-worker',
    ].join('\n'),
  );
  expect(of({ dead: { status: '4.4.1', reason: 'timed out', untilMs: NOW_MS + 1_000 } })).toMatch(
    /^dead until 2026-11-26T12:00:01.000Z, its mail is deferred meanwhile: 4.4.1 timed out/,
  );
});
