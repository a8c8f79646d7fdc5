/**
 * The concurrency window of one destination, after "Postfix Queue Scheduler" (SCHEDULER_README) as the program behaves:
 * how many batches may be under way at once, moved by the result of every delivery request.
 *
 * `size` 0 means dead: the destination failed a whole cohort (or several) and takes nothing until it is revived. The
 * sums are double precision and added in a fixed order, because thresholds are compared exactly.
 */
import type { Feedback } from './feedback.ts';

export interface WindowSettings {
  /** initial_destination_concurrency */
  readonly initial: number;
  /** destination_concurrency_limit; 0 is none. */
  readonly limit: number;
  readonly positive: Feedback;
  readonly negative: Feedback;
  /** destination_concurrency_failed_cohort_limit; 0 means that the destination never dies. */
  readonly failedCohortLimit: number;
}

export class ConcurrencyWindow {
  readonly #settings: WindowSettings;
  #limit: number;
  size: number;
  /** Positive feedback that has not yet become a step. */
  success = 0;
  /** Negative feedback that has not yet become a step. */
  failure = 0;
  failedCohorts = 0;

  constructor(settings: WindowSettings) {
    this.#settings = settings;
    this.#limit = settings.limit;
    this.size = this.#initial;
  }

  /** What it may grow to; 0 is without limit. */
  get limit(): number {
    return this.#limit;
  }

  /** Another limit than the settings': a window above it shrinks at once, one below grows as ever. */
  limitTo(limit: number): void {
    this.#limit = limit;
    if (limit > 0) this.size = Math.min(this.size, limit);
  }

  get #initial(): number {
    const { initial } = this.#settings;
    return this.#limit > 0 ? Math.min(initial, this.#limit) : initial;
  }

  get dead(): boolean {
    return this.size === 0;
  }

  /** @param busy batches under way, the one that reports included */
  grow(busy: number): void {
    this.failedCohorts = 0;
    if (this.dead) {
      this.revive(busy);
      return;
    }
    const { positive } = this.#settings;
    const limit = this.#limit;
    if ((limit > 0 && this.size >= limit) || this.size >= busy + this.#initial) return;
    const step = positive(this.size);
    this.success += step;
    // Half a step of tolerance absorbs the rounding of a sum such as ten times 1/10.
    while (this.success + step / 2 >= 1) {
      this.size += 1;
      this.success -= 1;
      this.failure = 0;
    }
    if (limit > 0) this.size = Math.min(this.size, limit);
  }

  /** A report on the whole destination; nothing when it is dead already. */
  shrink(): void {
    if (this.dead) return;
    const { failedCohortLimit, negative } = this.#settings;
    this.failedCohorts += 1 / this.size;
    if (failedCohortLimit > 0 && this.failedCohorts >= failedCohortLimit) {
      this.size = 0;
      return;
    }
    const step = negative(this.size);
    this.failure -= step;
    while (this.failure - step / 2 < 0) {
      this.size -= 1;
      this.success = 0;
      this.failure += 1;
    }
    this.size = Math.max(this.size, 1);
  }

  /** There is no probing phase: a revived destination starts with its initial window, or with what is under way. */
  revive(busy: number): void {
    this.size = busy > 0 ? busy : this.#initial;
    this.success = 0;
    this.failure = 0;
    this.failedCohorts = 0;
  }
}
