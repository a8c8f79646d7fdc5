/**
 * A worker process for tests that kill it: takes one batch of the Redis named in the arguments, records the first request, says so to
 * its parent and then hangs with the rest in hand.
 */
import { makeConfig } from '@mailfleet/config';
import { openQueue } from './open-queue.ts';
import { outcome, resultOf } from './queue.fixture.ts';

const [redisUrl = '', batchLease = ''] = process.argv.slice(2);
const queue = await openQueue({ config: makeConfig({ batch_lease_time: batchLease }), redisUrl });
await queue.work({ sessions: 1, signal: new AbortController().signal, name: 'doomed' }, async ({ batch }) => {
  const [first, second] = batch.requests.map(({ envelope }) => envelope.queueId);
  await queue.record(batch, resultOf(first ?? '', outcome(0, 'delivered')));
  queue.markInDoubt(batch, second ?? '', [0]);
  await queue.openRecipients(batch, { ...batch.requests[0], recipients: [] } as never);
  process.send?.('in hand');
  return new Promise(() => undefined);
});
