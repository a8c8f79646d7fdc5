/** What each kind of report does to its message and its destination, and worked examples of dead and paused ones. */
import type { ActiveMessage, InboxEntry } from '@mailfleet/queue';
import type { HopStatus } from '@mailfleet/smtp';
import { describe, expect, test } from 'vitest';
import { Admission } from './admission.ts';
import { cutBatches } from './batching.ts';
import { enter } from './entering.ts';
import { makeMessage, makeSettings, resultOf } from './fixture.ts';
import type { Destination } from './model.ts';
import { applyResult, endBatch } from './results.ts';
import { runTimers } from './reviving.ts';
import { makeState, type State } from './state.ts';
import { offer } from './transport.ts';

const DOWN = { status: '4.4.2', reason: 'lost connection' };
type Result = Extract<InboxEntry, { kind: 'result' }>;

/** Ten messages to one destination, one request a batch, window 5: b0-1-1 to b0-1-5 are under way. */
function busyState(
  limits: Parameters<typeof makeSettings>[1] = {},
  core: Parameters<typeof makeSettings>[0] = {},
): {
  state: State;
  destination: Destination;
} {
  const state = makeState({
    settings: makeSettings({ batchLimit: 1, ...core }, limits),
    shard: 0,
    fence: 1,
    term: '1',
  });
  for (let id = 0; id < 10; id += 1) enter(state, makeMessage(`m${id}`, ['u@a.example', 'v@a.example']), 0);
  cutBatches(state, 0);
  const destination = state.transports.get('smtp')?.destinations.get('a.example');
  if (destination === undefined) throw new Error('no destination');
  return { state, destination };
}

const report = (
  state: State,
  number: number,
  kinds: readonly ('delivered' | 'deferred' | 'bounced')[],
  hopStatus?: HopStatus,
): void => {
  const outcomes = kinds.map((kind, recipient) => [recipient, kind] as const);
  const result = resultOf(`b0-1-${number}`, `m${number - 1}`, outcomes, hopStatus) as Result;
  applyResult(state, result, 1);
};

test('destination_concurrency_feedback_debug: each report says how it moved the window', () => {
  const textsOf = (feedbackDebug: boolean): string[] => {
    const { state } = busyState({}, { feedbackDebug });
    report(state, 1, ['delivered', 'delivered']);
    report(state, 2, ['deferred', 'deferred'], DOWN);
    return state.turn.events.flatMap((event) => (event.kind === 'remark' ? [event.text] : []));
  };
  expect(textsOf(false)).toEqual([]);
  expect(textsOf(true)).toEqual([
    'positive feedback for smtp:a.example: window 5 to 6, success 0.0000, failure 0.0000, failed cohorts 0.0000',
    'negative feedback for smtp:a.example: window 6 to 4, success 0.0000, failure 1.0000, failed cohorts 0.1667',
  ]);
});

describe('a report', () => {
  test.each<
    [string, readonly ('delivered' | 'deferred' | 'bounced')[], HopStatus | undefined, number, string]
  >([
    ['all delivered', ['delivered', 'delivered'], undefined, 6, 'retire'],
    ['all bounced', ['bounced', 'bounced'], undefined, 6, 'notice'],
    ['4xx for every recipient', ['deferred', 'deferred'], undefined, 6, 'defer'],
    ['some deferred', ['delivered', 'deferred'], undefined, 6, 'defer'],
    ['trouble with the destination', ['deferred', 'deferred'], DOWN, 3, 'defer'],
  ])('%s', (_what, kinds, hopStatus, window, conclusion) => {
    const { state, destination } = busyState();
    report(state, 1, kinds, hopStatus);
    expect(destination.window.size).toBe(window);
    expect(state.turn.conclusions.map(({ kind }) => kind)).toEqual([conclusion]);
  });

  test('a worker that vanished gives no feedback, and its request goes out again', () => {
    const { state, destination } = busyState();
    endBatch(state, 'b0-1-1', 1);
    expect(destination.window.size).toBe(5);
    expect(state.turn.conclusions).toEqual([]);
    state.turn.batches.length = 0;
    cutBatches(state, 1);
    expect(state.turn.batches[0]?.requests[0]?.envelope.queueId).toBe('m0');
  });

  test('counts once per request of a batch', () => {
    const wide = makeState({ settings: makeSettings({ batchLimit: 100 }), shard: 0, fence: 1, term: '1' });
    for (let id = 0; id < 100; id += 1) enter(wide, makeMessage(`m${id}`, ['u@a.example']), 0);
    cutBatches(wide, 0);
    const window = wide.transports.get('smtp')?.destinations.get('a.example')?.window;
    expect(wide.turn.batches[0]?.requests).toHaveLength(20);
    for (const { envelope } of wide.turn.batches[0]?.requests.slice(0, 4) ?? []) {
      applyResult(wide, resultOf('b0-1-1', envelope.queueId, [[0, 'delivered']]) as Result, 1);
    }
    expect(window?.size).toBe(9);
  });

  test.each<[HopStatus, HopStatus]>([
    [DOWN, { status: '4.4.2', reason: 'delivery temporarily suspended: lost connection' }],
    [
      { status: 'what', reason: '' },
      { status: '4.0.0', reason: 'delivery temporarily suspended: unknown error' },
    ],
  ])('a dead destination tells %j', (report_, expected) => {
    const { state, destination } = busyState({ window: { limit: 1 } });
    report(state, 1, ['deferred', 'deferred'], report_);
    expect(destination.trouble).toEqual(expected);
    expect(destination.window.dead).toBe(true);
  });
});

describe('a dead destination', () => {
  test('keeps its timer, whatever the batches still under way report, and forgets its hints', () => {
    const { state, destination } = busyState();
    Object.assign(destination, { connectionLoad: true, connectionStore: true });
    for (const number of [1, 2, 3]) report(state, number, ['deferred', 'deferred'], DOWN);
    expect(destination).toMatchObject({ timerMs: 300_001, connectionLoad: false, connectionStore: false });
    applyResult(
      state,
      resultOf('b0-1-4', 'm3', [[0, 'deferred']], { ...DOWN, reason: 'later' }) as Result,
      5000,
    );
    expect(destination).toMatchObject({ timerMs: 300_001, trouble: { status: '4.4.2' } });
    expect(destination.trouble?.reason).not.toContain('later');
  });

  test('is forgotten when there are too many, and only then', () => {
    for (const [recipientLimit, kept] of [
      [3, 6],
      [100, 10],
    ] as const) {
      const settings = makeSettings({ recipientLimit, batchLimit: 1 }, { window: { limit: 1 } });
      const state = makeState({ settings, shard: 0, fence: 1, term: '1' });
      for (let id = 0; id < 10; id += 1) enter(state, makeMessage(`m${id}`, [`u@d${id}.example`]), 0);
      cutBatches(state, 0);
      for (let id = 1; id <= 10; id += 1) {
        applyResult(state, resultOf(`b0-1-${id}`, `m${id - 1}`, [[0, 'deferred']], DOWN) as Result, 1);
        endBatch(state, `b0-1-${id}`, 1);
      }
      expect(state.destinations).toBe(kept);
      expect(state.timers.size).toBe(kept);
    }
  });
});

test('with a rate delay a failure defers what waits, and the destination pauses for the delay only', () => {
  const { state, destination } = busyState({ destinationRateDelayMs: 2000 });
  expect(state.flights.size).toBe(1);
  report(state, 1, ['deferred', 'deferred'], DOWN);
  expect(state.turn.locals).toHaveLength(9);
  expect(destination.window.dead).toBe(true);
  endBatch(state, 'b0-1-1', 1);
  expect(destination).toMatchObject({ trouble: undefined, suspended: true, timerMs: 2001 });
  // What comes meanwhile waits for the pause to end.
  enter(state, makeMessage('late', ['u@a.example']), 1000);
  state.turn.batches.length = 0;
  cutBatches(state, 1000);
  expect(state.turn.batches).toEqual([]);
  runTimers(state, 2001);
  cutBatches(state, 2001);
  expect(state.turn.batches).toHaveLength(1);
});

test('connections are worth keeping while deliveries come back to back', () => {
  const state = makeState({ settings: makeSettings({ batchLimit: 1 }), shard: 0, fence: 1, term: '1' });
  for (let id = 0; id < 20; id += 1) enter(state, makeMessage(`m${id}`, ['u@a.example']), 0);
  const destination = state.transports.get('smtp')?.destinations.get('a.example');
  const hints = (nowMs: number): string[] => {
    cutBatches(state, nowMs);
    return state.turn.batches
      .splice(0)
      .map(
        ({ connectionLoad, connectionStore }) =>
          `${connectionLoad ? 'LOAD' : ''} ${connectionStore ? 'STORE' : ''}`,
      );
  };
  const complete = (number: number, nowMs: number): void => {
    const result = resultOf(`b0-1-${number}`, `m${number - 1}`, [[0, 'deferred']]) as Result;
    applyResult(state, result, nowMs);
    endBatch(state, `b0-1-${number}`, nowMs);
  };
  const resize = (window: number): void => {
    if (destination === undefined) throw new Error('no destination');
    destination.window.size = window;
    offer(destination);
  };
  expect(hints(0)).toEqual(Array.from({ length: 5 }, () => ' '));
  complete(1, 1000);
  resize(5);
  expect(hints(1000)).toEqual(['LOAD STORE']);
  resize(6);
  expect(hints(6000)).toEqual(['LOAD STORE']);
  for (let number = 2; number <= 7; number += 1) complete(number, 6000);
  resize(1);
  expect(hints(9000)).toEqual(['LOAD ']);
  complete(8, 9000);
  resize(1);
  expect(hints(10_000)).toEqual(['LOAD STORE']);
});

test('sums of feedback survive a pause', () => {
  const { state, destination } = busyState({
    destinationRateDelayMs: 2000,
    window: { failedCohortLimit: 3 },
  });
  report(state, 1, ['deferred', 'deferred'], DOWN);
  endBatch(state, 'b0-1-1', 1);
  runTimers(state, 2001);
  expect(destination.window.failedCohorts).toBe(1);
});

test('incoming and deferred take turns one by one, and what is not due costs no turn', () => {
  const incoming = ['i1', 'i2', 'i3'];
  const deferred = [
    { name: 'd1', dueMs: 0 },
    { name: 'd2', dueMs: 5000 },
    { name: 'd3', dueMs: 0 },
  ];
  const admission = new Admission();
  const order: string[] = [];
  admission.setDue(0);
  // Room for one at a time, as after each message of qmgr(8).
  for (let pull = admission.next(2, 0); pull !== undefined; pull = admission.next(2, 0)) {
    const due = deferred.filter(({ dueMs }) => dueMs <= 0).map(({ name }) => name);
    const taken = (pull.source === 'incoming' ? incoming : due).slice(0, pull.count);
    for (const name of taken) {
      if (pull.source === 'incoming') incoming.shift();
      else
        deferred.splice(
          deferred.findIndex((one) => one.name === name),
          1,
        );
    }
    order.push(...taken);
    admission.pulled(pull, taken.length);
    if (admission.dueUnknown) admission.setDue(deferred[0]?.dueMs);
  }
  expect(order).toEqual(['i1', 'd1', 'i2', 'd3', 'i3']);
  expect(deferred).toHaveLength(1);
});

test('when the active queue was full, new mail gets the first place', () => {
  const admission = new Admission();
  admission.setDue(0);
  const sources: (string | undefined)[] = [];
  for (const room of [1, 1, 0, 1, 0, 1]) {
    const pull = admission.next(room, 0);
    sources.push(pull?.source);
    if (pull !== undefined) admission.pulled(pull, 1);
  }
  expect(sources).toEqual(['incoming', 'deferred', undefined, 'incoming', undefined, 'incoming']);
});

test('destinations of a message take turns in the order of transport, nexthop, domain and address', () => {
  const state = makeState({
    settings: makeSettings({}, { recipientLimit: 2 }),
    shard: 0,
    fence: 1,
    term: '1',
  });
  const message: ActiveMessage = makeMessage('m', [
    'smtp:b.example v@a',
    'smtp:A.example z@z',
    'smtp:b.example u@a',
    'smtp:a.example y@c',
    'lmtp:c.example u@c',
    'smtp:b.example u@0',
  ]);
  enter(state, message, 0);
  cutBatches(state, 0);
  const batches = state.turn.batches.map(
    ({ nexthop, requests }) =>
      `${nexthop} ${requests.flatMap(({ recipients }) => recipients.map(({ address }) => address)).join(' ')}`,
  );
  expect(batches).toEqual(['c.example u@c', 'a.example y@c z@z', 'b.example u@0 u@a', 'b.example v@a']);
});
