/**
 * One connection to a server: writes commands and content, reads replies, and never waits without a time limit.
 *
 * Time limits are those of Postfix: they hold for each single read or write, so a reply that trickles in renews its
 * own; with `perRequestDeadline` a limit covers the whole wait. One timer per connection serves all waits, and
 * a wait whose answer is already there costs neither a timer nor a promise.
 *
 * Failures are values: `lost` (end of stream, reset, broken pipe) and `timeout`. After either one the
 * connection is dead, and only `destroy` is left to call. Replies that came before the failure are still handed out.
 */
import type { Socket } from 'node:net';
import { connect as connectTls, TLSSocket, type ConnectionOptions as TlsOptions } from 'node:tls';
import type { DialogueObserver } from '@mailfleet/telemetry';
import { type Reply, ReplyParser, type ReplyParserOptions } from './reply.ts';

/** `data-error`: a table of ours that every reply line must pass could not be asked. */
export type IoFailure = 'lost' | 'timeout' | 'data-error';

export interface ConnectionLimits extends Omit<ReplyParserOptions, 'filter'> {
  readonly perRequestDeadline: boolean;
  /** `smtp_min_data_rate`, bytes per second of content that extend a deadline. */
  readonly minDataRate: number;
}

export interface ConnectionOptions extends ConnectionLimits, Pick<ReplyParserOptions, 'filter'> {
  /** Milliseconds of a clock that never jumps. */
  readonly steadyNow: () => number;
  /** See the dialogue as it goes: commands and replies, no content. */
  readonly observers?: readonly DialogueObserver[];
}

/** What the connection noticed besides replies. */
export interface ConnectionListener {
  onLongLine(head: string): void;
  onGarbage(line: string): void;
  onReplaced(line: string, replacement: string): void;
  onDataError(why: string): void;
}

/** How long a closed connection may take to say goodbye before it is cut. */
const LINGER_MS = 2_000;
/** Unread replies that make us stop reading: no honest server is this far ahead. */
const MAX_UNREAD_REPLIES = 5_000;

export class Connection {
  #socket: Socket;
  readonly #parser: ReplyParser;
  readonly #limits: ConnectionOptions;
  readonly #replies: Reply[] = [];
  #next = 0;
  #failure: IoFailure | undefined;
  #closing = false;
  #error: NodeJS.ErrnoException | undefined;
  #wake: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerDue = 0;
  #deadline = Number.POSITIVE_INFINITY;
  #timeoutMs = 0;
  #lastIo: number;
  /** While content is on its way: how many bytes had left at the last look. */
  #sentBytes: number | undefined;

  constructor(socket: Socket, limits: ConnectionOptions, listener: ConnectionListener) {
    this.#socket = socket;
    this.#limits = limits;
    this.#lastIo = limits.steadyNow();
    this.#parser = new ReplyParser(
      {
        onReply: (reply) => {
          this.#replies.push(reply);
          for (const observer of limits.observers ?? []) observer.received(reply.text);
          this.#rouse();
          if (this.#replies.length - this.#next > MAX_UNREAD_REPLIES) this.#fail('lost');
        },
        onLongLine: (head) => listener.onLongLine(head),
        onGarbage: (line) => listener.onGarbage(line),
        onReplaced: (line, replacement) => listener.onReplaced(line, replacement),
        onDataError: (why) => {
          listener.onDataError(why);
          this.#fail('data-error');
        },
        onFlood: () => this.#fail('lost'),
      },
      limits,
    );
    this.#listen(socket);
  }

  /** The server announced that it closes (421, RFC 5321 section 3.8), whether it did or not. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Set once the connection is dead. */
  get failure(): IoFailure | undefined {
    return this.#failure;
  }

  /** The socket's own error, when there was one. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Undefined in clear. */
  get tlsSocket(): TLSSocket | undefined {
    return this.#socket instanceof TLSSocket ? this.#socket : undefined;
  }

  /** Milliseconds since bytes last moved in either direction. */
  get idleMs(): number {
    return this.#limits.steadyNow() - this.#lastIo;
  }

  /** Replies that came and were not taken. */
  get unread(): number {
    return this.#replies.length - this.#next;
  }

  /** Nothing came and nothing happened that was not asked for. */
  get calm(): boolean {
    return this.#failure === undefined && this.unread === 0;
  }

  /** Waits without limit until an idle server says something or goes; a later read puts an end to it. */
  async stirred(): Promise<void> {
    this.#arm(0);
    if (this.calm) await this.#sleep();
  }

  /** @param shown the commands in it, for observers: a string is commands, bytes are content unless this says otherwise */
  write(data: string | Buffer, shown = typeof data === 'string' ? data : ''): void {
    if (this.#failure !== undefined) return;
    if (shown !== '') for (const observer of this.#limits.observers ?? []) observer.sent(shown);
    this.#lastIo = this.#limits.steadyNow();
    this.#socket.write(data, this.#onWritten);
  }

  /** The next reply if it is here already. */
  takeReply(): Reply | undefined {
    const reply = this.#replies[this.#next];
    if (reply === undefined) return undefined;
    if (reply.code === 421) this.#closing = true;
    this.#next++;
    if (this.#next === this.#replies.length) {
      this.#replies.length = 0;
      this.#next = 0;
    }
    return reply;
  }

  /** The next reply, or why there will be none; `timeoutMs` 0 waits for ever. */
  async readReply(timeoutMs: number): Promise<Reply | IoFailure> {
    this.#sentBytes = undefined;
    this.#arm(timeoutMs);
    for (;;) {
      const reply = this.takeReply();
      if (reply !== undefined) return reply;
      if (this.#failure !== undefined) return this.#failure;
      await this.#sleep();
    }
  }

  /** Waits until all that was written has left this process; undefined when it has. */
  async drained(timeoutMs: number): Promise<IoFailure | undefined> {
    if (!this.#limits.perRequestDeadline || this.#sentBytes === undefined) this.#arm(timeoutMs);
    let sent = this.#bytesGone();
    this.#extendDeadline(timeoutMs, sent);
    while (this.#failure === undefined && this.#socket.writableLength > 0) {
      await this.#sleep();
      const now = this.#bytesGone();
      if (now > sent) {
        if (this.#limits.perRequestDeadline) this.#extendDeadline(timeoutMs, now);
        else this.#arm(timeoutMs);
      }
      sent = now;
    }
    return this.#failure;
  }

  /** Bytes that the system has taken. */
  #bytesGone(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  /** One deadline for the whole content: every `minDataRate` bytes give back a second, never beyond the limit. */
  #extendDeadline(timeoutMs: number, sent: number): void {
    if (!this.#limits.perRequestDeadline || timeoutMs <= 0) return;
    const earnedMs = (1000 * (sent - (this.#sentBytes ?? sent))) / this.#limits.minDataRate;
    this.#sentBytes = sent;
    this.#deadline = Math.min(performance.now() + timeoutMs, this.#deadline + earnedMs);
  }

  /** Bytes written that the system has not taken yet. */
  get backlog(): number {
    return this.#socket.writableLength;
  }

  /**
   * Starts TLS on the open connection; whatever the server sent in clear after its last taken reply is dropped.
   * @param onSession called for each session that could be resumed, also later
   */
  async startTls(
    options: TlsOptions,
    timeoutMs: number,
    onSession?: (session: Buffer) => void,
  ): Promise<TLSSocket | IoFailure | Error> {
    const plain = this.#socket;
    this.#ignore(plain);
    plain.pause();
    this.#parser.reset();
    this.#replies.length = 0;
    this.#next = 0;
    return await new Promise((resolve) => {
      const secure = connectTls({ ...options, socket: plain });
      if (onSession !== undefined) secure.on('session', onSession);
      const timer = timeoutMs > 0 ? setTimeout(() => end('timeout'), timeoutMs) : undefined;
      const onSecure = (): void => end(secure);
      const onError = (error: Error): void => end(error);
      const onClose = (): void => end('lost');
      const end = (result: TLSSocket | IoFailure | Error): void => {
        clearTimeout(timer);
        secure.off('secureConnect', onSecure).off('error', onError).off('close', onClose);
        plain.off('error', onError);
        if (result === secure) {
          // The TLS socket reports what happens to the handle now; the plain one must merely not throw.
          plain.on('error', () => undefined);
          this.#socket = secure;
          this.#listen(secure);
        } else {
          this.#failure = result === 'timeout' ? 'timeout' : 'lost';
          for (const socket of [secure, plain]) socket.on('error', () => undefined).destroy();
        }
        resolve(result);
      };
      secure.once('secureConnect', onSecure).once('error', onError).once('close', onClose);
      plain.once('error', onError);
    });
  }

  /** Ends politely: what is written still goes out, and the server has a moment to close its side. */
  close(): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    if (this.#failure !== undefined) {
      socket.destroy();
      return;
    }
    this.#failure = 'lost';
    const linger = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(linger));
    socket.once('end', () => socket.destroy());
    socket.end();
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#failure ??= 'lost';
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('close', this.#onEnd)
      .on('error', this.#onError);
  }

  #ignore(socket: Socket): void {
    socket
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('close', this.#onEnd)
      .off('error', this.#onError);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#failure !== undefined) return;
    this.#lastIo = this.#limits.steadyNow();
    this.#parser.push(chunk);
    if (this.#wake !== undefined && !this.#limits.perRequestDeadline) this.#arm(this.#timeoutMs);
  };

  readonly #onEnd = (): void => this.#parser.whenParsed(() => this.#fail('lost'));

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#error ??= error;
    // The system's own time limit (TCP user timeout, keepalive) reads as a timeout, as in Postfix.
    this.#fail(error.code === 'ETIMEDOUT' ? 'timeout' : 'lost');
  };

  readonly #onWritten = (): void => {
    if (this.#wake !== undefined && this.#socket.writableLength === 0) this.#rouse();
  };

  #fail(failure: IoFailure): void {
    this.#failure ??= failure;
    this.#rouse();
  }

  #rouse(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #sleep(): Promise<void> {
    this.#rouse();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #arm(timeoutMs: number): void {
    this.#timeoutMs = timeoutMs;
    if (timeoutMs <= 0) {
      this.#deadline = Number.POSITIVE_INFINITY;
      return;
    }
    const now = performance.now();
    this.#deadline = now + timeoutMs;
    if (this.#timer !== undefined && this.#timerDue <= this.#deadline) return;
    clearTimeout(this.#timer);
    this.#setTimer(now);
  }

  #setTimer(now: number): void {
    this.#timerDue = this.#deadline;
    this.#timer = setTimeout(this.#onTimer, Math.min(this.#deadline - now + 1, 0x7fff_ffff));
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    if (this.#wake === undefined || this.#deadline === Number.POSITIVE_INFINITY) return;
    const now = performance.now();
    if (now >= this.#deadline) this.#fail('timeout');
    else this.#setTimer(now);
  };
}
