/** The fleet's connection cache as a whole: fewer connections, and nothing lost or doubled, whatever happens to their owners. */
import { expect, test } from 'vitest';
import { type Bursts, runBursts } from './bursts.ts';

const LOAD: Bursts = {
  messages: 600,
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

test('batches go to the worker that has a session: a few connections carry all bursts', async () => {
  const without = await runBursts(with_({ smtp_connection_cache_on_demand: 'no' }));
  const shared = await runBursts(with_(LISTED));
  expect([without.messages, without.twice, shared.messages, shared.twice]).toEqual([600, 0, 600, 0]);
  expect(shared.maillog).toMatch(/conn_use=\d{2,}/);
  expect(shared.connections).toBeLessThan(without.connections / 2);
});

test('with TLS too', async () => {
  const shared = await runBursts({ ...with_(LISTED), tls: true });
  expect([shared.messages, shared.twice]).toEqual([600, 0]);
  expect(shared.connections).toBeLessThan(30);
});

test('a worker that is killed while it holds parked sessions costs no message', async () => {
  const killed = await runBursts({
    ...with_({ ...LISTED, smtp_connection_cache_time_limit: '60s', connection_cache_ttl_limit: '60s' }),
    messages: 200,
    between: (fleet, burst) => {
      if (burst === 2) process.kill(fleet.pidOf('smtp-worker-1'), 'SIGKILL');
    },
  });
  expect([killed.messages, killed.twice]).toEqual([200, 0]);
});
