/** Hold, delete and expiry of what is in the active queue: waiting recipients leave it, those with a worker finish. */
import type { ActiveMessage, InboxEntry } from '@mailfleet/queue';
import { describe, expect, test } from 'vitest';
import { makeMessage, makeSettings, recipientOf, resultOf } from './fixture.ts';
import { createCore, type SchedulerCore } from './scheduler.ts';
import type { Turn } from './turn.ts';

const LIFETIME_MS = 1_000_000;
/** One slot per destination, so that the second request waits. */
function coreWith(settings: Parameters<typeof makeSettings>[0] = {}): SchedulerCore {
  const narrow = { window: { initial: 1, limit: 1 }, recipientLimit: 2 };
  const all = makeSettings({ lifetimeMs: LIFETIME_MS, batchLimit: 1, ...settings }, narrow);
  return createCore({ settings: all, shard: 0, fence: 7, term: 't' });
}

function admit(core: SchedulerCore, nowMs: number, ...messages: readonly ActiveMessage[]): Turn {
  core.pulled({ source: 'incoming', count: messages.length }, messages, nowMs);
  return core.takeTurn(nowMs);
}

function report(core: SchedulerCore, nowMs: number, ...entries: readonly InboxEntry[]): Turn {
  for (const entry of entries) core.apply(entry, nowMs);
  return core.takeTurn(nowMs);
}

const command = (name: 'hold' | 'delete' | 'expire' | 'release', queueId = 'm'): InboxEntry => ({
  id: '0-4',
  kind: 'command',
  command: name,
  queueId,
});
const ended = (batchId = ''): InboxEntry => ({ id: '0-2', kind: 'batch-end', batchId, returned: [] });
const notified = (notice: 'expiry' | 'failure', pass = 0): InboxEntry => ({
  id: '0-3',
  kind: 'notified',
  queueId: 'm',
  notice,
  pass,
  term: 't',
});
const three = ['u@a.example', 'v@a.example', 'w@a.example'];
const noticesOf = ({ conclusions }: Turn): string[] =>
  conclusions.flatMap((each) => (each.kind === 'notice' ? [each.request.notice] : []));
const locals = ({ locals: told }: Turn) =>
  told.flatMap(({ outcomes, onlyUntried }) =>
    outcomes.map(({ recipient, kind, status }) => ({ recipient, kind, status, onlyUntried })),
  );

describe('hold', () => {
  test('lets the worker finish, hands out no more, and the rest stays as due as it was', () => {
    const core = coreWith();
    const [batch] = admit(core, 0, makeMessage('m', three)).batches;
    const held = report(core, 5, command('hold'));
    expect([...held.recalls]).toEqual([batch?.id]);
    const done = report(
      core,
      10,
      resultOf(batch?.id ?? '', 'm', [
        [0, 'delivered'],
        [1, 'delivered'],
      ]),
      ended(batch?.id),
    );
    expect(done).toMatchObject({ batches: [], locals: [] });
    expect(done.conclusions).toEqual([{ kind: 'defer', queueId: 'm', dueMs: 10 }]);
  });

  test('a batch that no worker began comes back, and other messages in it go out again', () => {
    const core = coreWith({ batchLimit: 10 });
    const [batch] = admit(
      core,
      0,
      makeMessage('m', ['u@a.example']),
      makeMessage('n', ['u@a.example']),
    ).batches;
    expect(batch?.requests).toHaveLength(2);
    report(core, 1, command('hold'));
    core.recalled(batch?.id ?? '', 1);
    const turn = core.takeTurn(1);
    expect(turn.conclusions).toEqual([{ kind: 'defer', queueId: 'm', dueMs: 1 }]);
    expect(turn.batches.map(({ requests }) => requests.map(({ envelope }) => envelope.queueId))).toEqual([
      ['n'],
    ]);
  });

  test('recipients that were deferred in the pass keep the retry time of a failed attempt, and nothing expires', () => {
    const core = coreWith({ lifetimeMs: 1 });
    const [batch] = admit(core, 0, makeMessage('m', three)).batches;
    const results = resultOf(batch?.id ?? '', 'm', [
      [0, 'deferred'],
      [1, 'deferred'],
    ]);
    const { conclusions } = report(core, 100, command('hold'), results, ended(batch?.id));
    expect(conclusions).toEqual([{ kind: 'defer', queueId: 'm', dueMs: 300_100 }]);
  });

  test('a new leader sees the mark', () => {
    const core = coreWith();
    core.restore([makeMessage('m', three, { held: true })], [], 7);
    const turn = core.takeTurn(7);
    expect(turn).toMatchObject({ batches: [], conclusions: [{ kind: 'defer', queueId: 'm', dueMs: 7 }] });
  });

  test('a new leader does not return what is held beyond its lifetime, nor is it expired by an operator', () => {
    const core = coreWith();
    const unserved = makeMessage('m', ['pigeon:loft u@a.example'], { held: true });
    core.restore([unserved], [], LIFETIME_MS);
    expect(core.takeTurn(LIFETIME_MS).conclusions).toMatchObject([{ kind: 'defer', queueId: 'm' }]);
    const [batch] = admit(core, 0, makeMessage('n', three)).batches;
    const { conclusions } = report(core, 1, command('hold', 'n'), command('expire', 'n'), ended(batch?.id));
    expect(conclusions).toEqual([{ kind: 'defer', queueId: 'n', dueMs: 1 }]);
  });

  test('a message that is delivered all the same is retired', () => {
    const core = coreWith();
    const [batch] = admit(core, 0, makeMessage('m', ['u@a.example'])).batches;
    const done = report(core, 1, command('hold'), resultOf(batch?.id ?? '', 'm', [[0, 'delivered']]));
    expect(done.conclusions).toEqual([{ kind: 'retire', queueId: 'm' }]);
  });
});

test('delete: nothing more is handed out, and no conclusion is drawn', () => {
  const core = coreWith();
  const [batch] = admit(core, 0, makeMessage('m', three)).batches;
  const gone = report(core, 1, command('delete'), ended(batch?.id));
  expect(gone).toMatchObject({ batches: [], conclusions: [], locals: [], concluded: [] });
  expect(core.outstanding()).toEqual([]);
});

describe('expiry', () => {
  test('a message that comes from the index is returned without an attempt; untried recipients get their reason', () => {
    const core = coreWith();
    core.expired({ taken: [makeMessage('m', three, { pass: 2 })], active: [] }, LIFETIME_MS);
    const turn = core.takeTurn(LIFETIME_MS);
    expect(turn.batches).toEqual([]);
    expect(locals(turn)).toEqual(
      [0, 1, 2].map((recipient) => ({ recipient, kind: 'deferred', status: '4.4.7', onlyUntried: true })),
    );
    expect(turn.concluded).toMatchObject([{ kind: 'expired', queueId: 'm' }]);
    expect(noticesOf(turn)).toEqual(['expiry']);
    expect(report(core, LIFETIME_MS, notified('expiry', 2)).conclusions).toEqual([
      { kind: 'retire', queueId: 'm' },
    ]);
  });

  test('in active what waits leaves its destination, what a worker has is left to finish', () => {
    const core = coreWith();
    const [batch] = admit(core, 0, makeMessage('m', three)).batches;
    core.expired({ taken: [], active: ['m'] }, LIFETIME_MS);
    const turn = core.takeTurn(LIFETIME_MS);
    expect(locals(turn).map(({ recipient }) => recipient)).toEqual([2]);
    expect([...turn.recalls]).toEqual([batch?.id]);
    expect(turn.conclusions).toEqual([]);
    const result = resultOf(batch?.id ?? '', 'm', [[0, 'delivered']]);
    const last = report(core, LIFETIME_MS + 1, result, ended(batch?.id));
    expect(locals(last).map(({ recipient }) => recipient)).toEqual([1]);
    expect(noticesOf(last)).toEqual(['expiry']);
  });

  test('a lifetime of 0 is one attempt', () => {
    const core = coreWith({ lifetimeMs: 0 });
    const [batch] = admit(core, 500, makeMessage('m', ['u@a.example'])).batches;
    const result = resultOf(batch?.id ?? '', 'm', [[0, 'deferred']]);
    expect(noticesOf(report(core, 501, result))).toEqual(['expiry']);
  });

  test('mail of the null sender has the shorter of both lifetimes', () => {
    const core = coreWith({ bounceLifetimeMs: 10 });
    const envelope = { sender: '', createdMs: 0 };
    expect(admit(core, 9, makeMessage('m', ['u@a.example'], { envelope })).batches).toHaveLength(1);
    expect(admit(core, 10, makeMessage('n', ['u@b.example'], { envelope })).batches).toEqual([]);
  });

  test('by an operator: at once, with the reason', () => {
    const core = coreWith();
    const turn = admit(core, 0, makeMessage('m', ['u@a.example'], { forcedExpire: true }));
    expect(locals(turn)).toMatchObject([{ kind: 'deferred', status: '4.7.0', onlyUntried: true }]);
    expect(turn.concluded).toMatchObject([{ kind: 'expired', forced: true }]);
    const [batch] = admit(core, 0, makeMessage('n', three)).batches;
    const waiting = report(core, 1, command('expire', 'n'));
    expect(locals(waiting)).toMatchObject([{ recipient: 2, status: '4.7.0' }]);
    const rest = report(core, 2, ended(batch?.id));
    expect(rest.batches).toEqual([]);
    expect(rest.concluded).toMatchObject([{ kind: 'expired', queueId: 'n', forced: true }]);
  });

  test('a new leader goes on with it', () => {
    const core = coreWith();
    core.restore([makeMessage('m', three)], [], LIFETIME_MS);
    expect(noticesOf(core.takeTurn(LIFETIME_MS))).toEqual(['expiry']);
  });

  test('many that expire together take no place of new mail, and are taken some at a time', () => {
    const core = coreWith({ activeLimit: 10 });
    core.setExpiry(0);
    const taken = Array.from({ length: 150 }, (_, i) => makeMessage(`m${i}`, ['u@a.example']));
    expect(core.nextExpired(LIFETIME_MS)).toBe(200);
    core.expired({ taken, active: [] }, LIFETIME_MS);
    core.setExpiry(0);
    expect(core.nextExpired(LIFETIME_MS)).toBe(50);
    core.lookAgain();
    core.setDue(undefined, LIFETIME_MS);
    expect(core.nextPull(LIFETIME_MS)).toEqual({ source: 'incoming', count: 10 });
    core.takeTurn(LIFETIME_MS);
    core.apply({ ...notified('expiry'), queueId: 'm0' } as InboxEntry, LIFETIME_MS);
    expect(core.takeTurn(LIFETIME_MS).conclusions).toEqual([{ kind: 'retire', queueId: 'm0' }]);
    core.setExpiry(0);
    expect(core.nextExpired(LIFETIME_MS)).toBe(51);
  });

  test('the first end of a lifetime wakes the leader, also when the active queue is full', () => {
    const core = coreWith({ activeLimit: 1 });
    expect(core.expiryUnknown).toBe(true);
    core.setExpiry(undefined);
    admit(core, 0, makeMessage('m', three));
    expect(core.nextTimerMs()).toBe(LIFETIME_MS);
    expect(core.nextExpired(LIFETIME_MS - 1)).toBe(0);
    expect(core.nextExpired(LIFETIME_MS)).toBe(200);
    core.expired({ taken: [], active: [] }, LIFETIME_MS);
    expect(core.expiryUnknown).toBe(true);
    core.setExpiry(2 * LIFETIME_MS);
    expect(core.nextExpired(LIFETIME_MS)).toBe(0);
  });
});

test('flush of a site revives its destinations only', () => {
  const core = coreWith();
  const down = { status: '4.4.1', reason: 'down' };
  const { batches } = admit(core, 0, makeMessage('m', ['u@a.example']), makeMessage('n', ['u@b.example']));
  for (const { id, requests } of batches) {
    const queueId = requests[0]?.envelope.queueId ?? '';
    report(core, 1, resultOf(id, queueId, [[0, 'deferred']], down), ended(id));
  }
  core.apply({ id: '0-4', kind: 'command', command: 'flush', nexthops: ['a.example'] }, 2);
  const later = admit(core, 2, makeMessage('o', ['u@A.example']), makeMessage('p', ['u@b.example']));
  expect(later.batches.map(({ nexthop }) => nexthop)).toEqual(['A.example']);
});

describe('a list that is not read to its end', () => {
  const list = Array.from({ length: 4 }, (_, index) => recipientOf(`u${index}@a.example`, index));
  /** Two recipients are with a worker, two are asked for. */
  function half(): { readonly core: SchedulerCore; readonly batchId: string } {
    const core = coreWith();
    admit(core, 0, makeMessage('m', [], { unread: 4, recipientCount: 4 }));
    core.recipientsRead('m', page(list.slice(0, 2), 1, 2), 0);
    const { batches, reads } = core.takeTurn(0);
    expect(reads).toMatchObject([{ queueId: 'm', after: 1 }]);
    return { core, batchId: batches[0]?.id ?? '' };
  }
  const page = (recipients: typeof list, after: number, unread: number) => ({
    recipients,
    after,
    unread,
    unreported: [],
    unreportedSuccess: [],
  });
  const delivered = (batchId: string) =>
    resultOf(batchId, 'm', [
      [0, 'delivered'],
      [1, 'delivered'],
    ]);

  test('hold reads no more of it, and what was not read is as due as it was', () => {
    const { core, batchId } = half();
    report(core, 1, command('hold'));
    const turn = report(core, 2, delivered(batchId), ended(batchId));
    expect(turn.reads).toEqual([]);
    expect(turn.conclusions).toEqual([{ kind: 'defer', queueId: 'm', dueMs: 2 }]);
  });

  test('expiry reads on, so that the notice names everyone', () => {
    const { core, batchId } = half();
    report(core, 1, command('expire'));
    expect(report(core, 2, delivered(batchId), ended(batchId)).conclusions).toEqual([]);
    core.recipientsRead('m', page(list.slice(2, 3), 2, 1), 3);
    expect(core.takeTurn(3)).toMatchObject({ batches: [], reads: [{ after: 2 }], conclusions: [] });
    core.recipientsRead('m', page(list.slice(3), 3, 0), 4);
    const turn = core.takeTurn(4);
    expect(locals(turn)).toMatchObject([{ recipient: 3, status: '4.7.0', onlyUntried: true }]);
    expect(noticesOf(turn)).toEqual(['expiry']);
    expect(report(core, 5, notified('expiry')).conclusions).toEqual([{ kind: 'retire', queueId: 'm' }]);
  });

  test('what was asked for of a deleted one is of no use when it comes', () => {
    const core = coreWith();
    expect(admit(core, 0, makeMessage('m', [], { unread: 4, recipientCount: 4 })).reads).toHaveLength(1);
    report(core, 1, command('delete'));
    core.recipientsRead('m', page(list, 3, 0), 2);
    expect(core.takeTurn(2)).toMatchObject({ batches: [], reads: [], conclusions: [] });
  });

  test('a new leader hands out none of one that was to be held or whose time is over', () => {
    const core = coreWith();
    const rest = { unread: 4, recipientCount: 4 };
    core.restore(
      [makeMessage('m', [], { ...rest, held: true }), makeMessage('n', [], { ...rest, forcedExpire: true })],
      [],
      0,
    );
    const turn = core.takeTurn(0);
    expect(turn.conclusions).toEqual([{ kind: 'defer', queueId: 'm', dueMs: 0 }]);
    expect(turn.reads).toMatchObject([{ queueId: 'n' }]);
    core.recipientsRead('n', page(list, 3, 0), 0);
    expect(core.takeTurn(0)).toMatchObject({ batches: [], conclusions: [{ kind: 'notice' }] });
  });
});
