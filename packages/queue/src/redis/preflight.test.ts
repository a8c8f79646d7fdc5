import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type EmbeddedRedis, startEmbeddedRedis } from '../embedded/embedded-redis.ts';
import { checkRedis, openQueue } from '../open-queue.ts';
import { testConfig } from '../queue.fixture.ts';

let directory: string;
let server: EmbeddedRedis;
let redis: Redis;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailfleet-preflight-'));
  server = await startEmbeddedRedis({ directory });
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(async () => {
  await redis.call('ACL', 'SETUSER', 'default', '+config');
  await redis.config('SET', 'maxmemory-policy', 'noeviction', 'appendonly', 'yes', 'appendfsync', 'always');
});

const check = (dataLossOk = false) => checkRedis({ redisUrl: server.url, dataLossOk });

test('the embedded server is safe', async () => {
  expect(await check()).toEqual({ ok: true, warnings: [] });
});

test.each([
  ['maxmemory-policy', 'allkeys-lru', /maxmemory-policy is allkeys-lru, set maxmemory-policy noeviction/],
  ['appendonly', 'no', /keeps no append-only file, set appendonly yes and appendfsync always/],
  ['appendfsync', 'everysec', /set appendfsync always \(it is everysec\)/],
])('%s %s is refused, or warned of when loss is allowed', async (name, value, sentence) => {
  await redis.config('SET', name, value);
  expect(await check()).toEqual({ ok: false, problem: expect.stringMatching(sentence) });
  expect(await check(true)).toEqual({ ok: true, warnings: [expect.stringMatching(sentence)] });
});

test('a server that does not tell is refused', async () => {
  await redis.call('ACL', 'SETUSER', 'default', '-config');
  expect(await check()).toEqual({
    ok: false,
    problem: expect.stringMatching(/does not let us read appendfsync/),
  });
});

test('openQueue refuses an unsafe server, and opens it when told to', async () => {
  await redis.config('SET', 'appendfsync', 'no');
  await expect(openQueue({ config: testConfig(directory), redisUrl: server.url })).rejects.toThrow(
    /^Redis can lose accepted mail: .*redis_data_loss_ok = yes/,
  );
  const queue = await openQueue({
    config: testConfig(directory, { redis_data_loss_ok: 'yes' }),
    redisUrl: server.url,
  });
  await queue.close();
});
