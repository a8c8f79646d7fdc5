/**
 * A worker is killed, or stands still past its batches' lease and wakes, under load: its batches go to another, nothing is
 * lost, and nothing comes twice beyond what was said to be in doubt.
 */
import { waitFor } from '@mailfleet/test-kit';
import { expect, test } from 'vitest';
import { inDoubt, leadsAll, makeWorld, WAIT_MS, type World } from './world.ts';

async function underLoad(world: World) {
  const scheduler = await world.daemons.start('scheduler');
  await leadsAll(scheduler, world.shards);
  const doomed = await world.daemons.start('smtp-worker');
  const other = await world.daemons.start('smtp-worker');
  const load = world.load();
  await waitFor(() => world.got.size >= 500, WAIT_MS, 'mail to flow');
  return { doomed, other, load };
}

test('a worker is killed', async () => {
  await using world = await makeWorld({
    redis: 'single',
    shards: 2,
    parameters: { batch_lease_time: '3s' },
  });
  const { doomed, other, load } = await underLoad(world);
  doomed.signal('SIGKILL');
  const before = world.got.size;
  await waitFor(() => world.got.size >= before + 1_000, WAIT_MS, 'mail to flow on');
  await load.stop();
  await world.drained();
  expect(world.twice().length).toBeLessThanOrEqual(inDoubt([other]));
});

test('a worker stands still past the lease of its batches and wakes', async () => {
  await using world = await makeWorld({
    redis: 'single',
    shards: 2,
    parameters: { batch_lease_time: '3s' },
  });
  const { doomed, other, load } = await underLoad(world);
  doomed.signal('SIGSTOP');
  const stopped = world.sent.size;
  await load.stop();
  // All but what it holds, and then that too, by the other one.
  await world.drained();
  doomed.signal('SIGCONT');
  const again = world.load();
  await waitFor(() => world.got.size >= stopped + 500, WAIT_MS, 'mail to flow again');
  await again.stop();
  await world.drained();
  expect(world.twice().length).toBeLessThanOrEqual(inDoubt([doomed, other]));
});
