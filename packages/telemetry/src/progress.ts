/**
 * Whether a process makes progress, for its liveness endpoint. Each part that must come by now and then says that it did;
 * one that was silent for too long is told by name. Times are of a clock that does not run while the machine sleeps.
 */

/** Longest that a part may be silent: several times its longest regular wait, and shorter than anybody's patience. */
const SILENCE_MS = 30_000;

export class Progress {
  readonly #last = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Registers a part; call the answer each time it comes by. */
  expect(part: string): () => void {
    const seen = (): void => {
      this.#last.set(part, this.#now());
    };
    seen();
    return seen;
  }

  /** A sentence about each part that is stuck. */
  stuck(): string[] {
    const now = this.#now();
    return [...this.#last].flatMap(([part, lastMs]) =>
      now - lastMs > SILENCE_MS ? [`${part}: no progress for ${Math.floor((now - lastMs) / 1000)} s`] : [],
    );
  }
}
