/**
 * Endpoints that serve more than one destination: only there it is worth the trouble to ask other workers for a session, or to tell them
 * of one. For a destination with a server of its own the scheduler finds the session.
 *
 * A server counts as shared when this process saw a second destination there, or when its name is not the destination's own: a mail host
 * `mx.provider.example` of `customer.example` serves other customers most likely.
 */
import { nexthopDomain } from '@mailfleet/tls';

/** Bounds the memory; beyond it everything is learned anew. */
const MOST = 50_000;

export class SharedEndpoints {
  /** The one destination that was seen; undefined: more than one, or a server of others. */
  readonly #seen = new Map<string, string | undefined>();

  /** A batch to a destination looks for a session there. @param host the server's name */
  note(endpoint: string, nexthop: string, host: string): void {
    if (!this.#seen.has(endpoint)) {
      if (this.#seen.size >= MOST) this.#seen.clear();
      this.#seen.set(endpoint, isOwnHost(nexthop, host) ? nexthop : undefined);
    } else if (this.#seen.get(endpoint) !== nexthop) this.#seen.set(endpoint, undefined);
  }

  has(endpoint: string): boolean {
    return this.#seen.has(endpoint) && this.#seen.get(endpoint) === undefined;
  }
}

/** `[host]` and `unix:path` name their server themselves. */
const isOwnHost = (nexthop: string, host: string): boolean => {
  if (nexthop.includes('[') || nexthop.startsWith('unix:')) return true;
  const domain = nexthopDomain(nexthop.replace(/^inet:/, '')).toLowerCase();
  const name = host.toLowerCase();
  return name === domain || name.endsWith(`.${domain}`);
};
