/**
 * The sessions that a worker keeps open between batches: parked until another batch takes them, their server hangs up, or
 * their time is over.
 *
 * Promises: a session has one user at a time; one whose server said or did anything while it was parked is never handed out; open
 * sessions, parked and in use, stay within the limit of the process, parked ones giving way first; `close` says goodbye to all.
 */

import type { Host } from '../hosts.ts';
import type { Session } from '../session.ts';
import { CacheStatistics } from './cache-statistics.ts';
import { SessionTable } from './session-table.ts';
import { SharedEndpoints } from './shared-endpoints.ts';

export interface SessionPoolOptions {
  /** Open sessions of the process, those in use included. */
  readonly sessionLimit: number;
  /** Parked sessions of one endpoint; 0 is no limit. */
  readonly endpointLimit: number;
  /** Is told of sessions that can be found by destination, or by an endpoint that several destinations share. */
  readonly listener?: PoolListener;
  /** Milliseconds of a clock that never jumps. */
  readonly steadyNow?: () => number;
}

/** A session that waits for a batch. */
export interface WaitingSession {
  /** Unique in this pool, for this wait. */
  readonly id: number;
  /** Key of its server, when several destinations share it. */
  readonly endpoint: string | undefined;
  /** It is found by its destination. */
  readonly bound: boolean;
  /** The destination whose batch it served last. */
  readonly transport: string;
  readonly nexthop: string;
  /** `host[address]:port` */
  readonly relay: string;
  readonly tls: string | undefined;
  /** When the connection was opened. */
  readonly sinceMs: number;
  /** Transactions so far. */
  readonly uses: number;
}

/** An open session of this process. */
export interface OpenSessionView
  extends Pick<WaitingSession, 'transport' | 'nexthop' | 'relay' | 'tls' | 'sinceMs' | 'uses'> {
  readonly state: 'busy' | 'parked';
  /** See WaitingSession; a busy one is not. */
  readonly bound: boolean;
  /** How long it may be parked yet; undefined while it is busy. */
  readonly leftMs: number | undefined;
}

export interface PoolListener {
  parked(session: WaitingSession, idleLimitMs: number): void;
  /** It is in use or over. */
  gone(session: WaitingSession): void;
}

/** Which host served a destination, and for which of its nexthops or fallback relays that host was found. */
export interface Binding {
  readonly destination: string;
  readonly host: Host;
}

export interface Parking {
  readonly endpoint: string;
  readonly idleLimitMs: number;
  readonly transport: string;
  readonly nexthop: string;
  /** Where the mail wanted to go, when it is to be found by that too. */
  readonly bind?: { readonly destination: string; readonly binding: Binding };
}

interface Place {
  readonly endpoint: string;
  readonly waiting: WaitingSession;
  readonly expiresMs: number;
}

/** Sessions past their time may stay this much longer, so that one look closes many. */
const SWEEP_MS = 100;
/** Nobody waits longer for an answer to QUIT on a session that is of no use any more. */
const GOODBYE_MS = 2_000;

export class SessionPool {
  readonly statistics = new CacheStatistics(Date.now());
  readonly shared = new SharedEndpoints();
  readonly #options: SessionPoolOptions;
  readonly #steadyNow: () => number;
  readonly #table = new SessionTable<Session, Binding>();
  readonly #places = new Map<Session, Place>();
  readonly #inUse = new Map<Session, { readonly transport: string; readonly nexthop: string }>();
  #waits = 0;
  readonly #goodbyes = new Set<Promise<void>>();
  #busy = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = 0;
  #closed = false;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
    this.#steadyNow = options.steadyNow ?? (() => performance.now());
  }

  /** Takes sessions in; false once it closes. */
  get open(): boolean {
    return !this.#closed;
  }

  get parked(): number {
    return this.#table.sessions;
  }

  /** A batch begins: it will want a session. */
  enter(): void {
    this.#busy++;
  }

  leave(): void {
    this.#busy--;
  }

  /** A batch to this destination uses a session, until it is parked or `release`d. */
  use(session: Session, destination: { readonly transport: string; readonly nexthop: string }): void {
    this.#inUse.set(session, destination);
  }

  release(session: Session): void {
    this.#inUse.delete(session);
  }

  /** All that is open at this moment, for operators. */
  view(): OpenSessionView[] {
    const nowMs = this.#steadyNow();
    const busy = [...this.#inUse]
      .filter(([{ connection }]) => connection.failure === undefined)
      .map(([{ relay, tls, startedMs, uses }, { transport, nexthop }]): OpenSessionView => {
        const about = { transport, nexthop, relay, tls, sinceMs: startedMs, uses };
        return { ...about, state: 'busy', bound: false, leftMs: undefined };
      });
    const parked = [...this.#places.values()].map(({ waiting, expiresMs }): OpenSessionView => {
      const { transport, nexthop, relay, tls, sinceMs, uses, bound } = waiting;
      const about = { transport, nexthop, relay, tls, sinceMs, uses, bound };
      return { ...about, state: 'parked', leftMs: expiresMs - nowMs };
    });
    return [...busy, ...parked];
  }

  /** To be called before a connection is opened for a batch. */
  makeRoom(): void {
    this.#giveUpBeyond(this.#options.sessionLimit - this.#busy);
  }

  /** Keeps a session that its batch is done with; the caller must not touch it any more. */
  park(session: Session, { endpoint, idleLimitMs, transport, nexthop, bind }: Parking): void {
    if (this.#closed) {
      this.#sayGoodbye(session);
      return;
    }
    const expiresMs = this.#steadyNow() + idleLimitMs;
    if (bind !== undefined) {
      const name = JSON.stringify([endpoint, bind.binding]);
      this.#table.bind(bind.destination, name, bind.binding, expiresMs);
    }
    this.#table.park(endpoint, session, expiresMs);
    const waiting = {
      id: ++this.#waits,
      endpoint: this.shared.has(endpoint) ? endpoint : undefined,
      bound: bind !== undefined,
      transport,
      nexthop,
      relay: session.relay,
      tls: session.tls,
      sinceMs: session.startedMs,
      uses: session.uses,
    };
    const { destinations, endpoints, sessions } = this.#table;
    this.statistics.parked(destinations, endpoints, sessions);
    const place: Place = { endpoint, waiting, expiresMs };
    this.#inUse.delete(session);
    this.#places.set(session, place);
    this.#options.listener?.parked(waiting, idleLimitMs);
    const { sessionLimit, endpointLimit } = this.#options;
    if (endpointLimit > 0 && this.#table.sessionsOf(endpoint) > endpointLimit)
      this.#giveUp(this.#table.oldest(endpoint));
    // The batch that parks it counts as busy still.
    this.#giveUpBeyond(sessionLimit - this.#busy + 1);
    this.#setTimer(expiresMs);
    void session.connection.stirred().then(() => {
      if (this.#places.get(session) !== place || session.connection.calm) return;
      this.#remove(session);
      session.connection.destroy();
    });
  }

  /** The oldest parked session of an endpoint that suits; it is the caller's from then on. */
  take(endpoint: string, suits: (session: Session) => boolean): Session | undefined {
    const session = this.#table.take(
      endpoint,
      this.#steadyNow(),
      (each) => each.connection.calm && each.reusable && suits(each),
    );
    if (session !== undefined) this.#leave(session);
    return session;
  }

  /** Who served a destination lately, the first one first. */
  bindings(destination: string): Binding[] {
    return this.#table.bindings(destination, this.#steadyNow());
  }

  /** Says goodbye to every parked session; from now on what comes is closed too. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#giveUpBeyond(0);
    while (this.#goodbyes.size > 0) await Promise.all(this.#goodbyes);
  }

  #giveUpBeyond(count: number): void {
    while (this.#table.sessions > Math.max(count, 0)) this.#giveUp(this.#table.oldest());
  }

  #giveUp(session: Session | undefined): void {
    if (session === undefined) return;
    this.#remove(session);
    this.#sayGoodbye(session);
  }

  #remove(session: Session): void {
    const endpoint = this.#leave(session);
    if (endpoint !== undefined) this.#table.drop(endpoint, session);
  }

  /** It waits no more. @returns the endpoint that it waited under */
  #leave(session: Session): string | undefined {
    const place = this.#places.get(session);
    this.#places.delete(session);
    if (place !== undefined) this.#options.listener?.gone(place.waiting);
    return place?.endpoint;
  }

  #sayGoodbye(session: Session): void {
    const cut = setTimeout(() => session.connection.destroy(), GOODBYE_MS);
    const goodbye = session.quit().finally(() => {
      clearTimeout(cut);
      this.#goodbyes.delete(goodbye);
    });
    this.#goodbyes.add(goodbye);
  }

  #setTimer(dueMs: number): void {
    if (this.#timer !== undefined && this.#timerDueMs <= dueMs) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(this.#onTimer, Math.max(dueMs - this.#steadyNow(), SWEEP_MS));
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    for (const session of this.#table.expire(this.#steadyNow())) {
      this.#leave(session);
      this.#sayGoodbye(session);
    }
    const next = this.#table.nextExpiryMs();
    if (next !== undefined) this.#setTimer(next);
  };
}
