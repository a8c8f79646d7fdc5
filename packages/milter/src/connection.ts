/** One connection to a milter: packets out and in, each with a time limit. Whatever goes wrong rejects, and the connection is closed then. */
import { connect, type Socket } from 'node:net';
import type { SocketAddress } from '@mailfleet/lookup';
import { firstPacket } from './codec.ts';

export class MilterConnection implements Disposable {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  #bytes: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  /** @param timeoutMs for the connection to be made */
  static async open(address: SocketAddress, timeoutMs: number): Promise<MilterConnection> {
    const socket = connect(address.options);
    // Errors are told to whoever waits.
    socket.setNoDelay().on('error', () => {});
    const connected = new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    await within(socket, timeoutMs, 'no connection', connected);
    return new MilterConnection(socket);
  }

  /** Resolves when the system has taken the bytes: a milter that does not read holds its sender up. */
  async send(bytes: Buffer, timeoutMs: number): Promise<void> {
    const written = new Promise<void>((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
    await within(this.#socket, timeoutMs, 'nothing was taken', written);
  }

  /** The next packet: its letter and data. */
  async receive(timeoutMs: number): Promise<Buffer> {
    return within(this.#socket, timeoutMs, 'no answer', this.#nextPacket());
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  /** Says goodbye; the milter closes the connection or we do. */
  async quit(goodbye: Buffer, timeoutMs: number): Promise<void> {
    await this.send(goodbye, timeoutMs);
    this.#socket.end();
  }

  async #nextPacket(): Promise<Buffer> {
    for (;;) {
      const found = firstPacket(this.#bytes);
      if (found !== undefined) {
        this.#bytes = this.#bytes.subarray(4 + found.length);
        return found;
      }
      const next = await this.#chunks.next();
      if (next.done === true) throw new Error('closed the connection');
      this.#bytes = Buffer.concat([this.#bytes, next.value]);
    }
  }
}

async function within<T>(socket: Socket, timeoutMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    work.catch(() => {});
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
