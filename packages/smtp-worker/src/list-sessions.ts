/** Lists the sessions that a worker has parked, so that the scheduler sends it the batches that want them. */
import { randomUUID } from 'node:crypto';
import { shardOf } from '@mailfleet/queue';
import type { ListedSession, SessionRegistry } from '@mailfleet/scache';
import type { PoolListener, WaitingSession } from '@mailfleet/smtp';

/** @param worker name under which it takes batches of its own */
export function listIn(
  registry: Pick<SessionRegistry, 'park' | 'drop'>,
  shards: number,
  worker: string,
): PoolListener {
  // Names of processes may come again, and ids of another life must not be taken for ours.
  const life = randomUUID();
  const listed = ({ id, transport, nexthop, tls, ...rest }: WaitingSession): ListedSession => ({
    ...rest,
    id: `${life}-${id}`,
    destination: { shard: shardOf(transport, nexthop, shards), transport, nexthop },
    worker,
    ...(tls === undefined ? {} : { tls }),
  });
  return {
    parked: (session, idleLimitMs) => registry.park(listed(session), idleLimitMs),
    gone: (session) => registry.drop(listed(session)),
  };
}
