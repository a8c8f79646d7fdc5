/**
 * The leader is killed, or stands still and wakes again, under load: a standby leads within ten seconds, mail that comes
 * meanwhile is delivered, nothing is lost, nothing comes twice beyond what was said to be in doubt, and a leader that slept
 * past its lease writes nothing more. With one shard and with eight, on Redis and on Redis Cluster.
 */
import { installed, waitFor } from '@mailfleet/test-kit';
import { describe, expect, test } from 'vitest';
import { fencesOf, inDoubt, leadsAll, makeWorld, WAIT_MS, type World } from './world.ts';

const TAKEOVER_MS = 10_000;

async function underLoad(world: World) {
  const first = await world.daemons.start('scheduler');
  await leadsAll(first, world.shards);
  const standby = await world.daemons.start('scheduler');
  const workers = [await world.daemons.start('smtp-worker'), await world.daemons.start('smtp-worker')];
  const load = world.load();
  await waitFor(() => world.got.size >= 500, WAIT_MS, 'mail to flow');
  expect(fencesOf(standby).size, 'the standby leads nothing yet').toBe(0);
  return { first, standby, workers, load };
}

/** How many messages reached the receiver now; for "mail flows again". */
async function flows(world: World): Promise<void> {
  const before = world.got.size;
  await waitFor(() => world.got.size >= before + 200, WAIT_MS, 'mail to flow again');
}

describe.skipIf(!installed(['redis-server'])).each([
  { redis: 'single', shards: 1 },
  { redis: 'single', shards: 8 },
  { redis: 'cluster', shards: 8 },
] as const)('on Redis ($redis) with $shards shards', ({ redis, shards }) => {
  test('the leader is killed', async () => {
    await using world = await makeWorld({ redis, shards });
    const { first, standby, workers, load } = await underLoad(world);
    const killedMs = performance.now();
    first.signal('SIGKILL');
    await leadsAll(standby, shards);
    expect(performance.now() - killedMs).toBeLessThan(TAKEOVER_MS);
    await flows(world);
    await load.stop();
    await world.drained();
    expect(world.twice().length).toBeLessThanOrEqual(inDoubt(workers));
  });

  test('the leader stands still past its lease and wakes', async () => {
    await using world = await makeWorld({ redis, shards });
    const { first, standby, workers, load } = await underLoad(world);
    const stoppedMs = performance.now();
    first.signal('SIGSTOP');
    await leadsAll(standby, shards);
    expect(performance.now() - stoppedMs).toBeLessThan(TAKEOVER_MS);
    await flows(world);

    first.signal('SIGCONT');
    await waitFor(
      () => (first.output().match(/standing by/g) ?? []).length >= shards,
      WAIT_MS,
      'the former leader to notice',
    );
    const awake = world.sent.size;
    await waitFor(() => world.sent.size >= awake + 200, WAIT_MS, 'more mail');
    await load.stop();
    await world.drained();
    expect(world.twice().length).toBeLessThanOrEqual(inDoubt(workers));

    const fences = fencesOf(standby);
    for (const [shard, fence] of fencesOf(first)) expect(fences.get(shard)).toBe(fence + 1);
    const late = [...world.sent].slice(awake).map(([, queueId]) => queueId);
    const batchIds = await Promise.all(late.slice(0, 100).map((queueId) => batchIdsOf(world, queueId)));
    for (const batchId of batchIds.flat()) {
      const [, shard, fence] = /^b(\d+)-(\d+)-/.exec(batchId) ?? [];
      expect(Number(fence), `batch ${batchId} is the new leader's`).toBe(fences.get(Number(shard)));
    }
    expect(batchIds.flat().length).toBeGreaterThanOrEqual(100);
  });
});

async function batchIdsOf(world: World, queueId: string): Promise<string[]> {
  const view = await world.queue.find(queueId);
  return view?.timeline.flatMap((entry) => (entry.kind === 'attempt' ? [entry.batchId] : [])) ?? [];
}
