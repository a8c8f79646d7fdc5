/** What comes to Redis after its client was told to come again is not carried out. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { keysOf } from './keys.ts';
import { type LossyProxy, startLossyProxy } from './lossy-proxy.fixture.ts';
import { openQueue, type Queue } from './open-queue.ts';
import { newMessage, startTestRedis, type TestRedis, testConfig } from './queue.fixture.ts';
import { copyPart } from './scripts/intake.ts';

let fixture: TestRedis;
let proxy: LossyProxy;
let queue: Queue;
beforeAll(async () => {
  fixture = await startTestRedis();
  proxy = await startLossyProxy(fixture.server.url);
  queue = await openQueue({ config: testConfig(fixture.directory), redisUrl: proxy.url });
});
afterAll(async () => {
  await queue.close();
  await proxy[Symbol.asyncDispose]();
  await fixture.stop();
});
beforeEach(() => fixture.redis.flushall());

test('a Redis that stood still accepts nothing whose time is over', async () => {
  await queue.accept(newMessage('FIRST', ['a.example'], { latestMs: Date.now() + 10_000 }));
  const latestMs = Date.now() + 300;
  process.kill(fixture.server.pid, 'SIGSTOP');
  const accepting = expect(queue.accept(newMessage('LATE', ['a.example'], { latestMs }))).rejects.toThrow(
    /TOOLATE/,
  );
  await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(latestMs + 50));
  process.kill(fixture.server.pid, 'SIGCONT');
  await accepting;
  expect(await queue.counts()).toMatchObject({ incoming: 1 });
  expect(await fixture.redis.keys('*LATE*')).toEqual([]);
});

test('while Redis is away a message with a time is refused at once and never accepted', async () => {
  proxy.down();
  const probe = () =>
    queue.claimIdempotencyKey('key', 'A1', 1_000).then(String, (error: unknown) => String(error));
  // The first probes may be under way when the connection ends; those wait.
  await vi.waitFor(async () => {
    expect(await Promise.race([probe(), sleep(50, 'waits')])).toMatch(/no connection to Redis/);
  }, 4_000);
  const accepting = queue.accept(newMessage('AWAY', ['a.example'], { latestMs: Date.now() + 60_000 }));
  await expect(accepting).rejects.toThrow(/no connection to Redis/);
  proxy.up();
  await vi.waitFor(async () => expect(await queue.counts()).toMatchObject({ incoming: 0 }), 4_000);
});

test('a copy of a part that comes too late creates nothing', async () => {
  const keys = keysOf(1);
  const copy = (latestMs: number) =>
    fixture.redis.eval(
      copyPart.lua,
      copyPart.keys,
      ...[keys.message('MSG'), keys.incoming, keys.expiry, keys.inbox, keys.retiredParts],
      ...['MSG', '{}', Date.now(), Date.now(), 0, '0', latestMs],
    );
  await expect(copy(Date.now() - 1_000)).rejects.toThrow(/TOOLATE/);
  expect(await fixture.redis.exists(keys.message('MSG'), keys.incoming)).toBe(0);
  expect(await copy(Date.now() + 10_000)).toBe(1);
});
