/**
 * What is stuck for good ends its process, and the work goes on elsewhere: a delivery that never moves, a process whose event loop
 * stands still, a Redis that does not answer.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedRedis } from '@mailfleet/queue';
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { expect, test } from 'vitest';
import { ENV, MAIN, startFleet } from '../fleet/fleet.ts';

const WAIT_MS = 30_000;

test('daemon_timeout: a worker with a delivery that never moves, or that stands still, ends and is started again', async () => {
  await using peer = await startSmtpServer();
  let stuck = 0;
  peer.hooks = {
    greeting: () => {
      stuck += 1;
      // Longer than the test.
      return stuck === 1 ? new Promise(() => undefined) : undefined;
    },
  };
  await using fleet = await startFleet({
    parameters: {
      relayhost: `[127.0.0.1]:${peer.port}`,
      daemon_timeout: '2s',
      shutdown_grace_time: '1s',
      batch_lease_time: '2s',
    },
  });
  const answer = await fetch(`${fleet.httpUrl}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ from: 'me@example.com', to: ['you@example.org'], subject: 'x', text: 'x' }),
  });
  expect(answer.status).toBe(202);
  await peer.waitForMessages(1, WAIT_MS);
  expect(await fleet.maillog()).toMatch(
    /postfix\/smtp\[\d+\]: fatal: watchdog timeout \(daemon_timeout, 2s\): batch \S+ to smtp:\[127\.0\.0\.1\]:\d+; this process ends/,
  );

  const said = fleet.output().length;
  const pid = fleet.pidOf('smtp-worker-1');
  process.kill(pid, 'SIGSTOP');
  await waitFor(
    () => fleet.output().slice(said).includes('smtp-worker-1 is running again'),
    WAIT_MS,
    'another worker',
  );
  expect(fleet.output().slice(said)).toContain(
    `smtp-worker-1[${pid}] did not answer for daemon_timeout; ending it`,
  );
});

test('ipc_timeout: a daemon whose Redis does not answer for that long ends with a sentence', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-watchdog-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const redis = await startEmbeddedRedis({ directory });
  stack.defer(() => redis.stop());
  const parameters = {
    redis_url: redis.url,
    maillog_file: join(directory, 'maillog'),
    ipc_timeout: '1s',
    shutdown_grace_time: '1s',
  };
  const overrides = Object.entries(parameters).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const daemon = spawn(process.execPath, ['--conditions=source', MAIN, 'scheduler', ...overrides], {
    env: ENV,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said = outputOf(daemon);
  await waitFor(() => said().includes('scheduler: ready'), WAIT_MS, 'the scheduler to be ready');
  process.kill(redis.pid, 'SIGSTOP');
  stack.defer(() => {
    process.kill(redis.pid, 'SIGCONT');
  });
  const [code] = await once(daemon, 'exit');
  expect(code).toBe(70);
  expect(await readFile(parameters.maillog_file, 'utf8')).toMatch(
    /postfix\/qmgr\[\d+\]: fatal: no answer from Redis for ipc_timeout \(1s\); this process ends/,
  );
});

function outputOf(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}
