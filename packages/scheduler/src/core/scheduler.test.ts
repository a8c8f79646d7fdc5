import type { ActiveMessage, InboxEntry, NoticeRequest } from '@mailfleet/queue';
import type { Batch } from '@mailfleet/smtp';
import { describe, expect, test } from 'vitest';
import { makeMessage, makeSettings, resultOf } from './fixture.ts';
import { createCore, type SchedulerCore } from './scheduler.ts';
import type { Turn } from './turn.ts';

const DOWN = { status: '4.4.1', reason: 'connect to mx.example[192.0.2.1]:25: Connection refused' };

function coreWith(...settings: Parameters<typeof makeSettings>): SchedulerCore {
  return createCore({ settings: makeSettings(...settings), shard: 0, fence: 7, term: '7-t' });
}

/** Brings messages in and returns what that leads to. */
function admit(core: SchedulerCore, nowMs: number, ...messages: readonly ActiveMessage[]): Turn {
  core.pulled({ source: 'incoming', count: messages.length }, messages, nowMs);
  return core.takeTurn(nowMs);
}

function report(core: SchedulerCore, nowMs: number, ...entries: readonly InboxEntry[]): Turn {
  for (const entry of entries) core.apply(entry, nowMs);
  return core.takeTurn(nowMs);
}

const ended = (batchId: string): InboxEntry => ({ id: '0-2', kind: 'batch-end', batchId, returned: [] });
const notified = (
  queueId: string,
  notice: NoticeRequest['notice'],
  { pass = 0, term = '7-t' }: { readonly pass?: number; readonly term?: string } = {},
): InboxEntry => ({ id: '0-3', kind: 'notified', queueId, notice, pass, term });
const queueIds = (batch: Batch | undefined): string[] =>
  batch?.requests.map(({ envelope }) => envelope.queueId) ?? [];
const idsOf = (batches: readonly Batch[]): string[] => batches.map(({ id }) => id);
const single = (count: number, domain = 'a.example'): ActiveMessage[] =>
  Array.from({ length: count }, (_, index) => makeMessage(`m${index}`, [`u@${domain}`]));

describe('batches', () => {
  test('a message becomes a request that names its destination once', () => {
    const turn = admit(
      coreWith(),
      1000,
      makeMessage('m', ['lmtp:[Host.Example]:24 u@a.example'], { contentShard: 3 }),
    );
    expect(turn.batches).toMatchObject([
      {
        id: 'b0-7-t-1',
        shard: 0,
        fence: 7,
        transport: 'lmtp',
        protocol: 'lmtp',
        nexthop: '[Host.Example]:24',
        batchedMs: 1000,
        requests: [{ contentShard: 3, recipients: [{ index: 0, address: 'u@a.example' }] }],
      },
    ]);
    expect(turn.batches[0]?.requests[0]?.recipients[0]).not.toHaveProperty('nexthop');
    expect(turn.events.map(({ kind }) => kind)).toEqual(['activated', 'batched']);
  });

  test('120 recipients at one destination are requests of 50, 50 and 20 that may run side by side', () => {
    const recipients = Array.from({ length: 120 }, (_, index) => `u${index}@a.example`);
    const { batches } = admit(coreWith(), 0, makeMessage('m', recipients));
    expect(batches.map(({ requests }) => requests.map((each) => each.recipients.length))).toEqual([
      [50],
      [50],
      [20],
    ]);
  });

  test('destinations differ by transport and nexthop, not by its case', () => {
    const routes = ['smtp:A.example u@x', 'smtp:a.example v@x', 'smtp:b.example w@x', 'lmtp:a.example x@x'];
    expect(admit(coreWith(), 0, makeMessage('m', routes)).batches).toHaveLength(3);
  });

  test('a short queue spreads over the window, a long one fills the sessions', () => {
    const sizes = (count: number): number[] =>
      admit(coreWith({ batchLimit: 30 }), 0, ...single(count)).batches.map(({ requests }) => requests.length);
    expect(sizes(3)).toEqual([1, 1, 1]);
    expect(sizes(12)).toEqual([3, 3, 2, 2, 2]);
    expect(sizes(1000)).toEqual([30, 30, 30, 30, 30]);
  });

  test('a batch stops once its messages exceed the byte limit', () => {
    const core = coreWith({ batchByteLimit: 8192 }, { window: { limit: 1 } });
    expect(admit(core, 0, ...single(10)).batches.map(queueIds)).toEqual([['m0', 'm1', 'm2']]);
  });

  test('a batch stops once its requests have as many recipients as allowed', () => {
    const pairs = single(10).map(({ envelope }) =>
      makeMessage(envelope.queueId, ['u@a.example', 'v@a.example']),
    );
    const core = coreWith({ batchRecipientLimit: 5 }, { window: { limit: 1 } });
    expect(admit(core, 0, ...pairs).batches.map(queueIds)).toEqual([['m0', 'm1', 'm2']]);
  });

  test('a transport hands out no more batches than its process limit', () => {
    const messages = single(10).map(({ envelope }, index) =>
      makeMessage(envelope.queueId, [`u@d${index}.example`]),
    );
    const core = coreWith({}, { processLimit: 3 });
    const { batches } = admit(core, 0, ...messages);
    expect(batches).toHaveLength(3);
    const [first = ''] = idsOf(batches);
    expect(report(core, 0, ended(first)).batches).toHaveLength(1);
  });

  test('with a recipient limit of 1 every mailbox has a window of its own', () => {
    const core = coreWith({}, { recipientLimit: 1, window: { initial: 1, limit: 1 } });
    const { batches } = admit(core, 0, makeMessage('m', ['u+1@a.example', 'u+2@a.example', 'v@a.example']));
    expect(batches.map(({ requests }) => requests[0]?.recipients[0]?.address)).toEqual([
      'u+1@a.example',
      'v@a.example',
    ]);
  });
});

describe('results', () => {
  test('success grows the window by one per request, and the end of the batch frees its slot', () => {
    const core = coreWith({ batchLimit: 2 });
    const { batches } = admit(core, 0, ...single(100));
    expect(batches).toHaveLength(5);
    const [first] = batches;
    const results = queueIds(first).map((queueId) => resultOf(first?.id ?? '', queueId, [[0, 'delivered']]));
    expect(report(core, 1, ...results).batches).toHaveLength(2);
    expect(report(core, 1, ended(first?.id ?? '')).batches).toHaveLength(1);
  });

  test('a message is retired when all its recipients are done', () => {
    const core = coreWith();
    const [a, b] = admit(core, 0, makeMessage('m', ['u@a.example', 'u@b.example'])).batches;
    expect(report(core, 1, resultOf(a?.id ?? '', 'm', [[0, 'delivered']])).conclusions).toEqual([]);
    const turn = report(core, 1, resultOf(b?.id ?? '', 'm', [[1, 'delivered']]));
    expect(turn.conclusions).toEqual([{ kind: 'retire', queueId: 'm' }]);
    expect(turn.concluded).toEqual([{ kind: 'removed', queueId: 'm' }]);
    expect(core.nextPull(1)).toBeDefined();
  });

  test('the same result twice changes nothing', () => {
    const core = coreWith({ batchLimit: 1 }, { window: { initial: 1, limit: 0 } });
    const [batch] = admit(core, 0, ...single(9)).batches;
    const result = resultOf(batch?.id ?? '', 'm0', [[0, 'delivered']]);
    expect(report(core, 1, result).batches).toHaveLength(1);
    expect(report(core, 1, result)).toMatchObject({ batches: [], conclusions: [] });
  });

  test('a deferred recipient is due again after the age of its message, at least the minimal backoff', () => {
    const core = coreWith();
    const old = makeMessage('m', ['u@a.example'], { envelope: { createdMs: -1_000_000 } });
    const [batch] = admit(core, 0, old).batches;
    expect(report(core, 5, resultOf(batch?.id ?? '', 'm', [[0, 'deferred']])).conclusions).toEqual([
      { kind: 'defer', queueId: 'm', dueMs: 5 + 1_000_005 },
    ]);
    expect(core.nextTimerMs()).toBe(5 + 1_000_005);
  });

  test('a bounce asks for a notice, and the message leaves when it is posted', () => {
    const core = coreWith();
    const [a, b] = admit(core, 0, makeMessage('m', ['u@a.example', 'u@b.example'], { pass: 4 })).batches;
    const turn = report(
      core,
      1,
      resultOf(a?.id ?? '', 'm', [[0, 'bounced']]),
      resultOf(b?.id ?? '', 'm', [[1, 'deferred']]),
    );
    expect(turn.conclusions).toEqual([
      { kind: 'notice', request: { shard: 0, queueId: 'm', pass: 4, notice: 'failure', term: '7-t' } },
    ]);
    const posted = report(core, 2, notified('m', 'failure', { pass: 4 }));
    expect(posted.conclusions).toEqual([{ kind: 'defer', queueId: 'm', dueMs: 300_002 }]);
    expect(report(core, 2, notified('m', 'failure', { pass: 4 })).conclusions).toEqual([]);
  });

  test('only the answer to the request that a message waits for ends the wait', () => {
    const core = coreWith({ lifetimeMs: 1000 });
    const [a, b] = admit(core, 0, makeMessage('m', ['u@a.example', 'u@b.example'], { pass: 4 })).batches;
    report(
      core,
      1000,
      resultOf(a?.id ?? '', 'm', [[0, 'bounced']]),
      resultOf(b?.id ?? '', 'm', [[1, 'deferred']]),
    );
    // Of an earlier pass, and of a request that a former leader made before all recipients had their result.
    expect(report(core, 1001, notified('m', 'failure', { pass: 3 })).conclusions).toEqual([]);
    expect(report(core, 1001, notified('m', 'failure', { pass: 4, term: '6-s' })).conclusions).toEqual([]);
    const answer = notified('m', 'failure', { pass: 4 });
    expect(report(core, 1001, answer).conclusions).toMatchObject([{ request: { notice: 'expiry' } }]);
    // The daemon may say it twice.
    expect(report(core, 1001, answer).conclusions).toEqual([]);
    expect(report(core, 1001, notified('m', 'expiry', { pass: 4 })).conclusions).toEqual([
      { kind: 'retire', queueId: 'm' },
    ]);
  });

  test('after a failed attempt at the end of its lifetime a message expires with a notice', () => {
    const core = coreWith({ lifetimeMs: 1000 });
    const [batch] = admit(core, 0, makeMessage('m', ['u@a.example'])).batches;
    const turn = report(core, 1000, resultOf(batch?.id ?? '', 'm', [[0, 'deferred']]));
    expect(turn.conclusions).toMatchObject([{ kind: 'notice', request: { notice: 'expiry' } }]);
    expect(turn.concluded).toEqual([{ kind: 'expired', queueId: 'm', from: 'sender@example.org' }]);
    expect(report(core, 1001, notified('m', 'expiry')).conclusions).toEqual([
      { kind: 'retire', queueId: 'm' },
    ]);
  });

  test('VERP gives each recipient a request of its own, with a sender of its own', () => {
    const core = coreWith();
    const message = makeMessage('m', ['u@a.example', 'v@a.example'], {
      envelope: { sender: 'list@o.example', verp: '+=' },
    });
    const requests = admit(core, 0, message).batches.flatMap((batch) => batch.requests);
    expect(requests.map(({ envelope, recipients }) => [envelope.sender, recipients.length])).toEqual([
      ['list+u=a.example@o.example', 1],
      ['list+v=a.example@o.example', 1],
    ]);
  });

  test.each([
    ['yes', undefined, true],
    ['yes', ['DELAY' as const], true],
    ['yes', ['FAILURE' as const], false],
    ['no', undefined, false],
  ])(
    'confirm_delay_cleared = %s, NOTIFY %j: a success after a warning is news: %s',
    (value, notify, told) => {
      const core = coreWith({ confirmDelayCleared: value === 'yes' });
      const message = makeMessage('m', ['u@a.example'], { warned: true });
      const recipients = message.recipients.map((recipient) => ({ ...recipient, ...(notify && { notify }) }));
      const [batch] = admit(core, 0, { ...message, recipients }).batches;
      expect(batch?.requests[0]?.warned).toBe(true);
      expect(report(core, 1, resultOf(batch?.id ?? '', 'm', [[0, 'delivered']])).conclusions).toMatchObject([
        told ? { kind: 'notice', request: { notice: 'success' } } : { kind: 'retire' },
      ]);
    },
  );

  test('mail that discard(8) takes is reported like any delivery', () => {
    const core = coreWith();
    const message = makeMessage('m', ['discard: u@a.example']);
    const recipients = message.recipients.map((recipient) => ({
      ...recipient,
      notify: ['SUCCESS' as const],
    }));
    const turn = admit(core, 0, { ...message, recipients });
    expect(turn.locals).toMatchObject([{ outcomes: [{ kind: 'delivered' }], wantsSuccess: [0] }]);
    expect(turn.conclusions).toMatchObject([{ kind: 'notice', request: { notice: 'success' } }]);
  });

  test('delay_warning_time: the sender is warned of the delay once', () => {
    const core = coreWith({ delayWarningMs: 3_600_000 });
    const late = makeMessage('m', ['u@a.example'], { envelope: { arrivalMs: -3_600_000 } });
    const [batch] = admit(core, 0, late).batches;
    const turn = report(core, 1, resultOf(batch?.id ?? '', 'm', [[0, 'deferred']]));
    expect(turn.conclusions).toMatchObject([{ kind: 'notice', request: { notice: 'delay' } }]);
    expect(report(core, 1, notified('m', 'delay')).conclusions).toMatchObject([{ kind: 'defer' }]);

    const warned = coreWith({ delayWarningMs: 3_600_000 });
    const [again] = admit(warned, 0, { ...late, warned: true }).batches;
    expect(report(warned, 1, resultOf(again?.id ?? '', 'm', [[0, 'deferred']])).conclusions).toMatchObject([
      { kind: 'defer' },
    ]);
  });

  test('a success notice is asked for when the sender wants one', () => {
    const core = coreWith();
    const message = makeMessage('m', ['u@a.example']);
    const recipients = message.recipients.map((recipient) => ({
      ...recipient,
      notify: ['SUCCESS' as const],
    }));
    const [batch] = admit(core, 0, { ...message, recipients }).batches;
    expect(report(core, 1, resultOf(batch?.id ?? '', 'm', [[0, 'delivered']])).conclusions).toMatchObject([
      { kind: 'notice', request: { notice: 'success' } },
    ]);
  });

  test('what a batch leaves without a result goes back in front', () => {
    const core = coreWith({ batchLimit: 3 }, { window: { limit: 1 } });
    const [batch] = admit(core, 0, ...single(6)).batches;
    expect(queueIds(batch)).toEqual(['m0', 'm1', 'm2']);
    const next = report(core, 1, resultOf(batch?.id ?? '', 'm0', [[0, 'delivered']]), ended(batch?.id ?? ''));
    expect(next.batches.map(queueIds)).toEqual([['m1', 'm2', 'm3']]);
  });

  test('a message that workers give back time and again is deferred', () => {
    const core = coreWith();
    let turn = admit(core, 0, makeMessage('m', ['u@a.example']));
    let rounds = 0;
    for (let [batch] = turn.batches; batch !== undefined; [batch] = turn.batches) {
      turn = report(core, 1, ended(batch.id));
      rounds += 1;
    }
    expect(rounds).toBe(10);
    expect(turn.locals).toMatchObject([{ outcomes: [{ kind: 'deferred', status: '4.3.0' }] }]);
    expect(turn.conclusions).toMatchObject([{ kind: 'defer' }]);
  });

  test('a late result of a batch that was given up counts, wherever its recipient is now', () => {
    const core = coreWith({ batchLimit: 1 });
    const [first] = admit(core, 0, makeMessage('m', ['u@a.example'])).batches;
    core.vanished(first?.id ?? '', 1);
    const [second] = core.takeTurn(1).batches;
    expect(queueIds(second)).toEqual(['m']);
    const late = report(core, 2, resultOf(first?.id ?? '', 'm', [[0, 'delivered']]));
    expect(late.conclusions).toEqual([{ kind: 'retire', queueId: 'm' }]);
    expect(
      report(core, 3, resultOf(second?.id ?? '', 'm', [[0, 'delivered']]), ended(second?.id ?? '')),
    ).toMatchObject({
      batches: [],
      conclusions: [],
    });
  });
});

describe('dead destinations', () => {
  /** Three failures of five in a window of five are a cohort. */
  function kill(core: SchedulerCore, batches: readonly Batch[], nowMs: number): Turn {
    return report(
      core,
      nowMs,
      ...batches
        .slice(0, 3)
        .map((batch) => resultOf(batch.id, queueIds(batch)[0] ?? '', [[0, 'deferred']], DOWN)),
    );
  }

  test('what waits and what comes is deferred with the reason, until the timer', () => {
    const core = coreWith({ batchLimit: 1 });
    const { batches } = admit(core, 0, ...single(8));
    const turn = kill(core, batches, 10);
    expect(turn.locals.map(({ queueId }) => queueId)).toEqual(['m5', 'm6', 'm7']);
    expect(turn.locals[0]?.outcomes).toMatchObject([
      {
        kind: 'deferred',
        status: '4.4.1',
        relay: 'none',
        reason: 'delivery temporarily suspended: connect to mx.example[192.0.2.1]:25: Connection refused',
      },
    ]);
    expect(turn.conclusions).toHaveLength(6);
    report(core, 15, ...idsOf(batches).map(ended));
    const late = admit(core, 20, makeMessage('late', ['u@a.example']));
    expect(late).toMatchObject({
      batches: [],
      locals: [{ queueId: 'late' }],
      conclusions: [{ kind: 'defer' }],
    });

    expect(core.nextTimerMs()).toBe(300_010);
    expect(admit(core, 300_009, makeMessage('early', ['u@a.example'])).batches).toEqual([]);
    core.takeTurn(300_010);
    expect(admit(core, 300_010, makeMessage('again', ['u@a.example'])).batches).toHaveLength(1);
  });

  test('a success of a batch still under way revives it', () => {
    const core = coreWith({ batchLimit: 1 });
    const { batches } = admit(core, 0, ...single(5));
    kill(core, batches, 10);
    report(core, 11, resultOf(batches[3]?.id ?? '', 'm3', [[0, 'delivered']]), ...idsOf(batches).map(ended));
    expect(admit(core, 12, makeMessage('n', ['u@a.example'])).batches).toHaveLength(1);
  });

  test('a flush revives it, for one message or for all', () => {
    for (const queueId of ['n', undefined]) {
      const core = coreWith({ batchLimit: 1 });
      const { batches } = admit(core, 0, ...single(5));
      kill(core, batches, 10);
      report(core, 10, ...idsOf(batches).map(ended));
      const command = { id: '0-9', kind: 'command' as const, command: 'flush' as const };
      report(core, 11, { ...command, ...(queueId === undefined ? {} : { queueId }) });
      expect(admit(core, 12, makeMessage('n', ['u@a.example'])).batches).toHaveLength(1);
    }
  });

  test('one destination is dead, the others are not', () => {
    const core = coreWith({ batchLimit: 1 });
    const { batches } = admit(core, 0, ...single(5));
    kill(core, batches, 10);
    expect(admit(core, 11, makeMessage('n', ['u@b.example'])).batches).toHaveLength(1);
  });
});

describe('transports without a worker', () => {
  test.each([
    ['error:5.1.1 no such user', 'bounced', '5.1.1', 'no such user'],
    ['error:nobody home', 'bounced', '5.0.0', 'nobody home'],
    ['error:4.1.1 no such user', 'bounced', '5.0.0', 'no such user'],
    ['retry:4.3.2 come back', 'deferred', '4.3.2', 'come back'],
    ['retry:', 'deferred', '4.0.0', 'unknown error'],
    ['discard:silently', 'delivered', '2.0.0', 'silently'],
    [
      'pigeon:loft',
      'deferred',
      '4.3.0',
      'mail transport unavailable: no worker serves a transport called pigeon',
    ],
  ])('%s is %s %s', (route, kind, status, reason) => {
    const turn = admit(coreWith(), 0, makeMessage('m', [`${route} u@a.example`, 'v@b.example']));
    expect(turn.locals).toMatchObject([{ queueId: 'm', outcomes: [{ recipient: 0, kind, status, reason }] }]);
    expect(turn.events).toContainEqual(expect.objectContaining({ kind, to: 'u@a.example', dsn: status }));
    expect(turn.batches).toHaveLength(1);
    expect(turn.conclusions).toEqual([]);
  });

  test('a message with nothing else ends its pass at once', () => {
    const turn = admit(coreWith(), 0, makeMessage('m', ['discard: u@a.example']), makeMessage('n', []));
    expect(turn.conclusions).toEqual([
      { kind: 'retire', queueId: 'm' },
      { kind: 'retire', queueId: 'n' },
    ]);
  });

  test('defer_transports holds mail back unless it is flushed', () => {
    const core = coreWith({ deferTransports: new Set(['smtp']) });
    expect(admit(core, 0, makeMessage('m', ['u@a.example'])).locals).toMatchObject([
      { outcomes: [{ status: '4.3.2' }] },
    ]);
    core.apply({ id: '0-1', kind: 'command', command: 'flush' }, 1);
    expect(admit(core, 1, makeMessage('n', ['u@a.example'])).batches).toHaveLength(1);
    core.setDue(undefined, 2);
    expect(admit(core, 2, makeMessage('o', ['u@a.example'])).batches).toEqual([]);
  });
});

describe('rate delays', () => {
  test.each(['destinationRateDelayMs', 'transportRateDelayMs'] as const)(
    '%s: one delivery, then a pause',
    (name) => {
      const core = coreWith({}, { [name]: 1000 });
      const [batch, ...others] = admit(core, 0, ...single(3)).batches;
      expect(others).toEqual([]);
      expect(queueIds(batch)).toEqual(['m0']);
      report(core, 500, resultOf(batch?.id ?? '', 'm0', [[0, 'delivered']]), ended(batch?.id ?? ''));
      expect(core.takeTurn(1499).batches).toEqual([]);
      expect(core.nextTimerMs()).toBe(1500);
      expect(core.takeTurn(1500).batches.map(queueIds)).toEqual([['m1']]);
    },
  );
});

describe('admission', () => {
  test('incoming and deferred take turns, and the active limit holds', () => {
    const core = coreWith({ activeLimit: 4 });
    core.setDue(0, 0);
    const pulled: string[] = [];
    for (let id = 0; ; id += 1) {
      const pull = core.nextPull(0);
      if (pull === undefined) break;
      pulled.push(`${pull.source} ${pull.count}`);
      const messages = Array.from({ length: pull.count }, (_, index) =>
        makeMessage(`${id}-${index}`, ['u@a.example']),
      );
      core.pulled(pull, messages, 0);
    }
    expect(pulled).toEqual(['incoming 2', 'deferred 1', 'incoming 1']);
    // Nothing before the end of a lifetime.
    expect(core.nextTimerMs()).toBe(432_000_000);
  });

  test('a source that is drained waits for news', () => {
    const core = coreWith();
    core.setDue(undefined, 0);
    core.pulled({ source: 'incoming', count: 200 }, [], 0);
    expect(core.nextPull(0)).toBeUndefined();
    core.apply({ id: '0-1', kind: 'mail' }, 0);
    expect(core.nextPull(0)).toMatchObject({ source: 'incoming' });
  });

  test('deferred mail is pulled when it is due', () => {
    const core = coreWith();
    core.pulled({ source: 'incoming', count: 200 }, [], 0);
    core.setDue(5000, 0);
    expect(core.nextPull(4999)).toBeUndefined();
    expect(core.nextTimerMs()).toBe(5000);
    expect(core.nextPull(5000)).toMatchObject({ source: 'deferred' });
  });
});

describe('a new leader', () => {
  test('takes over batches under way and hands out only the rest', () => {
    const former = coreWith({ batchLimit: 1 });
    const messages = single(7);
    const { batches } = admit(former, 0, ...messages);

    const core = coreWith({ batchLimit: 1 });
    core.restore(messages, batches, 10);
    expect(core.takeTurn(10).batches).toEqual([]);
    expect(core.outstanding().sort()).toEqual(idsOf(batches).sort());
    const [first] = batches;
    const turn = report(
      core,
      11,
      resultOf(first?.id ?? '', 'm0', [[0, 'delivered']]),
      ended(first?.id ?? ''),
    );
    expect(turn.conclusions).toEqual([{ kind: 'retire', queueId: 'm0' }]);
    expect(turn.batches.flatMap(queueIds)).toEqual(['m5', 'm6']);
  });

  test('takes a message that it is shown twice once', () => {
    const core = coreWith();
    const message = makeMessage('m', ['u@a.example', 'v@b.example']);
    core.restore([message, message, makeMessage('n', []), makeMessage('n', [])], [], 10);
    const turn = core.takeTurn(10);
    expect(turn.batches.map(({ requests }) => requests.map(({ recipients }) => recipients.length))).toEqual([
      [1],
      [1],
    ]);
    expect(turn.conclusions).toEqual([{ kind: 'retire', queueId: 'n' }]);
  });

  test('asks again for a notice that may not have been posted, and ends passes that were over', () => {
    const core = coreWith();
    core.restore(
      [
        makeMessage('m', [], { unreported: [0] }),
        makeMessage('s', [], { unreportedSuccess: [0] }),
        makeMessage('n', []),
      ],
      [],
      10,
    );
    expect(core.takeTurn(10).conclusions).toMatchObject([
      { kind: 'notice', request: { queueId: 'm', notice: 'failure' } },
      { kind: 'notice', request: { queueId: 's', notice: 'success' } },
      { kind: 'retire', queueId: 'n' },
    ]);
  });
});
