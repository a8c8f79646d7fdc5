/** The fleet's connection cache as a whole: fewer connections, and nothing lost or doubled, whatever happens to their owners. */
import { expect, test } from 'vitest';
import { type Bursts, runBursts } from './bursts.ts';

const LOAD: Bursts = {
  messages: 400,
  burst: 50,
  pauseMs: 100,
  workers: 3,
  domains: 1,
  tls: false,
  parameters: { destination_batch_limit: '10' },
};
const LISTED = { smtp_connection_cache_destinations: 'd0.test' };

const with_ = (more: Readonly<Record<string, string>>): Bursts => ({
  ...LOAD,
  parameters: { ...LOAD.parameters, ...more },
});

test('smtp_connection_cache_destinations: batches go to the worker that has a session, a few connections carry all bursts', async () => {
  const without = await runBursts(with_({ smtp_connection_cache_on_demand: 'no' }));
  const shared = await runBursts(with_(LISTED));
  expect([without.messages, without.twice, shared.messages, shared.twice]).toEqual([400, 0, 400, 0]);
  expect(shared.maillog).toMatch(/conn_use=\d{2,}/);
  expect(shared.connections).toBeLessThan(without.connections / 2);
});

test('with TLS too', async () => {
  const shared = await runBursts({ ...with_(LISTED), messages: 200, tls: true });
  expect([shared.messages, shared.twice]).toEqual([200, 0]);
  expect(shared.connections).toBeLessThan(30);
});

test('domains on one mail host share its sessions across workers, and nothing is lost or doubled by a hand-over', async () => {
  const trickle: Bursts = {
    ...with_({
      smtp_connection_cache_destinations: '.test',
      smtp_connection_cache_time_limit: '60s',
      connection_cache_ttl_limit: '60s',
    }),
    messages: 48,
    domains: 48,
    burst: 2,
    pauseMs: 10,
    workers: 4,
  };
  const shared = await runBursts(trickle);
  expect([shared.messages, shared.twice]).toEqual([48, 0]);
  expect(shared.maillog).not.toMatch(/status=(?!sent)/);
  // Two messages at a time; without hand-over each worker would open its own.
  expect(shared.connections).toBeLessThan(4);
});

test('a worker that is killed while it holds parked sessions costs no message', async () => {
  let listed = '';
  const killed = await runBursts({
    ...with_({
      ...LISTED,
      smtp_connection_cache_time_limit: '60s',
      connection_cache_ttl_limit: '60s',
      batch_lease_time: '2s',
    }),
    messages: 200,
    between: async (fleet, burst) => {
      if (burst === 1) listed = (await fleet.command(['sessions', '-j'])).stdout;
      if (burst === 2) process.kill(fleet.pidOf('smtp-worker-1'), 'SIGKILL');
    },
  });
  expect(killed.messages).toBe(200);
  // What it had handed over and not yet recorded is told to be in doubt.
  const inDoubt = killed.maillog.split('\n').filter((line) => line.includes('in doubt')).length;
  expect(killed.twice).toBeLessThanOrEqual(inDoubt);
  expect(listed).toMatch(
    /^\{"transport":"smtp","nexthop":"d0\.test:\d+","relay":"mx\.test\[127\.0\.0\.1\]:\d+","state":"parked","tls":null,/,
  );
});

test('Redis restarts while sessions are parked: no message is lost or doubled, and sessions are found again', async () => {
  let before = '';
  let after = '';
  const restarted = await runBursts({
    ...with_({
      ...LISTED,
      smtp_connection_cache_time_limit: '60s',
      connection_cache_ttl_limit: '60s',
    }),
    messages: 200,
    between: async (fleet, burst, restartRedis) => {
      if (burst === 1) before = (await fleet.command(['sessions', '-j'])).stdout;
      if (burst === 2) await restartRedis();
      if (burst === 3) after = (await fleet.command(['sessions', '-j'])).stdout;
    },
  });
  expect([restarted.messages, restarted.twice]).toEqual([200, 0]);
  expect(before).toContain('"state":"parked"');
  expect(after).toContain('"state":"parked"');
  expect(restarted.maillog).toMatch(/conn_use=\d/);
});
