/**
 * The two tables of a connection cache, after scache(8): sessions by endpoint, and by destination the endpoints that served
 * it. They live apart, each entry with a time limit of its own; a binding outlives its sessions and the other way round.
 *
 * Taking a session removes it, so that none has two users. Pure: the caller passes the time and closes what comes back.
 */

interface Entry<T> {
  readonly value: T;
  expiresMs: number;
}

export class SessionTable<Session, Binding> {
  /** Oldest first. */
  readonly #sessions = new Map<string, Entry<Session>[]>();
  readonly #bindings = new Map<string, Map<string, Entry<Binding>>>();
  #count = 0;

  get sessions(): number {
    return this.#count;
  }

  get endpoints(): number {
    return this.#sessions.size;
  }

  get destinations(): number {
    return this.#bindings.size;
  }

  sessionsOf(endpoint: string): number {
    return this.#sessions.get(endpoint)?.length ?? 0;
  }

  park(endpoint: string, session: Session, expiresMs: number): void {
    const parked = this.#sessions.get(endpoint) ?? [];
    parked.push({ value: session, expiresMs });
    this.#sessions.set(endpoint, parked);
    this.#count++;
  }

  /** The oldest session of an endpoint that suits. */
  take(
    endpoint: string,
    nowMs: number,
    suits: (session: Session) => boolean = () => true,
  ): Session | undefined {
    const found = this.#sessions
      .get(endpoint)
      ?.find(({ value, expiresMs }) => expiresMs > nowMs && suits(value));
    if (found !== undefined) this.#remove(endpoint, found);
    return found?.value;
  }

  /** Takes out this session if it is still here. */
  drop(endpoint: string, session: Session): boolean {
    const found = this.#sessions.get(endpoint)?.find(({ value }) => value === session);
    if (found !== undefined) this.#remove(endpoint, found);
    return found !== undefined;
  }

  /** The session that was parked first, of one endpoint or of all. */
  oldest(endpoint?: string): Session | undefined {
    const lists =
      endpoint === undefined ? [...this.#sessions.values()] : [this.#sessions.get(endpoint) ?? []];
    const heads = lists.flatMap(([head]) => head ?? []);
    return heads.reduce<Entry<Session> | undefined>(
      (first, head) => (first === undefined || head.expiresMs < first.expiresMs ? head : first),
      undefined,
    )?.value;
  }

  /** A destination was served by an endpoint; said again, it keeps its place and only lives longer. */
  bind(destination: string, name: string, binding: Binding, expiresMs: number): void {
    const bindings = this.#bindings.get(destination) ?? new Map<string, Entry<Binding>>();
    const known = bindings.get(name);
    if (known === undefined) bindings.set(name, { value: binding, expiresMs });
    else known.expiresMs = expiresMs;
    this.#bindings.set(destination, bindings);
  }

  /** Oldest first. */
  bindings(destination: string, nowMs: number): Binding[] {
    this.#expireBindings(destination, nowMs);
    return [...(this.#bindings.get(destination)?.values() ?? [])].map(({ value }) => value);
  }

  /** Forgets what is past its time. @returns sessions to close */
  expire(nowMs: number): Session[] {
    for (const destination of this.#bindings.keys()) this.#expireBindings(destination, nowMs);
    const expired: Session[] = [];
    for (const [endpoint, entries] of this.#sessions) {
      for (const entry of entries.filter(({ expiresMs }) => expiresMs <= nowMs)) {
        this.#remove(endpoint, entry);
        expired.push(entry.value);
      }
    }
    return expired;
  }

  /** When `expire` will have something to do. */
  nextExpiryMs(): number | undefined {
    const times = [
      ...this.#sessions.values(),
      ...[...this.#bindings.values()].map((each) => each.values()),
    ].flatMap((entries) => [...entries].map(({ expiresMs }) => expiresMs));
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #remove(endpoint: string, entry: Entry<Session>): void {
    const left = this.#sessions.get(endpoint)?.filter((each) => each !== entry) ?? [];
    if (left.length === 0) this.#sessions.delete(endpoint);
    else this.#sessions.set(endpoint, left);
    this.#count--;
  }

  #expireBindings(destination: string, nowMs: number): void {
    const bindings = this.#bindings.get(destination);
    if (bindings === undefined) return;
    for (const [name, { expiresMs }] of bindings) if (expiresMs <= nowMs) bindings.delete(name);
    if (bindings.size === 0) this.#bindings.delete(destination);
  }
}
