/** What one worker found out about a server's TLS another knows, for a time, in a real Redis. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, startEmbeddedRedis } from '@mailfleet/queue';
import { waitFor } from '@mailfleet/test-kit';
import { isKnownToFail } from '@mailfleet/tls';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { openFailedHandshakes } from './failed-handshakes.ts';

test('smtp_tls_fallback_time: one worker remembers, another knows, until it ends or Redis is away', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'handshakes-'));
  const server = await startEmbeddedRedis({ directory: folder });
  const open = () => openQueue({ config: makeConfig({ content_directory: folder }), redisUrl: server.url });
  const [one, other] = [await open(), await open()];
  const redis = new Redis(server.url);
  const [mine, theirs] = [openFailedHandshakes(one), openFailedHandshakes(other)];
  const host = { address: '192.0.2.1', port: 25 };
  mine.remember(host, 800);
  await waitFor(() => theirs.isKnown(host), 2000, 'the other worker to know');
  expect(await theirs.isKnown({ ...host, port: 465 })).toBe(false);
  expect((await redis.keys('*')).join('\n')).not.toContain('192.0.2.1');
  await waitFor(async () => !(await theirs.isKnown(host)), 3000, 'it to end');
  expect(await redis.keys('*:handshake:*')).toEqual([]);
  redis.disconnect();
  await server.stop();
  mine.remember(host, 60_000);
  expect(await isKnownToFail(theirs, host)).toBe(false);
  await Promise.all([one.close(), other.close()]);
  rmSync(folder, { recursive: true });
});
