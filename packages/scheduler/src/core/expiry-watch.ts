/**
 * When to look at the expiry index next. It only keeps the time: the first one of the index must be told when it is
 * `unknown`, and what passes by in between is told by `seen`.
 */
export class ExpiryWatch {
  #nextMs: number | undefined;
  #known = false;

  get unknown(): boolean {
    return !this.#known;
  }

  get nextMs(): number | undefined {
    return this.#nextMs;
  }

  /** The index changed in a way that only the queue knows. */
  forget(): void {
    this.#known = false;
  }

  /** @param firstMs first time of the index, if it names anything */
  set(firstMs: number | undefined): void {
    this.#nextMs = firstMs;
    this.#known = true;
  }

  /** There is a message whose lifetime ends then. */
  seen(endMs: number): void {
    if (this.#nextMs === undefined || endMs < this.#nextMs) this.#nextMs = endMs;
  }

  isDue(nowMs: number): boolean {
    return this.#nextMs !== undefined && this.#nextMs <= nowMs;
  }
}
