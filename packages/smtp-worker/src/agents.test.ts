import { makeConfig } from '@mailfleet/config';
import { type DeliveryAgent, SessionPool } from '@mailfleet/smtp';
import { createTelemetry } from '@mailfleet/telemetry';
import { afterAll, afterEach, expect, test } from 'vitest';
import { DeliveryAgents } from './agents.ts';

let agents: DeliveryAgents;
let nowMs = 0;
const telemetry = createTelemetry({ config: makeConfig({ maillog_file: '/dev/null' }), program: 'smtp' });
afterAll(() => telemetry.shutdown());
afterEach(() => agents.close());

function makeAgents(values: Readonly<Record<string, string>>): DeliveryAgents {
  nowMs = 0;
  agents = new DeliveryAgents({
    config: makeConfig({ smtp_tls_security_level: 'none', smtp_worker_sessions: '2', ...values }),
    report: () => telemetry,
    queue: { reportSite: async () => undefined },
    shared: { sessions: new SessionPool({ sessionLimit: 1, endpointLimit: 1 }) },
    steadyNow: () => nowMs,
  });
  return agents;
}

const agentOf = (transport = 'smtp', requests = 1): Promise<DeliveryAgent> =>
  agents.use(transport, 'smtp', requests, async (agent) => agent);

test('max_use: an agent is made anew after so many requests for each session of the worker', async () => {
  makeAgents({ max_use: '5' });
  const first = await agentOf('smtp', 9);
  expect(await agentOf('relay', 9)).not.toBe(first);
  expect(await agentOf('smtp', 1)).toBe(first);
  const second = await agentOf();
  expect(second).not.toBe(first);
  expect(await agentOf()).toBe(second);
});

test('max_idle: an agent without work for that long is let go, one at work is not', async () => {
  makeAgents({ max_idle: '100s' });
  const first = await agentOf();
  nowMs = 99_000;
  agents.dropIdle();
  expect(await agentOf()).toBe(first);
  const work = Promise.withResolvers<void>();
  const busy = agents.use('smtp', 'smtp', 1, () => work.promise);
  nowMs = 300_000;
  agents.dropIdle();
  expect(await agentOf()).toBe(first);
  work.resolve();
  await busy;
  nowMs = 400_000;
  agents.dropIdle();
  expect(await agentOf()).not.toBe(first);
});
