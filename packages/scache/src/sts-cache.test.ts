/** MTA-STS policies in a real Redis: what one worker keeps another finds, as long as it holds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { waitFor } from '@mailfleet/test-kit';
import { openMtaSts, type StsEntry } from '@mailfleet/tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openStsCache } from './sts-cache.ts';

let folder: string;
let server: Awaited<ReturnType<typeof startEmbeddedRedis>>;
let queue: Queue;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sts-'));
  server = await startEmbeddedRedis({ directory: folder });
  queue = await openQueue({ config: makeConfig({ content_directory: folder }), redisUrl: server.url });
});
afterAll(async () => {
  await queue.close();
  await server.stop();
  rmSync(folder, { recursive: true });
});

const entry: StsEntry = {
  id: '1',
  policy: { mode: 'enforce', mx: ['mx.test', '*.mail.test'], maxAgeSeconds: 86_400 },
  fetchedMs: 1,
  endsMs: 2,
};

test('an entry is found by other workers until it ends', async () => {
  await openStsCache(queue).put('a.test', entry, 60_000);
  await openStsCache(queue).put('b.test', entry, 200);
  const other = openStsCache(queue);
  expect(await other.get('a.test')).toEqual(entry);
  expect(await other.get('c.test')).toBeUndefined();
  await waitFor(async () => (await other.get('b.test')) === undefined);
});

test('a worker that cannot fetch a policy applies the one that another fetched', async () => {
  const worker = (fetch: () => Promise<NonNullable<StsEntry['policy']>>) =>
    openMtaSts({
      txt: async () => ['v=STSv1; id=1;'],
      fetch,
      cache: openStsCache(queue),
      note: () => undefined,
    });
  const policy = { mode: 'enforce', mx: ['mx.test'], maxAgeSeconds: 86_400 } as const;
  expect(await worker(async () => policy).policyFor('d.test')).toEqual(policy);
  const cutOff = worker(() => Promise.reject(new Error('no way out')));
  expect(await cutOff.policyFor('d.test')).toEqual(policy);
});
