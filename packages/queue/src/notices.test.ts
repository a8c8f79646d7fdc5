/** Notices: what the bounce daemon gets, and that posting one ends the matter however often it is repeated. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Queue } from './open-queue.ts';
import type { NoticeRequest } from './ports.ts';
import {
  activated,
  batchOf,
  inboxUntil,
  leaseOf,
  must,
  newMessage,
  outcome,
  resultOf,
  startTestRedis,
  type TestRedis,
} from './queue.fixture.ts';

let fixture: TestRedis;
let queue: Queue;
beforeAll(async () => {
  fixture = await startTestRedis();
  queue = await fixture.open();
});
afterAll(() => fixture.stop());
beforeEach(() => fixture.redis.flushall());

const step = { atMs: 9, step: 'notified', detail: 'sender non-delivery notification: NDN' };

function requestOf(notice: NoticeRequest['notice']): NoticeRequest {
  return { shard: 0, queueId: 'MSG', pass: 0, notice, term: 'test' };
}

/** Recipients 0 delivered, 1 bounced, 2 deferred, 3 delivered and asking for a notice of it. */
async function mixed() {
  const lease = await leaseOf(queue);
  const message = newMessage('MSG', Array(4).fill('a.example'));
  const recipients = message.recipients.map((each) =>
    each.index === 3 ? { ...each, notify: ['SUCCESS'] as const } : each,
  );
  const batch = batchOf(await activated(queue, lease, { ...message, recipients }));
  await queue.record(
    batch,
    resultOf(
      'MSG',
      outcome(0, 'delivered'),
      outcome(1, 'bounced', 'no such user'),
      outcome(2, 'deferred', 'try later'),
      outcome(3, 'delivered'),
    ),
  );
  return { lease, batch };
}

test.each([
  ['failure', 1],
  ['delay', 2],
  ['expiry', 2],
  ['success', 3],
] as const)('the material of a %s notice is about recipient %i', async (notice, recipient) => {
  await mixed();
  const material = must(await queue.noticeMaterial(requestOf(notice)));
  expect(material.entries.map((entry) => entry.recipient.index)).toEqual([recipient]);
  expect(material.entries.map((entry) => entry.outcome.recipient)).toEqual([recipient]);
  expect(material.envelope.queueId).toBe('MSG');
  expect(material.content).toEqual(Buffer.from('hello'));
});

test.each(['failure', 'expiry', 'success'] as const)(
  'a %s notice that is posted leaves nothing to post',
  async (notice) => {
    const { lease } = await mixed();
    const { entries } = must(await queue.noticeMaterial(requestOf(notice)));
    const reported = entries.map(({ recipient }) => recipient.index);
    await queue.noticePosted(requestOf(notice), step, reported);
    const before = await fixture.redis.hgetall('{mf0}:m:MSG');
    await queue.noticePosted(requestOf(notice), step, reported);
    expect(await fixture.redis.hgetall('{mf0}:m:MSG')).toEqual(before);
    expect(must(await queue.noticeMaterial(requestOf(notice))).entries).toEqual([]);
    const page = await queue.activePage(lease, '');
    expect(must(page.messages[0]).recipients.map(({ index }) => index)).toEqual(
      notice === 'expiry' ? [] : [2],
    );
    expect(must(page.messages[0]).unreported).toEqual(notice === 'failure' ? [] : [1]);
    expect(must(page.messages[0]).unreportedSuccess).toEqual(notice === 'success' ? [] : [3]);
    const timeline = must(await queue.find('MSG')).timeline.filter(({ kind }) => kind === 'event');
    expect(timeline).toEqual([{ kind: 'event', ...step }]);
  },
);

test('a delay notice marks the message as warned and leaves its recipients open', async () => {
  const { lease } = await mixed();
  await queue.noticePosted(requestOf('delay'), step, [2]);
  const page = await queue.activePage(lease, '');
  expect(must(page.messages[0])).toMatchObject({ warned: true, recipients: [{ index: 2 }] });
});

test('a bounce that comes after the material was read waits for another notice', async () => {
  const { batch } = await mixed();
  await queue.record(batch, resultOf('MSG', outcome(2, 'bounced', 'gave up')));
  await queue.noticePosted(requestOf('failure'), step, [1]);
  const { entries } = must(await queue.noticeMaterial(requestOf('failure')));
  expect(entries.map(({ recipient }) => recipient.index)).toEqual([2]);
});

test('a request is handed out once however often it was asked for, and the leader hears of its end', async () => {
  const { lease } = await mixed();
  const handled: NoticeRequest[] = [];
  const drain = new AbortController();
  const working = queue.workNotices({ signal: drain.signal, name: 'bounce' }, async (request) => {
    handled.push(request);
    await queue.noticePosted(request, step, [1]);
  });
  const notice = { kind: 'notice', request: requestOf('failure') } as const;
  await queue.conclude(lease, [notice, notice], undefined);
  const entries = await inboxUntil(queue, 0, (all) => all.some(({ kind }) => kind === 'notified'));
  expect(entries.at(-1)).toMatchObject({
    kind: 'notified',
    queueId: 'MSG',
    notice: 'failure',
    pass: 0,
    term: 'test',
  });
  drain.abort();
  await working;
  expect(handled).toEqual([requestOf('failure')]);
});

test('the request of the next leader is another, though the first is still in hand', async () => {
  const { lease } = await mixed();
  const terms: string[] = [];
  const drain = new AbortController();
  const working = queue.workNotices({ signal: drain.signal, name: 'bounce' }, async (request) => {
    terms.push(request.term);
    if (request.term === 'first') await askAgain();
    await queue.noticePosted(request, step, [1]);
  });
  const ask = (term: string) =>
    queue.conclude(lease, [{ kind: 'notice', request: { ...requestOf('failure'), term } }], undefined);
  const askAgain = () => ask('second');
  await ask('first');
  await inboxUntil(queue, 0, (all) => all.some((each) => each.kind === 'notified' && each.term === 'second'));
  drain.abort();
  await working;
  expect(terms).toEqual(['first', 'second']);
});

test('a message that is gone has no material, and posting its notice brings nothing back', async () => {
  expect(await queue.noticeMaterial(requestOf('failure'))).toBeUndefined();
  await queue.noticePosted(requestOf('delay'), step, []);
  expect(await fixture.redis.keys('{mf0}:[mt]:*')).toEqual([]);
});
