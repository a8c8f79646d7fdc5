/**
 * The watchdog of a daemon (daemon_timeout, qmgr_daemon_timeout): work that shows no sign of life for that long is stuck for good, and the
 * process had better end, since whatever it holds returns to the queue by its lease. Times are of a clock that does not run while the
 * machine sleeps.
 */

/** A piece of work under watch. */
export interface Watched {
  /** It made a step. */
  pat(): void;
  /** It ended. */
  done(): void;
}

/** Looks often enough to be near the limit, and seldom enough to cost nothing. */
const LOOKS_PER_LIMIT = 10;
const LONGEST_PAUSE_MS = 10_000;

export class Watchdog {
  readonly #limitMs: number;
  readonly #now: () => number;
  readonly #last = new Map<object, { readonly what: string; lastMs: number }>();

  constructor(limitMs: number, now: () => number = () => performance.now()) {
    this.#limitMs = limitMs;
    this.#now = now;
  }

  watch(what: string): Watched {
    const key = {};
    const watched = { what, lastMs: this.#now() };
    this.#last.set(key, watched);
    return {
      pat: () => {
        watched.lastMs = this.#now();
      },
      done: () => {
        this.#last.delete(key);
      },
    };
  }

  /** What has been stuck for longer than the limit, if anything. */
  stuck(): string | undefined {
    const latestMs = this.#now() - this.#limitMs;
    for (const { what, lastMs } of this.#last.values()) {
      if (lastMs < latestMs) return what;
    }
    return undefined;
  }

  /** Calls back once, with what is stuck. The answer ends the watch. */
  onStuck(tell: (what: string) => void): () => void {
    const timer = setInterval(
      () => {
        const what = this.stuck();
        if (what === undefined) return;
        clearInterval(timer);
        tell(what);
      },
      Math.min(this.#limitMs / LOOKS_PER_LIMIT, LONGEST_PAUSE_MS),
    );
    timer.unref();
    return () => clearInterval(timer);
  }
}
