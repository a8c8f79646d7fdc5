/**
 * Which index to pull messages into the active queue from: incoming and deferred take turns, so that new mail does not
 * wait behind a backlog, nor the backlog behind new mail. When the active queue was full, new mail gets the first place.
 *
 * It only keeps count: `next` names a pull, the caller makes it and tells `pulled`. What stands in incoming is due; the
 * first due time of deferred must be told when `dueUnknown`.
 */
export interface Pull {
  readonly source: 'incoming' | 'deferred';
  readonly count: number;
}

/** Bounds the size of one answer of the queue, not the active queue. */
const PAGE = 200;

export class Admission {
  #first: Pull['source'] = 'incoming';
  #incoming = true;
  #deferredDueMs: number | undefined;
  #dueKnown = false;

  /** There may be mail in incoming. */
  mailArrived(): void {
    this.#incoming = true;
  }

  /** A message was deferred, or will be, until then. */
  deferredUntil(dueMs: number): void {
    if (this.#deferredDueMs === undefined || dueMs < this.#deferredDueMs) this.#deferredDueMs = dueMs;
  }

  get dueUnknown(): boolean {
    return !this.#dueKnown;
  }

  /** Due times changed in a way that only the queue knows. */
  forgetDue(): void {
    this.#dueKnown = false;
  }

  /** @param dueMs the queue's first due time, if anything is deferred */
  setDue(dueMs: number | undefined): void {
    this.#deferredDueMs = dueMs;
    this.#dueKnown = true;
  }

  /** When `next` will have something without further news. */
  get dueMs(): number | undefined {
    return this.#deferredDueMs;
  }

  next(room: number, nowMs: number): Pull | undefined {
    if (room <= 0) {
      this.#first = 'incoming';
      return undefined;
    }
    const deferred = this.#deferredDueMs !== undefined && this.#deferredDueMs <= nowMs;
    if (!this.#incoming && !deferred) return undefined;
    const both = this.#incoming && deferred;
    return {
      source: both ? this.#first : deferred ? 'deferred' : 'incoming',
      count: Math.min(PAGE, both ? Math.ceil(room / 2) : room),
    };
  }

  /** Fewer messages than asked for: the source is drained for now. */
  pulled(pull: Pull, messages: number): void {
    this.#first = pull.source === 'incoming' ? 'deferred' : 'incoming';
    if (messages >= pull.count) return;
    if (pull.source === 'incoming') {
      this.#incoming = false;
    } else {
      this.#deferredDueMs = undefined;
      this.#dueKnown = false;
    }
  }
}
