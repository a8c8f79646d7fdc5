/** sasl_auth_cache_key_file: rejected logins in a real Redis are known to every process that has the key, and to nobody else. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { waitFor } from '@mailfleet/test-kit';
import { makeFleetKey } from '@mailfleet/tls';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRejectionStore, openTicketStore } from './ticket-store.ts';

let folder: string;
let server: Awaited<ReturnType<typeof startEmbeddedRedis>>;
let redis: Redis;
let queue: Queue;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rejections-'));
  server = await startEmbeddedRedis({ directory: folder });
  redis = new Redis(server.url);
  queue = await openQueue({ config: makeConfig({ content_directory: folder }), redisUrl: server.url });
});
afterAll(async () => {
  await queue.close();
  redis.disconnect();
  await server.stop();
  rmSync(folder, { recursive: true });
});

test('entries are kept apart from TLS sessions, and open only under the key of their use', async () => {
  const secret = 'a'.repeat(44);
  const key = makeFleetKey(secret, 'sasl logins');
  const name = key.nameOf('["proxy:x","mx.test","alice"]');
  const store = openRejectionStore(queue);
  store.put(name, key.seal(name, Buffer.from('535 5.7.8 no')), 60_000);
  await waitFor(async () => (await store.get(name)) !== undefined);
  expect(await openTicketStore(queue).get(name)).toBeUndefined();
  const sealed = (await openRejectionStore(queue).get(name)) ?? Buffer.alloc(0);
  expect(makeFleetKey(secret, 'sasl logins').open(name, sealed)?.toString()).toBe('535 5.7.8 no');
  expect(makeFleetKey(secret).open(name, sealed)).toBeUndefined();
  const keys = await redis.keys('*:login:*');
  expect(keys).toHaveLength(2);
  for (const each of keys) expect(await redis.pttl(each)).toBeGreaterThan(0);
  expect(keys.join()).not.toMatch(/alice|mx\.test/);
});
