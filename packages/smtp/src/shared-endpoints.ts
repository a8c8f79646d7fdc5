/**
 * Endpoints that serve more than one destination, as far as this process has seen: only there it is worth the trouble to ask other
 * workers for a session, or to tell them of one. For a destination with a server of its own the scheduler finds the session.
 */

/** Bounds the memory; beyond it everything is learned anew. */
const MOST = 50_000;

export class SharedEndpoints {
  /** The one destination that was seen; undefined: more than one. */
  readonly #seen = new Map<string, string | undefined>();

  /** A batch to a destination looks for a session there. */
  note(endpoint: string, destination: string): void {
    if (!this.#seen.has(endpoint)) {
      if (this.#seen.size >= MOST) this.#seen.clear();
      this.#seen.set(endpoint, destination);
    } else if (this.#seen.get(endpoint) !== destination) this.#seen.set(endpoint, undefined);
  }

  has(endpoint: string): boolean {
    return this.#seen.has(endpoint) && this.#seen.get(endpoint) === undefined;
  }
}
