/**
 * One connection seen from the server: lines and message contents in, replies out.
 *
 * Replies are gathered and leave in one write when the server has nothing more to read, as a real server
 * answers a pipelined group of commands (RFC 2920 section 3.2); that also keeps a benchmark from measuring this server.
 * The end of the input is `undefined`, never an exception: peers of a mail client see broken connections all day.
 */
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, type SecureContextOptions, TLSSocket } from 'node:tls';

/** Certificate and key of makeCertificates; `requestCert` asks the client for one of `ca`. */
export type TlsOptions = SecureContextOptions & { readonly requestCert?: boolean };

/** One context for all connections of a server: it holds the keys of its session tickets, so that clients may resume. */
const contexts = new WeakMap<TlsOptions, SecureContext>();

function contextOf(options: TlsOptions): SecureContext {
  const context = contexts.get(options) ?? createSecureContext(options);
  contexts.set(options, context);
  return context;
}

const END_OF_CONTENT = Buffer.from('\r\n.\r\n');
const STUFFED_DOT = Buffer.from('\r\n..');

export interface Wire {
  /** The next line without its CRLF (a bare LF ends a line too), or undefined when the client is gone. */
  readLine(): Promise<string | undefined>;
  /** The content up to the final dot, dot-stuffing removed; undefined when the client left before the dot. */
  readContent(): Promise<Buffer | undefined>;
  /** Queues bytes; they leave at the next read, flush or end. */
  write(data: string | Uint8Array): void;
  flush(): void;
  /** Sends what is queued and closes (FIN). */
  end(): void;
  /** Closes at once (RST), dropping what is queued. */
  reset(): void;
  /** Takes the TLS handshake as the server; what the client sent before it is dropped (RFC 3207 section 4.2). */
  startTls(options: TlsOptions): Promise<TLSSocket>;
  /** True once the client closed or the connection broke. */
  readonly ended: boolean;
}

/**
 * With `rounds`, what the client sends is kept there as it came (after decryption, a char for each byte): a new entry begins when
 * the server had nothing left to read and waited for a line, so that commands of one entry were sent without waiting for replies.
 */
export function openWire(socket: Socket, rounds?: string[]): Wire {
  let stream: Socket = socket;
  let input: Buffer = Buffer.alloc(0);
  let output: (string | Uint8Array)[] = [];
  let ended = false;
  let wake: (() => void) | undefined;
  let roundIsOver = true;

  function record(chunk: Buffer): void {
    if (rounds === undefined) return;
    const text = chunk.toString('latin1');
    if (roundIsOver) rounds.push(text);
    else rounds.push((rounds.pop() ?? '') + text);
    roundIsOver = false;
  }
  function stir(): void {
    wake?.();
    wake = undefined;
  }
  function onData(chunk: Buffer): void {
    record(chunk);
    input = input.length === 0 ? chunk : Buffer.concat([input, chunk]);
    stir();
  }
  function onEnd(): void {
    ended = true;
    stir();
  }
  function attach(to: Socket): void {
    stream = to;
    to.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onEnd);
  }
  function flush(): void {
    if (output.length === 0) return;
    const pending = output;
    output = [];
    if (!stream.writable) return;
    stream.write(Buffer.concat(pending.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))));
  }
  async function more(): Promise<boolean> {
    flush();
    if (ended) return false;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    return true;
  }

  socket.setNoDelay(true);
  attach(socket);

  return {
    get ended() {
      return ended;
    },
    async readLine() {
      let from = 0;
      while (true) {
        const at = input.indexOf(10, from);
        if (at !== -1) {
          const end = at > 0 && input[at - 1] === 13 ? at - 1 : at;
          const line = input.toString('utf8', 0, end);
          input = input.subarray(at + 1);
          return line;
        }
        from = input.length;
        // The rest of a line that came in pieces belongs to its beginning.
        roundIsOver ||= from === 0;
        if (!(await more())) return undefined;
      }
    },
    async readContent() {
      const chunks: Buffer[] = [];
      // A content whose first line is the dot has no CRLF of its own before it.
      let text: Buffer = Buffer.concat([Buffer.from('\r\n'), input]);
      input = Buffer.alloc(0);
      while (true) {
        const at = text.indexOf(END_OF_CONTENT);
        if (at !== -1) {
          chunks.push(text.subarray(0, at + 2));
          input = text.subarray(at + END_OF_CONTENT.length);
          return unstuff(Buffer.concat(chunks).subarray(2));
        }
        // The last four bytes may be the beginning of the end.
        const keep = Math.max(0, text.length - END_OF_CONTENT.length + 1);
        chunks.push(text.subarray(0, keep));
        if (!(await more())) return undefined;
        text = Buffer.concat([text.subarray(keep), input]);
        input = Buffer.alloc(0);
      }
    },
    write(data) {
      output.push(data);
    },
    flush,
    end() {
      flush();
      stream.end();
    },
    reset() {
      output = [];
      socket.resetAndDestroy();
      ended = true;
      stir();
    },
    async startTls(options) {
      flush();
      socket.removeListener('data', onData);
      socket.removeListener('end', onEnd);
      input = Buffer.alloc(0);
      const secure = new TLSSocket(socket, {
        secureContext: contextOf(options),
        isServer: true,
        rejectUnauthorized: false,
        ...(options.requestCert === undefined ? {} : { requestCert: options.requestCert }),
      });
      await new Promise<void>((resolve, reject) => {
        secure.once('secure', resolve);
        secure.once('error', reject);
        secure.once('close', () => reject(new Error('the client left during the TLS handshake')));
      });
      attach(secure);
      return secure;
    },
  };
}

function unstuff(content: Buffer): Buffer {
  let at = content[0] === 46 ? 0 : -1;
  if (at === -1) {
    const found = content.indexOf(STUFFED_DOT);
    if (found === -1) return content;
    at = found + 2;
  }
  const parts: Buffer[] = [];
  let from = 0;
  while (at !== -1) {
    parts.push(content.subarray(from, at));
    from = at + 1;
    const found = content.indexOf(STUFFED_DOT, from);
    at = found === -1 ? -1 : found + 2;
  }
  parts.push(content.subarray(from));
  return Buffer.concat(parts);
}
