/**
 * Redis stands still, and then is killed and started again on its data: the daemons' health turns red with a sentence and
 * green again, the log says what was lost and for how long, and mail flows on. And a worker that takes nothing is found out.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, startEmbeddedRedis } from '@mailfleet/queue';
import { freePort, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { expect, test } from 'vitest';
import { makeDaemons } from '../fleet/daemons.ts';

const WAIT_MS = 60_000;

async function health(port: number, page: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/${page}`);
  return `${response.status} ${(await response.text()).trim()}`;
}

const becomes = (port: number, page: string, wanted: RegExp): Promise<unknown> =>
  waitFor(
    async () => wanted.test(await health(port, page)),
    WAIT_MS,
    `${page} of ${port} to be like ${wanted}`,
  );

test('health follows Redis, the log tells of its absence, and mail flows on', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-health-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const redis = await startEmbeddedRedis({ directory, socket: true });
  let current = redis;
  stack.defer(() => current.stop());
  const peer = await startSmtpServer();
  stack.defer(() => peer.close());
  const queue = await openQueue({ config: makeConfig(), redisUrl: redis.url });
  stack.defer(() => queue.close());
  const daemons = stack.use(await makeDaemons(redis.url, { inet_interfaces: '127.0.0.1' }));

  const accept = async (address: string): Promise<void> => {
    const nowMs = Date.now();
    const envelope = {
      queueId: queue.newQueueId(),
      sender: 'me@example.com',
      sizeBytes: 16,
      arrivalMs: nowMs,
      createdMs: nowMs,
    };
    await queue.accept({
      envelope,
      recipients: [{ index: 0, address, transport: 'smtp', nexthop: `[127.0.0.1]:${peer.port}` }],
      content: { kind: 'inline', bytes: Buffer.from('Subject: x\r\n\r\nx\r\n') },
    });
  };

  const ports = new Map<string, number>();
  const started = [];
  for (const service of ['scheduler', 'smtp-worker', 'bounce']) {
    const port = await freePort();
    ports.set(service, port);
    started.push(await daemons.start(service, { parameters: { health_listen: `127.0.0.1:${port}` } }));
  }
  const all = [...ports.values()];
  for (const port of all) {
    expect(await health(port, 'livez')).toBe('200 ok');
    expect(await health(port, 'readyz')).toBe('200 ok');
    expect(await health(port, 'metrics')).toBe('404 ask /livez or /readyz');
  }
  await accept('one@example.org');
  await peer.waitForMessages(1, WAIT_MS);

  process.kill(redis.pid, 'SIGSTOP');
  try {
    await Promise.all(all.map((port) => becomes(port, 'readyz', /^503 Redis does not answer/)));
    await becomes(ports.get('scheduler') ?? 0, 'livez', /^503 shard 0: no progress for \d+ s$/);
    await becomes(ports.get('smtp-worker') ?? 0, 'livez', /^503 taking batches: no progress for \d+ s$/);
    await becomes(ports.get('bounce') ?? 0, 'livez', /^503 taking requests for notices: no progress/);
  } finally {
    process.kill(redis.pid, 'SIGCONT');
  }
  await Promise.all(all.map((port) => becomes(port, 'livez', /^200 ok$/)));
  await accept('two@example.org');
  await peer.waitForMessages(2, WAIT_MS);

  process.kill(redis.pid, 'SIGKILL');
  await redis.exited;
  await Promise.all(all.map((port) => becomes(port, 'readyz', /^503 Redis does not answer/)));
  current = await startEmbeddedRedis({ directory, socket: true });
  await Promise.all(all.map((port) => becomes(port, 'readyz', /^200 ok$/)));
  for (const daemon of started) {
    await waitFor(
      () => /Redis answers again, after \d+\.\d s/.test(daemon.output()),
      WAIT_MS,
      daemon.service,
    );
    expect(daemon.output()).toMatch(/warning: Redis does not answer: .*; waiting until it does/);
  }
  await accept('three@example.org');
  await peer.waitForMessages(3, WAIT_MS);
}, 240_000);
