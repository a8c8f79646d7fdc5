/** Lists the sessions that a worker has parked, so that the scheduler, or a worker without one, sends it the batches that want them. */
import { randomUUID } from 'node:crypto';
import { type ScriptPort, shardOf } from '@mailfleet/queue';
import {
  answerQuestions,
  type ListedSession,
  type OpenSession,
  type SessionRegistry,
  type SharedSession,
} from '@mailfleet/scache';
import type { PoolListener, SessionPool, WaitingSession } from '@mailfleet/smtp';

/** @param worker name under which it takes batches of its own */
export function listIn(
  registry: Pick<SessionRegistry, 'park' | 'drop' | 'parkAt' | 'dropAt'>,
  shards: number,
  worker: string,
): PoolListener {
  // Names of processes may come again, and ids of another life must not be taken for ours.
  const life = randomUUID();
  const listed = ({ id, transport, nexthop, relay, tls, sinceMs, uses }: WaitingSession): ListedSession => ({
    id: `${life}-${id}`,
    destination: { shard: shardOf(transport, nexthop, shards), transport, nexthop },
    worker,
    relay,
    sinceMs,
    uses,
    ...(tls === undefined ? {} : { tls }),
  });
  const shared = (id: number, endpoint: string): SharedSession => ({ id: `${life}-${id}`, endpoint, worker });
  return {
    parked: (session, idleLimitMs) => {
      if (session.bound) registry.park(listed(session), idleLimitMs);
      if (session.endpoint !== undefined) registry.parkAt(shared(session.id, session.endpoint), idleLimitMs);
    },
    gone: (session) => {
      if (session.bound) registry.drop(listed(session));
      if (session.endpoint !== undefined) registry.dropAt(shared(session.id, session.endpoint));
    },
  };
}

/** Tells operators who ask of the sessions that the registry does not list. @param share it lists those that wait. @returns ends it */
export function tellOfSessions(
  queue: ScriptPort,
  worker: string,
  sessions: Pick<SessionPool, 'view'>,
  share: boolean,
): () => void {
  return answerQuestions(queue, worker, () =>
    sessions
      .view()
      .filter(({ bound }) => !(share && bound))
      .map(
        ({ state, transport, nexthop, relay, tls, sinceMs, uses, leftMs }): OpenSession => ({
          state,
          transport,
          nexthop,
          relay,
          sinceMs,
          uses,
          ...(tls === undefined ? {} : { tls }),
          ...(leftMs === undefined ? {} : { leftMs }),
        }),
      ),
  );
}
