/**
 * Fetches the contents of a batch's next requests while the current one is on the wire, so that the session never waits for
 * the store. Bounded by count and bytes; large contents are fetched only when their turn comes, because they are open files.
 */
import { Readable } from 'node:stream';
import type { DeliveryRequest } from '../delivery.ts';
import type { Content } from '../transaction.ts';

export type FetchContent = (request: DeliveryRequest) => Promise<Content | undefined>;

const AHEAD_REQUESTS = 16;
const AHEAD_BYTES = 1024 * 1024;
const LARGE_BYTES = 64 * 1024;

export class ContentPrefetch {
  readonly #requests: readonly DeliveryRequest[];
  readonly #fetch: FetchContent;
  readonly #ahead = new Map<number, Promise<Content | undefined>>();
  readonly #here = new Map<number, Content>();
  #next = 0;
  #bytes = 0;
  /** A content that was taken could not be read. */
  failed = false;

  constructor(requests: readonly DeliveryRequest[], fetch: FetchContent) {
    this.#requests = requests;
    this.#fetch = fetch;
  }

  /** Content of the request at a position; each position once, in order. Rejects as the fetch does. */
  async take(position: number): Promise<Content | undefined> {
    this.#next = Math.max(this.#next, position);
    this.#fetchAhead(position);
    const request = this.#requests[position];
    if (request === undefined) throw new Error(`the batch has no request ${position}`);
    const fetched = this.#ahead.get(position);
    if (fetched === undefined) return await this.#noting(this.#fetch(request));
    this.#ahead.delete(position);
    this.#here.delete(position);
    this.#bytes -= request.envelope.sizeBytes;
    return await this.#noting(fetched);
  }

  async #noting(fetched: Promise<Content | undefined>): Promise<Content | undefined> {
    try {
      return await fetched;
    } catch (error) {
      this.failed = true;
      throw error;
    }
  }

  /** Content that is here already and was not taken. */
  atHand(position: number): Content | undefined {
    return this.#here.get(position);
  }

  /** Closes streams that were fetched and not taken. */
  async dispose(): Promise<void> {
    const left = [...this.#ahead.values()];
    this.#ahead.clear();
    for (const content of await Promise.allSettled(left)) {
      if (content.status === 'fulfilled' && content.value instanceof Readable) content.value.destroy();
    }
  }

  #fetchAhead(current: number): void {
    while (this.#next < this.#requests.length && this.#next < current + AHEAD_REQUESTS) {
      const position = this.#next;
      const request = this.#requests[position];
      if (request === undefined || this.#bytes > AHEAD_BYTES) return;
      if (request.envelope.sizeBytes <= LARGE_BYTES) {
        const fetched = this.#fetch(request);
        this.#ahead.set(position, fetched);
        fetched.then(
          (content) => {
            if (content !== undefined && this.#ahead.has(position)) this.#here.set(position, content);
          },
          // Whoever takes it sees the error; until then it must not count as unhandled.
          () => undefined,
        );
        this.#bytes += request.envelope.sizeBytes;
      }
      this.#next++;
    }
  }
}

/** Content that can be sent more than once: a stream is fetched again for a second host. */
export class RepeatableContent {
  readonly #refetch: () => Promise<Content | undefined>;
  #content: Content;
  #used = false;

  constructor(content: Content, refetch: () => Promise<Content | undefined>) {
    this.#content = content;
    this.#refetch = refetch;
  }

  async take(): Promise<Content | undefined> {
    if (!this.#used || Buffer.isBuffer(this.#content)) {
      this.#used = true;
      return this.#content;
    }
    const again = await this.#refetch();
    if (again !== undefined) this.#content = again;
    return again;
  }

  /** Closes a stream that nobody read. */
  dispose(): void {
    if (!this.#used && this.#content instanceof Readable) this.#content.destroy();
  }
}
