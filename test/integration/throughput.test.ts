/**
 * Promises 1 to 4 of the architecture with real peers: 10,000 messages of 4 kB from smtp-source reach smtp-sink, none lost
 * and none twice; and when a worker is killed in the middle none is lost either, and what came twice had been in doubt.
 */
import { installed, waitFor } from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import { startFleet } from '../fleet/fleet.ts';
import { startSink } from '../peers/sink.ts';
import { runSource } from '../peers/source.ts';

const LOAD = { messages: 10_000, sessions: 20, contentBytes: 4_096 };
const TIMEOUT_MS = 180_000;

describe.skipIf(!installed(['smtp-sink', 'smtp-source']))('10,000 messages of 4 kB', () => {
  it('reach the sink, none lost, none twice', async () => {
    await using sink = await startSink({ record: true });
    await using fleet = await startFleet({
      workers: 2,
      parameters: { relayhost: `[127.0.0.1]:${sink.port}` },
    });
    await runSource(fleet.smtpPort, LOAD);
    await sink.reached(LOAD.messages, TIMEOUT_MS);
    await waitFor(
      async () => (await fleet.command(['queue', '-p'])).stdout.includes('Mail queue is empty'),
      20_000,
    );
    const counts = [...(await sink.deliveries()).values()];
    expect(counts).toHaveLength(LOAD.messages);
    expect(counts.filter((count) => count !== 1)).toEqual([]);
    expect(await fleet.stop()).toBe(0);
  });

  it('reach the sink although a worker is killed in the middle', async () => {
    await using sink = await startSink({ record: true });
    await using fleet = await startFleet({
      workers: 2,
      parameters: { relayhost: `[127.0.0.1]:${sink.port}`, batch_lease_time: '2s' },
    });
    const sending = runSource(fleet.smtpPort, LOAD);
    await sink.reached(LOAD.messages / 4, TIMEOUT_MS);
    process.kill(fleet.pidOf('smtp-worker-1'), 'SIGKILL');
    expect(sink.messages, 'the kill came in the middle').toBeLessThan(LOAD.messages);
    await sending;
    await waitFor(
      async () => (await sink.deliveries()).size === LOAD.messages,
      TIMEOUT_MS,
      'every recipient at the sink',
    );
    await waitFor(
      async () => (await fleet.command(['queue', '-p'])).stdout.includes('Mail queue is empty'),
      60_000,
    );
    const twice = [...(await sink.deliveries()).values()].filter((count) => count > 1).length;
    const inDoubt = (await fleet.maillog()).split('\n').filter((line) => line.includes('in doubt')).length;
    expect(twice).toBeLessThanOrEqual(inDoubt);
  });
});
