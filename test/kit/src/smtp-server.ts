/**
 * A receiving SMTP or LMTP server for tests, the demo and benchmarks: on an ephemeral loopback port or a UNIX-domain
 * socket, correct and fast unless hooks or a dialogue script say otherwise, with everything received kept for the test.
 */
import { createServer, type Socket } from 'node:net';
import { runDialogue } from './dialogue.ts';
import {
  type Hooks,
  type ReceivedMessage,
  runSession,
  type ServerMechanism,
  type SmtpSession,
} from './smtp-session.ts';
import { waitFor } from './wait.ts';
import { openWire, type TlsOptions } from './wire.ts';

const DEFAULT_KEYWORDS = [
  'PIPELINING',
  'SIZE 52428800',
  '8BITMIME',
  'ENHANCEDSTATUSCODES',
  'DSN',
  'SMTPUTF8',
];

export interface SmtpServerOptions {
  readonly protocol?: 'smtp' | 'lmtp';
  /** Default 127.0.0.1. Other 127.x.y.z addresses with the same port make several hosts of one MX list. */
  readonly host?: string;
  /** Default 0: an ephemeral port. */
  readonly port?: number;
  /** Path of a UNIX-domain socket, in place of host and port. */
  readonly path?: string;
  /** Name in greeting and EHLO reply. Default `sink.test`. */
  readonly hostname?: string;
  /** EHLO keywords. Default PIPELINING, SIZE, 8BITMIME, ENHANCEDSTATUSCODES, DSN, SMTPUTF8. STARTTLS follows from `tls`. */
  readonly keywords?: readonly string[];
  readonly hooks?: Hooks;
  /** Certificate and key (see makeCertificates): offers STARTTLS. */
  readonly tls?: TlsOptions;
  /** Speak TLS from the first byte. */
  readonly tlsWrapper?: boolean;
  /** user -> password for AUTH PLAIN and LOGIN; announce it with a keyword. */
  readonly users?: Readonly<Record<string, string>>;
  /** Further AUTH mechanisms by name; a user that they let in must be one of `users`. */
  readonly mechanisms?: Readonly<Record<string, ServerMechanism>>;
  /** One dialogue for each connection in turn, the last one for all further ones. Excludes hooks. */
  readonly scripts?: readonly (readonly string[])[];
  /** Default true; false keeps sizes only, for large runs. */
  readonly keepContent?: boolean;
  /** Default true; false counts messages and calls `onMessage`, but keeps none. */
  readonly keepMessages?: boolean;
  /** Keeps every byte of the clients in `SmtpSession.rounds`. */
  readonly record?: boolean;
  readonly onMessage?: (message: ReceivedMessage) => void;
}

export interface SmtpServer {
  readonly host: string;
  /** 0 for a UNIX-domain socket. */
  readonly port: number;
  readonly path: string;
  readonly messages: readonly ReceivedMessage[];
  /** Messages so far, kept or not. */
  readonly messageCount: number;
  readonly sessions: readonly SmtpSession[];
  /** Contents taken by dialogue scripts. */
  readonly contents: readonly Buffer[];
  readonly connections: { readonly open: number; readonly peak: number; readonly total: number };
  /** May be changed while the server runs. */
  hooks: Hooks;
  /** Resolves with all messages once there are at least `count`. */
  waitForMessages(count: number, timeoutMs?: number): Promise<readonly ReceivedMessage[]>;
  /** Resolves when as many dialogues as there are scripts have ended; rejects with what went otherwise. */
  dialogueDone(timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startSmtpServer(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const messages: ReceivedMessage[] = [];
  const sessions: SmtpSession[] = [];
  const contents: Buffer[] = [];
  const problems: string[] = [];
  const sockets = new Set<Socket>();
  let messageCount = 0;
  let dialoguesEnded = 0;
  let peak = 0;
  let hooks = options.hooks ?? {};

  function received(message: ReceivedMessage): void {
    messageCount += 1;
    if (options.keepMessages !== false) messages.push(message);
    options.onMessage?.(message);
  }

  async function serve(socket: Socket): Promise<void> {
    const number = sessions.length + 1;
    const session: SmtpSession = {
      number,
      remoteAddress: socket.remoteAddress ?? '',
      commands: [],
      rounds: [],
      helo: '',
      tls: undefined,
      user: undefined,
      messages: 0,
      ended: false,
    };
    sessions.push(session);
    const wire = openWire(socket, options.record === true ? session.rounds : undefined);
    try {
      const script = options.scripts?.[Math.min(number, options.scripts.length) - 1];
      if (script !== undefined) {
        const result = await runDialogue(wire, script, options.tls);
        contents.push(...result.contents);
        if (result.problem !== undefined) problems.push(`connection ${number}, ${result.problem}`);
      } else {
        await runSession(wire, session, {
          protocol: options.protocol ?? 'smtp',
          hostname: options.hostname ?? 'sink.test',
          keywords: options.keywords ?? DEFAULT_KEYWORDS,
          hooks: hooks,
          tlsWrapper: options.tlsWrapper ?? false,
          users: options.users ?? {},
          mechanisms: options.mechanisms ?? {},
          keepContent: options.keepContent ?? true,
          received,
          ...(options.tls === undefined ? {} : { tls: options.tls }),
        });
      }
    } catch (error) {
      // A failed TLS handshake, or a hook that threw: the test sees it in dialogueDone or in its client.
      problems.push(`connection ${number}: ${String(error)}`);
      socket.destroy();
    } finally {
      session.ended = true;
      dialoguesEnded += 1;
      if (!wire.ended) wire.end();
    }
  }

  const server = createServer((socket) => {
    sockets.add(socket);
    peak = Math.max(peak, sockets.size);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    void serve(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (options.path !== undefined) server.listen(options.path, resolve);
    else
      server.listen({ port: options.port ?? 0, host: options.host ?? '127.0.0.1', backlog: 4096 }, resolve);
  });
  const address = server.address();
  const port = address === null || typeof address === 'string' ? 0 : address.port;

  async function close(): Promise<void> {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  return {
    host: options.host ?? '127.0.0.1',
    port,
    path: options.path ?? '',
    messages,
    sessions,
    contents,
    get messageCount() {
      return messageCount;
    },
    get connections() {
      return { open: sockets.size, peak, total: sessions.length };
    },
    get hooks() {
      return hooks;
    },
    set hooks(value: Hooks) {
      hooks = value;
    },
    async waitForMessages(count, timeoutMs = 5000) {
      try {
        await waitFor(() => messageCount >= count, timeoutMs);
      } catch {
        throw new Error(`expected ${count} messages within ${timeoutMs} ms, ${messageCount} arrived`);
      }
      return messages;
    },
    async dialogueDone(timeoutMs = 5000) {
      const wanted = options.scripts?.length ?? 0;
      await waitFor(
        () => dialoguesEnded >= wanted || problems.length > 0,
        timeoutMs,
        `${wanted} dialogues to end`,
      );
      if (problems.length > 0) throw new Error(problems.join('\n'));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
