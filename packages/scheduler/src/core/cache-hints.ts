/**
 * qmgr's hints for on-demand connection caching. A destination's sessions are worth keeping while deliveries to it follow each other
 * back to back; messages are never counted. Seconds are whole, as in qmgr(8).
 */
import type { Batch } from '@mailfleet/smtp';

export class CacheHints {
  #load = false;
  #store = false;
  #lastDoneSeconds = Number.NEGATIVE_INFINITY;

  /** A batch is handed out. @param busy batches under way, this one included */
  select(busy: number, nowMs: number): Batch['caching'] {
    const backToBack = this.#lastDoneSeconds + 1 >= Math.floor(nowMs / 1000);
    if (!this.#store) {
      if (backToBack) {
        this.#load = true;
        this.#store = true;
      }
    } else if (busy <= 1 && !backToBack) {
      this.#store = false;
    }
    return this.#store ? 'load-store' : this.#load ? 'load' : undefined;
  }

  /** A batch ended. */
  done(nowMs: number): void {
    this.#lastDoneSeconds = Math.floor(nowMs / 1000);
  }

  /** The destination died: what was kept open for it is of no use. */
  clear(): void {
    this.#load = false;
    this.#store = false;
  }
}
