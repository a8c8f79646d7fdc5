/** What operators set on destinations, durable and told to the leader; listings tell of a pause; questions to the leader. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ControlKind, DestinationControl, Explanation } from './destination-ports.ts';
import type { Queue } from './open-queue.ts';
import type { InboxEntry } from './ports.ts';
import {
  activated,
  inboxUntil,
  leaseOf,
  must,
  newMessage,
  nexthopOn,
  outcome,
  resultOf,
  startTestRedis,
  type TestRedis,
} from './queue.fixture.ts';

let server: TestRedis;
let queue: Queue;
beforeAll(async () => {
  server = await startTestRedis();
  queue = await server.open();
});
afterAll(() => server.stop());
beforeEach(() => server.redis.flushall());

const HOUR_MS = 3_600_000;

function control(nexthop: string, kind: ControlKind, more: Partial<DestinationControl> = {}) {
  const sinceMs = Date.now();
  return {
    transport: 'smtp',
    nexthop,
    kind,
    value: 0,
    sinceMs,
    untilMs: sinceMs + HOUR_MS,
    reason: 'they asked',
    ...more,
  };
}

const changes = (entries: readonly InboxEntry[]) =>
  entries.flatMap((entry) => (entry.kind === 'control' ? [entry.change] : []));

/** Plays the leader: answers the first question. */
async function answering(answer: Parameters<Queue['answer']>[2], shard = 0): Promise<void> {
  const lease = await leaseOf(queue, shard);
  const entries = await inboxUntil(queue, shard, (all) => all.some(({ kind }) => kind === 'ask'));
  const asked = must(entries.find((entry) => entry.kind === 'ask'));
  await queue.answer(lease, asked.question, answer);
}

const texts = ({ reasons }: Explanation): string => reasons.map(({ text }) => text).join('\n');

test('a control is listed, told to the leader, replaced and lifted; what it replaced is told too', async () => {
  const pause = control('a.example', 'pause');
  const limit = control('a.example', 'concurrency-limit', { value: 3, untilMs: pause.untilMs - 1 });
  await queue.setControl(pause);
  await queue.setControl(limit);
  expect(await queue.listControls({ limit: 10 })).toEqual({ controls: [limit, pause] });
  const longer = { ...pause, untilMs: pause.untilMs + HOUR_MS, reason: 'still: "so" {they} ask' };
  await queue.setControl(longer);
  expect(await queue.liftControl({ transport: 'smtp', nexthop: 'A.example' }, 'pause')).toBe(true);
  expect(await queue.liftControl(pause, 'pause')).toBe(false);
  expect(await queue.liftControl(pause, 'rate-delay')).toBe(false);
  expect((await queue.controlsPage(0, '')).controls).toEqual([limit]);
  const name = { transport: 'smtp', nexthop: 'a.example' };
  expect(changes(await queue.readInbox(0, '0', 0))).toEqual([
    { ...name, kind: 'pause', control: pause },
    { ...name, kind: 'concurrency-limit', control: limit },
    { ...name, kind: 'pause', control: longer, previousUntilMs: pause.untilMs },
    { ...name, kind: 'pause', previousUntilMs: longer.untilMs },
  ]);
});

test('one that ended is not listed, cannot be lifted, and leaves with the next that is set', async () => {
  await queue.setControl(control('a.example', 'pause', { untilMs: Date.now() - 1 }));
  expect(await queue.listControls({ limit: 10 })).toEqual({ controls: [] });
  await queue.setControl(control('b.example', 'pause'));
  expect(await server.redis.hkeys('{mf0}:controlled')).toEqual(['pause smtp:b.example']);
  expect(await queue.liftControl({ transport: 'smtp', nexthop: 'a.example' }, 'pause')).toBe(false);
});

test('a list is paged over all shards', async () => {
  const sharded = await server.open({ scheduler_shards: '3' });
  const wanted = [0, 1, 2].flatMap((shard) => {
    const nexthop = nexthopOn(shard, 3);
    return [control(nexthop, 'pause'), control(nexthop, 'rate-delay', { value: 1_000 })];
  });
  for (const each of wanted) await sharded.setControl(each);
  const found: DestinationControl[] = [];
  let cursor: string | undefined;
  let pages = 0;
  do {
    const page = await sharded.listControls({ limit: 1, ...(cursor === undefined ? {} : { cursor }) });
    expect(page.controls.length).toBeLessThanOrEqual(1);
    found.push(...page.controls);
    cursor = page.cursor;
    pages += 1;
  } while (cursor !== undefined);
  expect(pages).toBeGreaterThanOrEqual(6);
  expect(found).toHaveLength(6);
  expect(found).toEqual(expect.arrayContaining(wanted));
});

test('listings give the pause as the reason, whatever the last reply was', async () => {
  await queue.accept(newMessage('MSG', ['a.example', 'b.example']));
  await queue.setControl(control('a.example', 'pause', { reason: 'moving house' }));
  const shown = /^delivery to smtp:a\.example is paused by the operator until .*Z: moving house$/;
  const [listed] = (await queue.list({ limit: 10 })).messages;
  expect(listed?.recipients.map(({ delayReason }) => delayReason)).toEqual([
    expect.stringMatching(shown),
    undefined,
  ]);
  const { listing } = must(await queue.find('MSG'));
  expect(listing?.recipients[0]?.delayReason).toMatch(shown);
});

test('waking makes due exactly what was to be due then', async () => {
  const lease = await leaseOf(queue);
  const messages = ['M1', 'M2', 'M3'].map((id) => newMessage(id));
  await activated(queue, lease, ...messages);
  const nowMs = Date.now();
  const conclusions = ['M1', 'M2', 'M3'].map((queueId, i) => ({
    kind: 'defer' as const,
    queueId,
    dueMs: nowMs + HOUR_MS + (i === 2 ? 1 : 0),
  }));
  await queue.conclude(lease, conclusions, undefined);
  await queue.wake(lease, nowMs + HOUR_MS, nowMs);
  const due = await queue.activate(lease, 'deferred', 10, nowMs);
  expect(due.map(({ envelope }) => envelope.queueId)).toEqual(['M1', 'M2']);
  expect(await queue.nextDueMs(0)).toBe(nowMs + HOUR_MS + 1);
});

test('who is no longer the leader neither wakes nor answers', async () => {
  const lease = await leaseOf(queue);
  const former = { ...lease, fence: lease.fence - 1 };
  await expect(queue.wake(former, Date.now() + 1_000, Date.now())).rejects.toThrow('leads shard 0');
  await expect(queue.answer(former, 'q', { activeMessages: 0, activeLimit: 1 })).rejects.toThrow(
    'leads shard 0',
  );
  expect(await server.redis.keys('*:a:*')).toEqual([]);
});

test('nobody leads: that is the reason, and nothing is asked', async () => {
  await queue.accept(newMessage('MSG'));
  const explanation = await queue.explain({ queueId: 'MSG' });
  expect(explanation.state).toBe('incoming');
  expect(texts(explanation)).toMatch(/^in the incoming queue since .*: NO SCHEDULER LEADS shard 0: start/);
  expect((await queue.readInbox(0, '0', 0)).map(({ kind }) => kind)).toEqual(['mail']);
  const destination = await queue.explain({ destination: { transport: 'smtp', nexthop: 'a.example' } });
  expect(destination.state).toBe('no-leader');
  expect(texts(destination)).toMatch(/NO SCHEDULER LEADS/);
});

test('a leader that does not answer: the state of its lease is told', async () => {
  await queue.accept(newMessage('MSG'));
  await leaseOf(queue, 0, 'scheduler@host[1]');
  expect(texts(await queue.explain({ queueId: 'MSG' }))).toMatch(
    /the scheduler of shard 0, scheduler@host\[1\], did not answer: .* its lease ends in \d+ s/,
  );
}, 20_000);

test.each([
  ['unknown', /^no message MSG is in the queue/],
  ['incoming', /the active queue is full \(qmgr_message_active_limit, 7\)/],
  ['deferred', /^deferred: it is tried again at /],
  ['hold', /^on hold since /],
] as const)('a message that is %s', async (state, reason) => {
  if (state !== 'unknown') await queue.accept(newMessage('MSG'));
  if (state === 'hold') await queue.command({ kind: 'hold' }, ['MSG']);
  const lease = await leaseOf(queue);
  if (state === 'deferred') {
    await queue.activate(lease, 'incoming', 1, Date.now());
    await queue.recordLocal(lease, resultOf('MSG', outcome(0, 'deferred', '452 full')));
    await queue.conclude(lease, [{ kind: 'defer', queueId: 'MSG', dueMs: Date.now() + HOUR_MS }], undefined);
  }
  const answered = state === 'unknown' ? undefined : answering({ activeMessages: 7, activeLimit: 7 });
  const explanation = await queue.explain({ queueId: 'MSG' });
  await answered;
  expect(explanation.state).toBe(state);
  expect(texts(explanation)).toMatch(reason);
  expect(explanation.replies).toEqual(state === 'deferred' ? ['452 full'] : []);
});

test('a message that left is told from one that was never here', async () => {
  const lease = await leaseOf(queue);
  await activated(queue, lease, newMessage('MSG'));
  await queue.conclude(lease, [{ kind: 'retire', queueId: 'MSG' }], undefined);
  expect(await queue.explain({ queueId: 'MSG' })).toMatchObject({ state: 'finished' });
});

test('waiting for a notice without a bounce daemon, to be held, past its lifetime: each is told', async () => {
  const lease = await leaseOf(queue);
  await activated(queue, lease, newMessage('MSG'));
  await queue.command({ kind: 'hold' }, ['MSG']);
  await server.redis.zadd('{mf0}:expiry', 1, 'MSG');
  const answered = answering({
    activeMessages: 1,
    activeLimit: 7,
    message: { awaits: 'failure', at: [], more: 0 },
  });
  const text = texts(await queue.explain({ queueId: 'MSG' }));
  await answered;
  expect(text).toMatch(/waits for the failure notice: NO BOUNCE DAEMON RUNS/);
  expect(text).toMatch(/it goes on hold when this pass ends/);
  expect(text).toMatch(/its lifetime ended at 1970/);
});

test('with sites every shard has what is set, and it is listed once', async () => {
  const sharded = await server.open({ scheduler_shards: '3', destination_site_rollup: 'yes' });
  const limit = control('mx.example', 'concurrency-limit', { value: 2 });
  await sharded.setControl(limit);
  for (const shard of [0, 1, 2]) expect((await sharded.controlsPage(shard, '')).controls).toEqual([limit]);
  expect(await sharded.listControls({ limit: 10 })).toEqual({ controls: [limit] });
  expect(await sharded.liftControl(limit, 'concurrency-limit')).toBe(true);
  for (const shard of [0, 1, 2]) expect((await sharded.controlsPage(shard, '')).controls).toEqual([]);
});

test('the site that a worker tells is found on the shard of the nexthop, for a day', async () => {
  const sharded = await server.open({ scheduler_shards: '3' });
  const nexthop = nexthopOn(2, 3);
  await sharded.reportSite({ transport: 'smtp', nexthop: nexthop.toUpperCase() }, 'mx.example');
  const names = [
    { transport: 'smtp', nexthop: 'other.example' },
    { transport: 'smtp', nexthop },
  ];
  expect(await sharded.sitesOf(2, names)).toEqual([undefined, 'mx.example']);
  expect(await sharded.sitesOf(2, [])).toEqual([]);
  const [key = ''] = await server.redis.keys('{mf2}:s:*');
  expect(await server.redis.pttl(key)).toBeGreaterThan(86_000_000);
});
