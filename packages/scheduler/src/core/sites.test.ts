/** Nexthops of one site share a window, its death and its limits; each batch is for one nexthop. */
import type { ControlChange } from '@mailfleet/queue';
import { expect, test } from 'vitest';
import { makeMessage, makeSettings, resultOf } from './fixture.ts';
import { createCore, type SchedulerCore } from './scheduler.ts';

/** `a1.example` and `a2.example` are of site `a`. */
const siteOf = (_transport: string, nexthop: string): string | undefined =>
  /^([ab])\d\.example$/.exec(nexthop)?.[1];

function makeCore(...settings: Parameters<typeof makeSettings>): SchedulerCore {
  return createCore({ settings: makeSettings(...settings), shard: 0, fence: 1, term: '1', siteOf });
}

function put(core: SchedulerCore, ...recipients: readonly string[]): void {
  core.apply({ id: '0-1', kind: 'mail' }, 0);
  core.setDue(undefined, 0);
  const pull = core.nextPull(0);
  if (pull === undefined) throw new Error('nothing is pulled');
  const messages = recipients.map((address, i) => makeMessage(`m${i}`, [address]));
  core.pulled(pull, messages, 0);
}

const routes = (core: SchedulerCore, nowMs = 0): string[] =>
  core.takeTurn(nowMs).batches.map(({ nexthop, requests }) => `${nexthop} ${requests.length}`);

test('the window is the site’s, and a batch is for one nexthop', () => {
  const core = makeCore({}, { window: { initial: 2 } });
  const mail = [
    'u@a1.example',
    'v@a2.example',
    'w@a1.example',
    'x@a2.example',
    'y@c.example',
    'z@a3.example',
  ];
  put(core, ...mail);
  expect(routes(core)).toEqual(['a1.example 2', 'a2.example 2', 'c.example 1']);
  expect(core.explain({ queueId: 'm5' }, 0).message?.at).toMatchObject([
    { hindrance: 'window', destination: { nexthop: 'a', window: 2, busy: 2, waiting: 1 } },
  ]);
  expect(core.explain({ destination: { transport: 'smtp', nexthop: 'a2.example' } }, 0)).toMatchObject({
    destination: { nexthop: 'a', busy: 2 },
  });
});

test('a message with recipients at two nexthops of a site makes a request for each', () => {
  const core = makeCore();
  core.apply({ id: '0-1', kind: 'mail' }, 0);
  core.setDue(undefined, 0);
  const pull = core.nextPull(0);
  if (pull === undefined) throw new Error('nothing is pulled');
  core.pulled(pull, [makeMessage('m', ['u@a1.example', 'v@a2.example', 'w@a1.example'])], 0);
  const { batches } = core.takeTurn(0);
  expect(
    batches.map(({ nexthop, requests }) => [
      nexthop,
      requests.map(({ recipients }) => recipients.map(({ address }) => address)),
    ]),
  ).toEqual([
    ['a1.example', [['u@a1.example', 'w@a1.example']]],
    ['a2.example', [['v@a2.example']]],
  ]);
  for (const { id, requests } of batches) {
    const kinds = requests.flatMap(({ recipients }) =>
      recipients.map(({ index }) => [index, 'delivered'] as const),
    );
    core.apply(resultOf(id, 'm', kinds), 1);
    core.apply({ id: '0-2', kind: 'batch-end', batchId: id, returned: [] }, 1);
  }
  expect(core.takeTurn(1).conclusions).toEqual([{ kind: 'retire', queueId: 'm' }]);
});

test('a site dies as a whole, and others do not', () => {
  const core = makeCore({ batchLimit: 1 }, { window: { initial: 1 } });
  put(core, 'u@a1.example', 'v@a2.example', 'w@b1.example');
  const [first] = core.takeTurn(0).batches;
  const down = { status: '4.4.1', reason: 'down' };
  core.apply(resultOf(first?.id ?? '', 'm0', [[0, 'deferred']], down), 1);
  const { locals } = core.takeTurn(1);
  expect(locals.map(({ queueId }) => queueId)).toEqual(['m1']);
});

test('batches of a former leader take slots of the site', () => {
  const before = makeCore({ batchLimit: 1 }, { window: { initial: 2 } });
  const mail = ['u@a1.example', 'v@a2.example', 'w@a3.example'];
  put(before, ...mail);
  const { batches } = before.takeTurn(0);
  const after = makeCore({ batchLimit: 1 }, { window: { initial: 2 } });
  after.restore(
    mail.map((address, i) => makeMessage(`m${i}`, [address])),
    batches,
    0,
  );
  expect(routes(after)).toEqual([]);
  after.apply({ id: '0-2', kind: 'batch-end', batchId: batches[0]?.id ?? '', returned: [] }, 1);
  expect(routes(after, 1)).toEqual(['a1.example 1']);
});

test.each(['a', 'a1.example'])('a pause of %s stops the whole site or the nexthop', (nexthop) => {
  const core = makeCore();
  put(core, 'u@a1.example', 'v@a2.example');
  const name = { transport: 'smtp', nexthop, kind: 'pause' } as const;
  const control = { ...name, value: 0, sinceMs: 0, untilMs: 60_000, reason: 'x' };
  const change: ControlChange = { ...name, control };
  core.control(change, 0);
  expect(routes(core)).toEqual(nexthop === 'a' ? [] : ['a2.example 1']);
});

test('a limit of the site is one for all its nexthops', () => {
  const core = makeCore({ batchLimit: 1 });
  const name = { transport: 'smtp', nexthop: 'a', kind: 'concurrency-limit' } as const;
  core.control({ ...name, control: { ...name, value: 1, sinceMs: 0, untilMs: 60_000, reason: 'x' } }, 0);
  put(core, 'u@a1.example', 'v@a2.example', 'w@b1.example');
  expect(routes(core)).toEqual(['a1.example 1', 'b1.example 1']);
});

test('with a recipient limit of 1 each mailbox has its own window, site or not', () => {
  const core = makeCore({}, { recipientLimit: 1, window: { initial: 1 } });
  put(core, 'u@a1.example', 'v@a2.example');
  expect(routes(core)).toEqual(['a1.example 1', 'a2.example 1']);
});
