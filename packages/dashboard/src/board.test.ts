/** bull-board over the real queues of several shards. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, startEmbeddedRedis } from '@mailfleet/queue';
import { expect, test } from 'vitest';
import { runDashboard } from './server.ts';

interface BoardAnswer {
  readonly queues: readonly {
    readonly name: string;
    readonly readOnlyMode: boolean;
    readonly counts: object;
  }[];
}

test('bull-board lists each shard’s queues, read-only, and its page loads from here only', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'board-'));
  const redis = await startEmbeddedRedis({ directory });
  const config = makeConfig({
    dashboard_listen: '127.0.0.1:0',
    scheduler_shards: '2',
    content_directory: join(directory, 'content'),
  });
  const queue = await openQueue({ config, redisUrl: redis.url });
  const abort = new AbortController();
  const log = { error: () => {} } as never;
  const dashboard = await runDashboard({ config, queue, telemetry: { log }, signal: abort.signal });
  try {
    const page = await fetch(`${dashboard.url}/jobs`);
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'self';/);
    const script = /src="(static\/js\/main[^"]+)"/.exec(await page.text())?.[1];
    expect((await fetch(`${dashboard.url}/jobs/${script}`)).status).toBe(200);
    const answer = (await (await fetch(`${dashboard.url}/jobs/api/queues`)).json()) as BoardAnswer;
    const names = answer.queues.map(({ name }) => name);
    expect(names).toHaveLength(4);
    expect(new Set(names).size).toBe(4);
    expect(names.filter((name) => name.includes('{mf1}'))).toHaveLength(2);
    expect(answer.queues.every(({ readOnlyMode }) => readOnlyMode)).toBe(true);
    expect(await (await fetch(`${dashboard.url}/api/`)).json()).toEqual({
      counts: { incoming: 0, active: 0, deferred: 0, hold: 0, corrupt: 0 },
    });
  } finally {
    abort.abort();
    await dashboard.closed;
    await queue.close();
    await redis.stop();
    await rm(directory, { recursive: true });
  }
});
