/**
 * Who holds which open session, for the whole fleet. An open session belongs to the worker that made it; what is shared is the knowledge
 * of it: a worker lists the sessions that it has parked, and the scheduler claims one before it adds a batch, which then goes to that
 * worker.
 *
 * Promises: a listed session is claimed once. The rest is best effort on purpose: mail flows without Redis' answers here, and a worker
 * looks into its own pool before it trusts a claim.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '@mailfleet/config';
import type { ScriptPort } from '@mailfleet/queue';
import { type Destination, destinationKey, endpointSessions, registryKeys } from './keys.ts';
import { allScripts, claim, claimAt, drop, dropAt, list, park, parkAt } from './scripts.ts';

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

/** A parked session of a server that several destinations share. */
export interface SharedSession {
  readonly id: string;
  /** Key of its server. Redis gets a digest of it. */
  readonly endpoint: string;
  readonly worker: string;
}

export interface SessionRegistry {
  /** Lists a session for a time. Does not wait, and never fails. */
  park(session: ListedSession, idleMs: number): void;
  /** Takes it off the list. Does not wait, and never fails. */
  drop(session: ListedSession): void;
  /** Claims up to `count` sessions: names their workers. Rejects when Redis does not answer within connection_cache_protocol_timeout. */
  claim(destination: Destination, count: number): Promise<readonly string[]>;
  /** The same by server. */
  parkAt(session: SharedSession, idleMs: number): void;
  dropAt(session: SharedSession): void;
  /**
   * Claims a session to one of these servers that another worker than `asking` has: names that worker. Never fails, and takes at most
   * `CLAIM_LIMIT_MS`: a late answer is as good as none, and the session then serves whoever its worker gives it.
   */
  claimAt(endpoints: readonly string[], asking: string): Promise<string | undefined>;
  /** One page of a shard's parked sessions, with the time (ms) that each has left. */
  page(
    shard: number,
    from: number,
    count: number,
  ): Promise<readonly { readonly session: ListedSession; readonly leftMs: number }[]>;
}

/** The list gives a session up before its worker does, so that a claim finds it. */
const MARGIN_MS = 250;
/** A new connection waits no longer for a claim. */
const CLAIM_LIMIT_MS = 50;
/** Servers asked for in one claim, one after the other. */
const MOST_ENDPOINTS = 3;

/** Nothing is listed and nothing found with `connection_cache_share` off. */
export function openSessionRegistry(options: {
  readonly config: Config;
  readonly queue: ScriptPort;
}): SessionRegistry {
  const { config, queue } = options;
  const share = config.get('connection_cache_share');
  const limitMs = config.get('connection_cache_protocol_timeout');
  const run = queue.openScripts(allScripts);
  const keysFor = (destination: Destination): [string, string, string] => {
    const { prefix } = queue.scriptKeys(destination.shard);
    const { all, records } = registryKeys(prefix);
    return [all, records, destinationKey(prefix, destination)];
  };
  // What is not told to a Redis that is away is as good as forgotten: the entry runs out.
  const attempt = (answer: Promise<unknown>): void => void answer.catch(() => undefined);

  const listedMs = (idleMs: number): number => Math.floor(Math.max(idleMs - MARGIN_MS, idleMs / 2));
  const memberOf = ({ id, worker }: SharedSession): string => `${id} ${worker}`;

  return {
    park(session, idleMs) {
      if (!share) return;
      const record = JSON.stringify(session);
      attempt(run(park, keysFor(session.destination), [session.id, record, listedMs(idleMs)]));
    },
    drop(session) {
      if (share) attempt(run(drop, keysFor(session.destination), [session.id]));
    },
    async claim(destination, count) {
      if (!share) return [];
      const { workers } = queue.scriptKeys(destination.shard);
      const answer = run(claim, [...keysFor(destination), workers], [count]) as Promise<string[]>;
      return await within(limitMs, answer);
    },
    parkAt(session, idleMs) {
      if (!share) return;
      const key = endpointSessions(session.endpoint);
      attempt(run(parkAt, [key], [memberOf(session), listedMs(idleMs)]));
    },
    dropAt(session) {
      if (share) attempt(run(dropAt, [endpointSessions(session.endpoint)], [memberOf(session)]));
    },
    async claimAt(endpoints, asking) {
      if (!share) return undefined;
      const late = sleep(CLAIM_LIMIT_MS, 'late' as const, { ref: false });
      for (const endpoint of endpoints.slice(0, MOST_ENDPOINTS)) {
        const asked = run(claimAt, [endpointSessions(endpoint)], [asking]).catch(() => 'late' as const);
        const answer = await Promise.race([asked, late]);
        if (answer === 'late') return undefined;
        if (typeof answer === 'string') return answer.slice(answer.indexOf(' ') + 1);
      }
      return undefined;
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

/** A batch does not wait for a cache that is silent. What a late answer claimed is lost, and its worker's session runs out. */
async function within<T>(limitMs: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no answer within connection_cache_protocol_timeout (${limitMs / 1000}s)`)),
      limitMs,
    );
  });
  try {
    return await Promise.race([answer, silence]);
  } finally {
    clearTimeout(timer);
  }
}
