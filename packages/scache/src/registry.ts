/**
 * Who holds which open session, for the whole fleet. An open session belongs to the worker that made it; what is shared is the knowledge
 * of it: a worker lists the sessions that it has parked, and the scheduler claims one before it adds a batch, which then goes to that
 * worker.
 *
 * Promises: a listed session is claimed once. The rest is best effort on purpose: mail flows without Redis' answers here, and a worker
 * looks into its own pool before it trusts a claim.
 */
import type { Config } from '@mailfleet/config';
import type { ScriptPort } from '@mailfleet/queue';
import { type Destination, destinationKey, registryKeys } from './keys.ts';
import { allScripts, claim, drop, list, park } from './scripts.ts';

/** A parked session as its worker lists it. It holds nothing secret: operators read it. */
export interface ListedSession {
  /** Unique in the fleet. */
  readonly id: string;
  readonly destination: Destination;
  readonly worker: string;
  /** `host[address]:port` */
  readonly relay: string;
  /** TLS protocol version; absent in clear. */
  readonly tls?: string;
  /** When the connection was opened. */
  readonly sinceMs: number;
  /** Transactions so far. */
  readonly uses: number;
}

export interface SessionRegistry {
  /** Lists a session for a time. Does not wait, and never fails. */
  park(session: ListedSession, idleMs: number): void;
  /** Takes it off the list. Does not wait, and never fails. */
  drop(session: ListedSession): void;
  /** Claims up to `count` sessions: names their workers. Rejects when Redis does not answer. */
  claim(destination: Destination, count: number): Promise<readonly string[]>;
  /** One page of a shard's parked sessions, with the time (ms) that each has left. */
  page(
    shard: number,
    from: number,
    count: number,
  ): Promise<readonly { readonly session: ListedSession; readonly leftMs: number }[]>;
}

/** The list gives a session up before its worker does, so that a claim finds it. */
const MARGIN_MS = 250;

/** Nothing is listed and nothing found with `connection_cache_share` off. */
export function openSessionRegistry(options: {
  readonly config: Config;
  readonly queue: ScriptPort;
}): SessionRegistry {
  const { config, queue } = options;
  const share = config.get('connection_cache_share');
  const run = queue.openScripts(allScripts);
  const keysFor = (destination: Destination): [string, string, string] => {
    const { prefix } = queue.scriptKeys(destination.shard);
    const { all, records } = registryKeys(prefix);
    return [all, records, destinationKey(prefix, destination)];
  };
  // What is not told to a Redis that is away is as good as forgotten: the entry runs out.
  const attempt = (answer: Promise<unknown>): void => void answer.catch(() => undefined);

  return {
    park(session, idleMs) {
      const listedMs = Math.floor(Math.max(idleMs - MARGIN_MS, idleMs / 2));
      if (!share) return;
      attempt(run(park, keysFor(session.destination), [session.id, JSON.stringify(session), listedMs]));
    },
    drop(session) {
      if (share) attempt(run(drop, keysFor(session.destination), [session.id]));
    },
    async claim(destination, count) {
      if (!share) return [];
      const { workers } = queue.scriptKeys(destination.shard);
      return (await run(claim, [...keysFor(destination), workers], [count])) as string[];
    },
    async page(shard, from, count) {
      const { all, records } = registryKeys(queue.scriptKeys(shard).prefix);
      const [now, ...rest] = (await run(list, [all, records], [from, count])) as string[];
      return rest.flatMap((text, index) =>
        index % 2 === 0
          ? [{ session: JSON.parse(text) as ListedSession, leftMs: Number(rest[index + 1]) - Number(now) }]
          : [],
      );
    },
  };
}
