/** Pauses, limits and rate delays that an operator sets on a destination for a time; what the memory tells of them. */
import type { ControlChange, ControlKind } from '@mailfleet/queue';
import { expect, test } from 'vitest';
import { makeMessage, makeSettings, resultOf } from './fixture.ts';
import { createCore, type SchedulerCore } from './scheduler.ts';

const makeCore = (...settings: Parameters<typeof makeSettings>): SchedulerCore =>
  createCore({ settings: makeSettings(...settings), shard: 0, fence: 1, term: '1' });

function set(nexthop: string, kind: ControlKind, value: number, untilMs: number): ControlChange {
  const name = { transport: 'smtp', nexthop };
  return { ...name, kind, control: { ...name, kind, value, sinceMs: 0, untilMs, reason: 'they asked' } };
}

const lifted = (nexthop: string, kind: ControlKind, previousUntilMs: number): ControlChange => ({
  transport: 'smtp',
  nexthop,
  kind,
  previousUntilMs,
});

let entryId = 0;
function put(core: SchedulerCore, nowMs: number, ...messages: Parameters<typeof makeMessage>[]): void {
  const made = messages.map((each) => makeMessage(...each));
  entryId += 1;
  core.apply({ id: `${entryId}`, kind: 'mail' }, nowMs);
  core.setDue(undefined, nowMs);
  const pull = core.nextPull(nowMs);
  if (pull === undefined) throw new Error('nothing is pulled');
  core.pulled(pull, made, nowMs);
}

const end = (core: SchedulerCore, batchId: string, nowMs: number): void =>
  core.apply({ id: '0-2', kind: 'batch-end', batchId, returned: [] }, nowMs);

test('what waits for a paused destination goes back until the pause ends, without an outcome; the rest is delivered', () => {
  const core = makeCore();
  put(core, 0, ['m1', ['u@a.example', 'u@b.example']], ['m2', ['u@a.example']]);
  core.control(set('A.example', 'pause', 0, 60_000), 1);
  const turn = core.takeTurn(1);
  expect(turn.conclusions).toEqual([{ kind: 'defer', queueId: 'm2', dueMs: 60_000 }]);
  expect(turn.locals).toEqual([]);
  expect(turn.batches.map(({ nexthop }) => nexthop)).toEqual(['b.example']);
  const [batch] = turn.batches;
  core.apply(resultOf(batch?.id ?? '', 'm1', [[1, 'delivered']]), 2);
  end(core, batch?.id ?? '', 2);
  expect(core.takeTurn(2).conclusions).toEqual([{ kind: 'defer', queueId: 'm1', dueMs: 60_000 }]);
  expect(core.explain({ queueId: 'm1' }, 2)).toEqual({ activeMessages: 0, activeLimit: 1_000_000 });
});

test('mail that comes during a pause goes back at once, and is delivered when it is over to the millisecond', () => {
  const core = makeCore();
  core.control(set('a.example', 'pause', 0, 60_000), 0);
  put(core, 59_999, ['m1', ['u@a.example']]);
  expect(core.takeTurn(59_999)).toMatchObject({
    batches: [],
    conclusions: [{ kind: 'defer', queueId: 'm1', dueMs: 60_000 }],
  });
  expect(core.nextTimerMs()).toBe(60_000);
  put(core, 60_000, ['m1', ['u@a.example']]);
  expect(core.takeTurn(60_000).batches).toHaveLength(1);
});

test('batches under way run on; what they give back waits for the pause and not for a retry', () => {
  const core = makeCore();
  put(core, 0, ['m1', ['u@a.example']]);
  const [batch] = core.takeTurn(0).batches;
  core.control(set('a.example', 'pause', 0, 60_000), 1);
  expect(core.takeTurn(1).conclusions).toEqual([]);
  end(core, batch?.id ?? '', 2);
  expect(core.takeTurn(2).conclusions).toEqual([{ kind: 'defer', queueId: 'm1', dueMs: 60_000 }]);
});

test('a recipient that failed and one that waits for a pause: the message comes again at what is first', () => {
  const core = makeCore();
  core.control(set('a.example', 'pause', 0, 900_000), 0);
  put(core, 0, ['m1', ['u@a.example', 'u@b.example']]);
  const [batch] = core.takeTurn(0).batches;
  core.apply(resultOf(batch?.id ?? '', 'm1', [[1, 'deferred']]), 0);
  end(core, batch?.id ?? '', 0);
  expect(core.takeTurn(0).conclusions).toEqual([{ kind: 'defer', queueId: 'm1', dueMs: 300_000 }]);
});

test('lifting a pause wakes what waits for it, and what waits for it and an earlier one', () => {
  const core = makeCore();
  core.control(set('a.example', 'pause', 0, 60_000), 0);
  core.control(set('b.example', 'pause', 0, 50_000), 0);
  core.control(set('c.example', 'pause', 0, 70_000), 0);
  core.apply({ id: '0-1', kind: 'control', change: lifted('a.example', 'pause', 60_000) }, 1);
  expect(core.takeTurn(1).wakes).toEqual([60_000, 50_000]);
  put(core, 2, ['m1', ['u@a.example']]);
  expect(core.takeTurn(2).batches).toHaveLength(1);
});

test('a longer pause wakes nothing, a shorter one does', () => {
  const core = makeCore();
  core.control(set('a.example', 'pause', 0, 60_000), 0);
  core.control({ ...set('a.example', 'pause', 0, 90_000), previousUntilMs: 60_000 }, 1);
  expect(core.takeTurn(1).wakes).toEqual([]);
  core.control({ ...set('a.example', 'pause', 0, 30_000), previousUntilMs: 90_000 }, 2);
  expect(core.takeTurn(2).wakes).toContain(90_000);
});

test('a pause lifted while a message is still in its pass brings it back at once', () => {
  const core = makeCore();
  core.control(set('a.example', 'pause', 0, 60_000), 0);
  put(core, 0, ['m1', ['u@a.example', 'u@b.example']]);
  const [batch] = core.takeTurn(0).batches;
  core.control(lifted('a.example', 'pause', 60_000), 5);
  core.apply(resultOf(batch?.id ?? '', 'm1', [[1, 'delivered']]), 10);
  end(core, batch?.id ?? '', 10);
  expect(core.takeTurn(10).conclusions).toEqual([{ kind: 'defer', queueId: 'm1', dueMs: 10 }]);
});

test('a bounce is reported before the message waits for the pause', () => {
  const core = makeCore();
  core.control(set('a.example', 'pause', 0, 60_000), 0);
  put(core, 0, ['m1', ['u@a.example', 'error:5.1.1 no u@d']]);
  expect(core.takeTurn(0).conclusions).toMatchObject([{ kind: 'notice' }]);
  core.apply({ id: '0-3', kind: 'notified', queueId: 'm1', pass: 0, notice: 'failure', term: '1' }, 5);
  expect(core.takeTurn(5).conclusions).toEqual([{ kind: 'defer', queueId: 'm1', dueMs: 60_000 }]);
});

test('a concurrency limit cuts the window at once and ends by itself', () => {
  const core = makeCore({ batchLimit: 1 });
  core.control(set('a.example', 'concurrency-limit', 2, 60_000), 0);
  put(core, 0, ...Array.from({ length: 9 }, (_, i) => [`m${i}`, ['u@a.example']] as [string, string[]]));
  const batches = core.takeTurn(0).batches.map(({ id }) => id);
  expect(batches).toHaveLength(2);
  expect(core.explain({ queueId: 'm8' }, 0).message?.at).toMatchObject([
    { hindrance: 'window', ahead: 6, waiting: 1, destination: { window: 2, limit: 2, busy: 2, waiting: 7 } },
  ]);
  core.apply(resultOf(batches[0] ?? '', 'm0', [[0, 'delivered']]), 1);
  end(core, batches[0] ?? '', 1);
  expect(core.takeTurn(1).batches, 'it does not grow beyond').toHaveLength(1);
  core.takeTurn(60_000);
  core.apply(resultOf(batches[1] ?? '', 'm1', [[0, 'delivered']]), 60_001);
  end(core, batches[1] ?? '', 60_001);
  expect(core.takeTurn(60_001).batches, 'it grows again').toHaveLength(2);
  expect(core.explain({ destination: { transport: 'smtp', nexthop: 'a.example' } }, 60_001)).toMatchObject({
    destination: { limit: 20, window: 3, lastReply: { atMs: 60_001 } },
  });
});

test('a rate delay makes one delivery at a time with a pause after each, until it is lifted', () => {
  const core = makeCore();
  put(core, 0, ...Array.from({ length: 4 }, (_, i) => [`m${i}`, ['u@a.example']] as [string, string[]]));
  core.control(set('a.example', 'rate-delay', 5_000, 60_000), 0);
  const [first, ...more] = core.takeTurn(0).batches;
  expect({ requests: first?.requests.length, more }).toEqual({ requests: 1, more: [] });
  expect(core.explain({ queueId: 'm1' }, 0).message?.at).toMatchObject([
    { hindrance: 'window', destination: { rateDelayMs: 5_000 } },
  ]);
  core.apply(resultOf(first?.id ?? '', 'm0', [[0, 'delivered']]), 1_000);
  end(core, first?.id ?? '', 1_000);
  expect(core.takeTurn(1_000).batches).toEqual([]);
  expect(core.explain({ queueId: 'm1' }, 1_000).message?.at).toMatchObject([
    { hindrance: 'rate-delay', destination: { suspendedUntilMs: 6_000 } },
  ]);
  expect(core.takeTurn(6_000).batches).toHaveLength(1);
  core.control(lifted('a.example', 'rate-delay', 60_000), 6_001);
  expect(core.explain({ queueId: 'm3' }, 6_001).message?.at).toMatchObject([
    { destination: { rateDelayMs: 0, limit: 20 } },
  ]);
});

test('the memory tells what else hinders a message: transport, processes, a notice, a batch', () => {
  const core = makeCore({}, { processLimit: 1 });
  put(core, 0, ['m1', ['u@a.example']], ['m2', ['u@b.example']], ['m3', ['error:5.1.1 no u@d']]);
  const [batch] = core.takeTurn(0).batches;
  expect(core.explain({ queueId: 'm1' }, 0).message).toMatchObject({
    at: [{ waiting: 0, batches: [{ id: batch?.id, recipients: 1 }] }],
  });
  expect(core.explain({ queueId: 'm2' }, 0).message?.at).toMatchObject([
    { hindrance: 'process-limit', destination: { transportState: { busy: 1, processLimit: 1 } } },
  ]);
  expect(core.explain({ queueId: 'm3' }, 0).message).toEqual({ awaits: 'failure', at: [], more: 0 });
  const slow = makeCore({}, { transportRateDelayMs: 7_000 });
  put(slow, 0, ['m1', ['u@a.example']], ['m2', ['u@b.example']]);
  const [only] = slow.takeTurn(0).batches;
  expect(slow.explain({ queueId: 'm2' }, 0).message?.at).toMatchObject([
    { hindrance: 'transport-rate-delay' },
  ]);
  end(slow, only?.id ?? '', 1_000);
  slow.takeTurn(1_000);
  expect(slow.explain({ queueId: 'm2' }, 1_000).message?.at).toMatchObject([
    { hindrance: 'transport-rate-delay', destination: { transportState: { suspendedUntilMs: 8_000 } } },
  ]);
});

test('a dead destination tells until when, and why', () => {
  const core = makeCore({}, { window: { initial: 1 } });
  put(core, 0, ['m1', ['u@a.example']]);
  const [batch] = core.takeTurn(0).batches;
  const down = { status: '4.4.1', reason: 'connection timed out' };
  core.apply(
    { ...resultOf(batch?.id ?? '', 'm1', [[0, 'deferred']], down), reason: 'timed out' } as never,
    1,
  );
  end(core, batch?.id ?? '', 1);
  core.takeTurn(1);
  expect(core.explain({ destination: { transport: 'smtp', nexthop: 'a.example' } }, 1).destination).toEqual(
    expect.objectContaining({
      window: 0,
      dead: {
        status: '4.4.1',
        reason: 'delivery temporarily suspended: connection timed out',
        untilMs: 300_001,
      },
      lastReply: { reason: 'timed out', atMs: 1 },
    }),
  );
});
