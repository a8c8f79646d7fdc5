import { LeaseLostError } from '@mailfleet/queue';
import { waitFor } from '@mailfleet/test-kit';
import { expect, test } from 'vitest';
import { takeLease } from './lease.ts';

const TTL_MS = 60;

/** A lease whose renewals are answered in this order; the last answer stays. */
function leases(...answers: readonly (() => Promise<boolean>)[]) {
  const asked = { renewals: 0, releases: 0 };
  return {
    asked,
    acquireLease: async (shard: number) => ({ shard, fence: 1 }),
    renewLease: () => {
      asked.renewals += 1;
      return (answers[asked.renewals - 1] ?? answers.at(-1) ?? (async () => true))();
    },
    releaseLease: async () => {
      asked.releases += 1;
    },
  };
}

test('a lease is held as long as renewals are confirmed, and given back once', async () => {
  const port = leases(async () => true);
  const kept = await takeLease(port, 3, 'a', TTL_MS);
  await waitFor(() => port.asked.renewals > 5);
  expect(kept?.lease).toEqual({ shard: 3, fence: 1 });
  expect(kept?.lost.aborted).toBe(false);
  await kept?.release();
  await kept?.release();
  expect(port.asked.releases).toBe(1);
});

test.each<[string, () => Promise<boolean>]>([
  ['refused', async () => false],
  ['not answered', () => new Promise(() => undefined)],
  ['failing', () => Promise.reject(new LeaseLostError(3))],
])('a lease is lost when its renewals are %s, and not given back', async (_how, answer) => {
  const port = leases(async () => true, answer);
  const kept = await takeLease(port, 3, 'a', TTL_MS);
  await waitFor(() => kept?.lost.aborted);
  expect(kept?.isHeld()).toBe(false);
  await kept?.release();
  expect(port.asked.releases).toBe(0);
});

test('one failed renewal is not the end', async () => {
  const port = leases(
    () => Promise.reject(new Error('Connection is closed.')),
    async () => true,
  );
  const kept = await takeLease(port, 3, 'a', 300);
  await waitFor(() => port.asked.renewals > 4);
  expect(kept?.isHeld()).toBe(true);
  await kept?.release();
});

test('no lease while another leads', async () => {
  const port = { ...leases(), acquireLease: async () => undefined };
  expect(await takeLease(port, 3, 'a', TTL_MS)).toBeUndefined();
});
