/**
 * A batch's way to the parked sessions: what its policy lets it take and park. Finding by destination yields hosts only; the
 * session itself is always taken under the endpoint key that this very batch computes for that host.
 */
import type { TlsPolicy } from '@mailfleet/tls';
import type { BatchIo } from '../agent.ts';
import type { Attempt } from '../attempt.ts';
import type { Batch } from '../delivery.ts';
import { unmetDemand } from '../handshake.ts';
import type { Host } from '../hosts.ts';
import type { Sasl } from '../sasl/login.ts';
import type { Session } from '../session.ts';
import { destinationKey, endpointKey, noReuse, type ReusePolicy, type ReuseRules } from './reuse-policy.ts';
import type { Binding, SessionPool } from './session-pool.ts';

export interface BatchReuseOptions {
  readonly rules: ReuseRules;
  readonly pool: SessionPool;
  readonly batch: Batch;
  /** Undefined: no session is authenticated. */
  readonly sasl: Sasl | undefined;
  readonly warn: (text: string) => void;
  /** See BatchIo. */
  readonly handOver: NonNullable<BatchIo['handOver']>;
}

export class BatchReuse {
  readonly #rules: ReuseRules;
  readonly #pool: SessionPool;
  readonly #batch: Batch;
  readonly #sasl: Sasl | undefined;
  readonly #handOver: BatchReuseOptions['handOver'];
  readonly #used = new Set<Session>();
  /** Shared endpoints of the best preference, of which this process has no session. */
  readonly #missed: string[] = [];
  #policy: ReusePolicy;

  private constructor(options: BatchReuseOptions, policy: ReusePolicy) {
    this.#rules = options.rules;
    this.#pool = options.pool;
    this.#batch = options.batch;
    this.#sasl = options.sasl;
    this.#handOver = options.handOver;
    this.#policy = policy;
  }

  static async begin(options: BatchReuseOptions): Promise<BatchReuse> {
    const { rules, batch, warn } = options;
    const reuse = new BatchReuse(options, await rules.policyFor(batch, warn));
    options.pool.enter();
    return reuse;
  }

  end(): void {
    for (const session of this.#used) this.#pool.release(session);
    this.#pool.leave();
  }

  /** A session that was opened for this batch, or taken for it. */
  use(session: Session): void {
    this.#used.add(session);
    this.#pool.use(session, this.#batch);
  }

  get mayLoad(): boolean {
    return this.#policy.load;
  }

  /** The first nexthop has no address: nothing of this batch is looked for or parked. */
  disable(): void {
    this.#policy = noReuse;
  }

  /** A connection is about to be opened. */
  makeRoom(): void {
    this.#pool.makeRoom();
  }

  /**
   * Marks a new session as one that may be parked.
   * @param destination nexthop or fallback relay that the host was found for
   * @param login what the credentials depend on
   */
  adopt(
    session: Session,
    policy: TlsPolicy,
    host: Host,
    destination: string,
    login: readonly string[],
  ): void {
    if (!this.#policy.store || (session.tls !== undefined && !policy.connectionReuse)) return;
    session.endpointKey = endpointKey(this.#rules, host, policy, destination, login);
  }

  /** The destination of a message; where credentials depend on its sender, of that sender. */
  #destinationOf(sender: string): string {
    const { nexthop } = this.#batch;
    return destinationKey(this.#rules, nexthop, this.#sasl?.senderDependent === true ? sender : undefined);
  }

  mayPark(session: Session): boolean {
    return (
      this.#pool.open &&
      session.endpointKey !== undefined &&
      session.ahead === undefined &&
      !session.connection.closing &&
      session.mayServeAnother()
    );
  }

  /** Call only for a session that may be parked. @param bound finds it by destination too, for mail of the sender that it served */
  park(session: Session, bound: (Binding & { readonly sender: string }) | undefined): void {
    const { transport, nexthop } = this.#batch;
    this.#used.delete(session);
    this.#pool.park(session, {
      endpoint: session.endpointKey ?? '',
      idleLimitMs: this.#rules.idleLimitMs,
      transport,
      nexthop,
      ...(bound === undefined
        ? {}
        : { bind: { destination: this.#destinationOf(bound.sender), binding: bound } }),
    });
  }

  /** Where this batch's nexthop was served lately. */
  bindings(attempt: Attempt): Binding[] {
    const { sender } = attempt.request.envelope;
    return this.#policy.load ? this.#pool.bindings(this.#destinationOf(sender)) : [];
  }

  /** Whether asking by destination led to a session, for the statistics. */
  foundByDomain(hit: boolean): void {
    this.#pool.statistics.lookedUp('domain', hit);
  }

  /** A parked session to a host, alive a moment ago, if this batch may look for one. @param by what it is looked for by, for the statistics */
  async take(
    attempt: Attempt,
    policy: TlsPolicy,
    host: Host,
    destination: string,
    by: 'domain' | 'address',
  ): Promise<Session | undefined> {
    if (!this.#policy.load) return undefined;
    const place = { sender: attempt.request.envelope.sender, host: host.host, destination };
    const lookup = await this.#sasl?.find(place);
    // Without an answer nobody knows whose session it would have to be.
    if (lookup?.kind === 'error') return undefined;
    const login = (lookup && this.#sasl?.terms(place, lookup)) ?? [];
    const key = endpointKey(this.#rules, host, policy, destination, login);
    this.#pool.shared.note(key, this.#batch.nexthop, host.host);
    const session = this.#pool.take(
      key,
      (each) => each.mayServeAnother() && unmetDemand(each, attempt) === undefined,
    );
    if (by === 'address') this.#pool.statistics.lookedUp('address', session !== undefined);
    if (session === undefined) {
      if (by === 'address' && this.#pool.shared.has(key)) this.#missed.push(key);
      return undefined;
    }
    // What the handshake allowed for its own message says nothing about this one.
    session.plaintextRetry = false;
    session.nameAs(host);
    this.use(session);
    if (await session.isAlive()) return session;
    session.connection.destroy();
    return undefined;
  }

  /**
   * Before a connection is opened for a batch of which nothing was begun: gives it to another process that has a session to one of the
   * servers that were asked for here. Not for a message that needs SMTPUTF8: nobody knows whether that session offers it.
   * @returns whether the batch is gone
   */
  async handOver(attempt: Attempt): Promise<boolean> {
    if (this.#missed.length === 0 || attempt.needsSmtputf8) return false;
    return await this.#handOver(this.#missed);
  }
}
