/**
 * Whether a BullMQ worker does its work: it took a job lately, or has no room for one, or Redis says that none waits. A worker can
 * look well and take nothing for ever, after a lost connection for one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Queue } from 'bullmq';

const LOOK_MS = 5_000;

/** Jobs of one queue that this process takes. */
export class Takings {
  readonly #room: number;
  #running = 0;
  #taken = 0;
  #seen = 0;

  /** @param room jobs at a time */
  constructor(room: number) {
    this.#room = room;
  }

  begin(): void {
    this.#running += 1;
    this.#taken += 1;
  }

  end(): void {
    this.#running -= 1;
  }

  /** To be asked now and then: whether jobs wait that it should have taken since. */
  async idles(queue: Pick<Queue, 'getWaitingCount'>): Promise<boolean> {
    const waiting = await queue.getWaitingCount();
    const tookNone = this.#taken === this.#seen;
    this.#seen = this.#taken;
    return waiting > 0 && tookNone && this.#running < this.#room;
  }
}

/** Calls `progress` each time that none of them idles, until `signal` aborts. */
export async function watchTakings(
  watched: readonly { readonly takings: Takings; readonly queue: Pick<Queue, 'getWaitingCount'> }[],
  progress: () => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    // While Redis is away this waits, and that is no progress.
    const idle = await Promise.all(watched.map(({ takings, queue }) => takings.idles(queue)));
    if (!idle.includes(true)) progress();
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}
