/**
 * Questions and answers over a stream socket, one at a time on each connection: what socketmap, tcp and memcache tables have in
 * common. Up to CONNECTIONS connections at once, kept while they are used; a question that needs one waits its turn. A kept
 * connection that breaks before the first byte of an answer is replaced once, since the server may just have closed it.
 */
import { connect, type Socket } from 'node:net';

export interface SocketAddress {
  readonly name: string;
  readonly options: { readonly path: string } | { readonly host: string; readonly port: number };
}

/** `inet:host:port` or `unix:path`; undefined: neither. */
export function parseSocketAddress(text: string): SocketAddress | undefined {
  const path = /^unix:(.+)$/.exec(text)?.[1];
  if (path !== undefined) return { name: text, options: { path } };
  const [, host, port] = /^(?:inet:)?(\[[^\]]+\]|[^:]+):(\d+)$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) return undefined;
  return { name: text, options: { host: host.replace(/^\[|\]$/g, ''), port: Number(port) } };
}

/** What a reader makes of the bytes so far: the answer and its length, or undefined while it is not whole. Throws if it is wrong. */
export type ReadAnswer<T> = (bytes: Buffer) => { readonly answer: T; readonly length: number } | undefined;

export interface SocketPoolOptions {
  readonly address: SocketAddress;
  /** For one question with its answer, the connection included. */
  readonly timeoutMs: number;
  /** A connection that is idle for longer, or older than `ageMs`, is closed. */
  readonly idleMs: number;
  readonly ageMs: number;
  /** Bytes of an answer. */
  readonly answerLimit: number;
}

const CONNECTIONS = 4;

interface Connection {
  readonly socket: Socket;
  readonly madeAt: number;
  idle: NodeJS.Timeout | undefined;
  used: boolean;
}

export class SocketPool {
  readonly #options: SocketPoolOptions;
  readonly #free: Connection[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(options: SocketPoolOptions) {
    this.#options = options;
  }

  /** Rejects with what went wrong; the connection is closed then. */
  async exchange<T>(question: Buffer, read: ReadAnswer<T>): Promise<T> {
    if (this.#busy >= CONNECTIONS) await this.#turn();
    this.#busy += 1;
    try {
      const kept = this.#free.pop();
      if (kept !== undefined) {
        const result = await this.#ask(kept, question, read).catch((error: unknown) => {
          if (error instanceof BrokeBeforeAnswer) return undefined;
          throw error;
        });
        if (result !== undefined) return result.answer;
      }
      const socket = connect(this.#options.address.options);
      socket.setNoDelay();
      const made = { socket, madeAt: performance.now(), idle: undefined, used: false };
      return (await this.#ask(made, question, read)).answer;
    } finally {
      this.#busy -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    const { timeoutMs } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#waiting.splice(this.#waiting.indexOf(resolve), 1);
      reject(new Error(`all ${CONNECTIONS} connections were busy for ${timeoutMs / 1000} s`));
    }, timeoutMs);
    this.#waiting.push(resolve);
    await promise;
    clearTimeout(timer);
  }

  async #ask<T>(
    connection: Connection,
    question: Buffer,
    read: ReadAnswer<T>,
  ): Promise<{ readonly answer: T }> {
    const { socket } = connection;
    const { timeoutMs, answerLimit } = this.#options;
    clearTimeout(connection.idle);
    socket.ref();
    let bytes = Buffer.alloc(0);
    try {
      const answer = await new Promise<T>((resolve, reject) => {
        const broke = (why: string): void =>
          reject(connection.used && bytes.length === 0 ? new BrokeBeforeAnswer(why) : new Error(why));
        const timer = setTimeout(
          () => reject(new Error(`no answer within ${timeoutMs / 1000} s`)),
          timeoutMs,
        );
        socket.on('close', () => {
          clearTimeout(timer);
          broke('the server closed the connection');
        });
        socket.on('error', (error) => broke(error.message || String((error as NodeJS.ErrnoException).code)));
        socket.on('data', (chunk) => {
          bytes = Buffer.concat([bytes, chunk]);
          try {
            const whole = read(bytes);
            if (bytes.length > answerLimit) throw new Error(`the answer is longer than ${answerLimit} bytes`);
            if (whole === undefined) return;
            if (whole.length !== bytes.length) throw new Error('the server says more than it was asked');
            clearTimeout(timer);
            resolve(whole.answer);
          } catch (error) {
            clearTimeout(timer);
            reject(error as Error);
          }
        });
        socket.write(question);
      });
      this.#keep(connection);
      return { answer };
    } catch (error) {
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.destroy();
      throw error;
    }
  }

  #keep(connection: Connection): void {
    const { socket } = connection;
    const { idleMs, ageMs } = this.#options;
    connection.used = true;
    socket.removeAllListeners();
    const drop = (): void => {
      clearTimeout(connection.idle);
      const index = this.#free.indexOf(connection);
      if (index >= 0) this.#free.splice(index, 1);
      socket.destroy();
    };
    socket.on('error', drop).on('close', drop);
    // What comes unasked would be taken for the next answer.
    socket.on('data', drop);
    if (performance.now() - connection.madeAt >= ageMs) {
      drop();
      return;
    }
    // A program may end while connections wait.
    socket.unref();
    connection.idle = setTimeout(drop, idleMs).unref();
    this.#free.push(connection);
  }
}

class BrokeBeforeAnswer extends Error {
  readonly code = 'BROKE_BEFORE_ANSWER';
}
