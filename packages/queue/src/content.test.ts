import { readdir, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Queue } from './open-queue.ts';
import {
  activated,
  batchOf,
  leaseOf,
  must,
  newMessage,
  startTestRedis,
  type TestRedis,
} from './queue.fixture.ts';

let test_: TestRedis;
let queue: Queue;
beforeAll(async () => {
  test_ = await startTestRedis();
  queue = await test_.open({ content_inline_limit: '10' });
});
afterAll(() => test_.stop());
beforeEach(() => test_.redis.flushall());

const files = (): Promise<string[]> => readdir(join(test_.directory, 'content')).catch(() => []);

async function* chunks(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

test('content up to the limit stays in memory', async () => {
  expect(await queue.spoolContent(chunks('12345', '67890'))).toEqual({
    kind: 'inline',
    bytes: Buffer.from('1234567890'),
  });
  expect(await files()).toEqual([]);
});

test('larger content is a file until its message retires', async () => {
  const content = await queue.spoolContent(chunks('12345', '67890', 'x', 'yz'));
  expect(content).toMatchObject({ kind: 'file', sizeBytes: 13 });
  const lease = await leaseOf(queue);
  const messages = await activated(queue, lease, newMessage('LARGE', ['a.example'], { content }));
  const read = await queue.content(must(batchOf(messages).requests[0]));
  expect((await buffer(must(read) as AsyncIterable<Uint8Array>)).toString()).toBe('1234567890xyz');
  expect(await files()).toHaveLength(1);
  await queue.conclude(lease, [{ kind: 'retire', queueId: 'LARGE' }], undefined);
  expect(await files()).toEqual([]);
  expect(await queue.content(must(batchOf(messages).requests[0]))).toBeUndefined();
});

test('a file that this process does not see is not content that is gone', async () => {
  const content = await queue.spoolContent(chunks('more than ten bytes'));
  const lease = await leaseOf(queue);
  const messages = await activated(queue, lease, newMessage('UNSEEN', ['a.example'], { content }));
  if (content.kind === 'file') await unlink(join(test_.directory, 'content', content.name));
  await expect(queue.content(must(batchOf(messages).requests[0]))).rejects.toThrow(
    /^its file is not in content_directory .+: mount the folder/,
  );
  const material = await queue.noticeMaterial({
    shard: 0,
    queueId: 'UNSEEN',
    pass: 0,
    notice: 'delay',
    term: 'a',
  });
  expect(material).toMatchObject({ content: undefined });
});

test('bytes come back as they went in', async () => {
  const bytes = Buffer.from([0, 255, 13, 10, 105, 0, 128, 102, 10]);
  const lease = await leaseOf(queue);
  const messages = await activated(
    queue,
    lease,
    newMessage('BYTES', ['a.example'], { content: { kind: 'inline', bytes } }),
  );
  expect(await queue.content(must(batchOf(messages).requests[0]))).toEqual(bytes);
});

test('a source that breaks, and content that is not accepted, leave no file', async () => {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('more than ten bytes');
    throw new Error('client gone');
  }
  await expect(queue.spoolContent(broken())).rejects.toThrow('client gone');
  await queue.dropContent(await queue.spoolContent(chunks('again more than ten')));
  expect(await files()).toEqual([]);
});

test('the sweep removes old files that no message names, and no others', async () => {
  const content = await queue.spoolContent(chunks('kept, since a message names it'));
  await queue.accept(newMessage('KEPT', ['a.example'], { content }));
  const orphan = await queue.spoolContent(chunks('forgotten by an intake that died'));
  const young = await queue.spoolContent(chunks('an accept that is going on'));
  const hourAgo = new Date(Date.now() - 3_600_000);
  for (const each of [content, orphan]) {
    if (each.kind === 'file') await utimes(join(test_.directory, 'content', each.name), hourAgo, hourAgo);
  }
  expect(await queue.sweepContent(1_800_000)).toBe(1);
  expect((await files()).sort()).toEqual(
    [content, young].map((each) => (each.kind === 'file' ? each.name : '')).sort(),
  );
});
