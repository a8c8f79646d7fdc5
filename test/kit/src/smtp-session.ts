/**
 * The default behaviour of the test server: one SMTP (RFC 5321) or LMTP (RFC 2033) session, with a hook before each
 * reply. A hook that returns nothing leaves the correct reply in place, so that a test writes only what it is about.
 */
import type { TLSSocket } from 'node:tls';
import type { TlsOptions, Wire } from './wire.ts';

export type Stage =
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'dot'
  | 'rset'
  | 'quit'
  | 'other';

/**
 * What a hook may answer. A string is the reply (newlines make a multi-line reply as written: give the `250-` yourself).
 * Fields of an object happen in this order: delay, raw bytes in place of the reply or the reply, close or reset.
 * `silent` sends nothing and goes on reading; `raw: ''` likewise.
 */
export type Action =
  | string
  | {
      readonly delayMs?: number;
      readonly reply?: string;
      readonly raw?: string | Uint8Array;
      readonly silent?: true;
      readonly close?: true;
      readonly reset?: true;
    };

export interface HookInfo {
  readonly session: SmtpSession;
  /** The command line as received; empty for the greeting and the final dot. */
  readonly line: string;
  /** For rcpt: the address. For dot on LMTP: the recipient whose reply is due. */
  readonly recipient?: string;
  /** For dot: the content. */
  readonly content?: Buffer;
}

type HookAnswer = Action | undefined | Promise<Action | undefined>;
// `void` too, so that a hook may be written for its side effect alone.
// biome-ignore lint/suspicious/noConfusingVoidType: see above
export type Hook = (info: HookInfo) => HookAnswer | void;
export type Hooks = { readonly [S in Stage]?: Hook | Action };

export interface ReceivedRecipient {
  readonly address: string;
  /** ESMTP parameters, names in upper case; a parameter without `=` has the value ''. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface ReceivedMessage {
  readonly sender: string;
  readonly mailParameters: Readonly<Record<string, string>>;
  /** Addresses of the accepted recipients, in order. */
  readonly recipients: readonly string[];
  readonly rcpt: readonly ReceivedRecipient[];
  /** Dot-stuffing removed, CRLF line ends as received. Empty when the server does not keep contents. */
  readonly raw: Buffer;
  readonly sizeBytes: number;
  /** Number of the session that brought it, from 1. */
  readonly session: number;
  readonly tls: boolean;
  readonly user?: string;
}

export interface SmtpSession {
  readonly number: number;
  readonly remoteAddress: string;
  /** Every command line, in order; contents and AUTH responses left out. */
  readonly commands: string[];
  /** All that the client sent, contents included, an entry for each time that it waited for replies; only with `record`. */
  readonly rounds: string[];
  helo: string;
  /** `resumed`: by a ticket of an earlier connection. */
  tls: { protocol: string; cipher: string; servername: string; resumed: boolean } | undefined;
  user: string | undefined;
  messages: number;
  ended: boolean;
}

/** The server's side of a SASL exchange (RFC 4954), Base64 removed. */
interface ServerExchange {
  readonly initial: Buffer | undefined;
  /** Sends a challenge; the client's response. */
  ask(challenge: Buffer): Promise<Buffer>;
  /** Undefined in clear. */
  readonly tls: TLSSocket | undefined;
}

/** Resolves with the user who logged in, undefined for nobody. */
export type ServerMechanism = (exchange: ServerExchange) => Promise<string | undefined>;

export interface SessionOptions {
  readonly protocol: 'smtp' | 'lmtp';
  readonly hostname: string;
  /** EHLO keywords with their arguments; STARTTLS is added when `tls` is given. */
  readonly keywords: readonly string[];
  readonly hooks: Hooks;
  readonly tls?: TlsOptions;
  readonly tlsWrapper: boolean;
  readonly users: Readonly<Record<string, string>>;
  /** AUTH mechanisms by name, besides PLAIN and LOGIN. */
  readonly mechanisms: Readonly<Record<string, ServerMechanism>>;
  readonly keepContent: boolean;
  received(message: ReceivedMessage): void;
}

/** Runs one session until the client or a hook ends it. */
export async function runSession(wire: Wire, session: SmtpSession, options: SessionOptions): Promise<void> {
  let sender: { address: string; parameters: Record<string, string> } | undefined;
  let rcpt: ReceivedRecipient[] = [];
  let closed = false;
  let secured: TLSSocket | undefined;

  async function answer(stage: Stage, info: Omit<HookInfo, 'session'>, regular: string): Promise<string> {
    const hook = options.hooks[stage];
    const result = typeof hook === 'function' ? await hook({ ...info, session }) : hook;
    const action = typeof result === 'string' ? { reply: result } : (result ?? { reply: regular });
    if (action.delayMs !== undefined) {
      wire.flush();
      await new Promise((resolve) => setTimeout(resolve, action.delayMs));
    }
    const reply = action.reply ?? regular;
    if (action.raw !== undefined) wire.write(action.raw);
    else if (action.reset || action.silent || (action.close && action.reply === undefined)) {
      // Nothing to say.
    } else wire.write(`${reply.replace(/\r?\n/g, '\r\n')}\r\n`);
    if (action.reset) wire.reset();
    else if (action.close) wire.end();
    closed ||= action.reset === true || action.close === true;
    return action.raw === undefined && !action.silent ? reply : '';
  }

  function startTransactionAnew(): void {
    sender = undefined;
    rcpt = [];
  }

  async function secure(): Promise<void> {
    if (options.tls === undefined) return;
    const socket = await wire.startTls(options.tls);
    secured = socket;
    session.tls = {
      protocol: socket.getProtocol() ?? '',
      cipher: socket.getCipher().name,
      servername: String((socket as { servername?: string | false }).servername || ''),
      resumed: socket.isSessionReused(),
    };
    session.helo = '';
    startTransactionAnew();
  }

  async function authenticate(line: string): Promise<void> {
    const [, mechanism = '', initial] = line.split(' ');
    const ask = async (challenge: string): Promise<string> => {
      wire.write(`334 ${challenge}\r\n`);
      return Buffer.from((await wire.readLine()) ?? '', 'base64').toString();
    };
    const first = initial === undefined ? undefined : Buffer.from(initial, 'base64').toString();
    let user = '';
    let password: string | undefined;
    const own = options.mechanisms[mechanism.toUpperCase()];
    if (own !== undefined) {
      const known = await own({
        initial: initial === undefined ? undefined : Buffer.from(initial, 'base64'),
        ask: async (challenge) => {
          wire.write(`334 ${challenge.toString('base64')}\r\n`);
          return Buffer.from((await wire.readLine()) ?? '', 'base64');
        },
        tls: secured,
      });
      user = known ?? '';
      password = known === undefined ? undefined : options.users[user];
    } else if (mechanism.toUpperCase() === 'PLAIN') {
      [, user = '', password] = (first ?? (await ask(''))).split('\0');
    } else if (mechanism.toUpperCase() === 'LOGIN') {
      user = first ?? (await ask('VXNlcm5hbWU6'));
      password = await ask('UGFzc3dvcmQ6');
    }
    const good = password !== undefined && options.users[user] === password;
    const reply = await answer(
      'auth',
      { line },
      good ? '235 2.7.0 Authentication successful' : '535 5.7.8 Authentication failed',
    );
    if (reply.startsWith('2')) session.user = user;
  }

  async function takeContent(): Promise<void> {
    const started = await answer('data', { line: 'DATA' }, '354 End data with <CR><LF>.<CR><LF>');
    if (!started.startsWith('3') || closed) return;
    const content = await wire.readContent();
    if (content === undefined || sender === undefined) return;
    const recipients = rcpt.map((recipient) => recipient.address);
    const replies: string[] = [];
    const due = options.protocol === 'lmtp' ? recipients : [undefined];
    for (const recipient of due) {
      if (closed) break;
      const info = { line: '', content, ...(recipient === undefined ? {} : { recipient }) };
      replies.push(
        await answer('dot', info, `250 2.0.0 Ok: queued as ${session.number}-${session.messages}`),
      );
    }
    const accepted = rcpt.filter((_, i) => replies[options.protocol === 'lmtp' ? i : 0]?.startsWith('2'));
    if (accepted.length > 0) {
      session.messages += 1;
      options.received({
        sender: sender.address,
        mailParameters: sender.parameters,
        recipients: accepted.map((recipient) => recipient.address),
        rcpt: accepted,
        raw: options.keepContent ? content : Buffer.alloc(0),
        sizeBytes: content.length,
        session: session.number,
        tls: session.tls !== undefined,
        ...(session.user === undefined ? {} : { user: session.user }),
      });
    }
    startTransactionAnew();
  }

  if (options.tlsWrapper) await secure();
  await answer('greeting', { line: '' }, `220 ${options.hostname} ESMTP`);
  while (!closed) {
    const line = await wire.readLine();
    if (line === undefined) return;
    session.commands.push(line);
    const verb = (line.split(' ', 1)[0] ?? '').toUpperCase();
    switch (verb) {
      case 'EHLO':
      case 'LHLO':
      case 'HELO': {
        session.helo = line.slice(5);
        startTransactionAnew();
        const keywords = [...options.keywords];
        if (options.tls !== undefined && session.tls === undefined) keywords.push('STARTTLS');
        const lines = verb === 'HELO' ? [options.hostname] : [options.hostname, ...keywords];
        const known = (verb === 'LHLO') === (options.protocol === 'lmtp');
        const text = lines.map((text, i) => `250${i === lines.length - 1 ? ' ' : '-'}${text}`).join('\r\n');
        await answer('ehlo', { line }, known ? text : '500 5.5.1 Error: wrong protocol');
        break;
      }
      case 'STARTTLS': {
        const reply = await answer(
          'starttls',
          { line },
          options.tls === undefined ? '502 5.5.1 Error: not implemented' : '220 2.0.0 Ready to start TLS',
        );
        if (reply.startsWith('220') && !closed) await secure();
        break;
      }
      case 'AUTH':
        await authenticate(line);
        break;
      case 'MAIL': {
        const parsed = parsePath(line);
        const reply = await answer(
          'mail',
          { line },
          parsed ? '250 2.1.0 Ok' : '501 5.5.4 Syntax: MAIL FROM:<address>',
        );
        if (reply.startsWith('2') && parsed) sender = parsed;
        break;
      }
      case 'RCPT': {
        const parsed = parsePath(line);
        const regular =
          sender === undefined
            ? '503 5.5.1 Error: need MAIL command'
            : parsed
              ? '250 2.1.5 Ok'
              : '501 5.5.4 Syntax: RCPT TO:<address>';
        const reply = await answer('rcpt', { line, recipient: parsed?.address ?? '' }, regular);
        if (reply.startsWith('2') && parsed) rcpt.push(parsed);
        break;
      }
      case 'DATA':
        if (sender === undefined || rcpt.length === 0) {
          await answer('data', { line }, '554 5.5.1 Error: no valid recipients');
        } else {
          await takeContent();
        }
        break;
      case 'RSET':
        startTransactionAnew();
        await answer('rset', { line }, '250 2.0.0 Ok');
        break;
      case 'QUIT':
        await answer('quit', { line }, '221 2.0.0 Bye');
        wire.end();
        return;
      case 'NOOP':
      case 'XFORWARD':
      case 'XCLIENT':
        await answer('other', { line }, '250 2.0.0 Ok');
        break;
      default:
        await answer('other', { line }, '502 5.5.2 Error: command not recognized');
    }
  }
}

/** `MAIL FROM:<address> KEY=value …`; undefined when the path is missing. A quoted local part may hold `>` and blanks. */
function parsePath(line: string): (ReceivedRecipient & { parameters: Record<string, string> }) | undefined {
  const match = /^[A-Z]+ [A-Z]+: ?<((?:"(?:[^"\\]|\\.)*"|[^>"])*)>(.*)$/is.exec(line);
  if (match === null) return undefined;
  const parameters: Record<string, string> = {};
  for (const word of (match[2] ?? '').split(' ')) {
    if (word === '') continue;
    const at = word.indexOf('=');
    if (at === -1) parameters[word.toUpperCase()] = '';
    else parameters[word.slice(0, at).toUpperCase()] = word.slice(at + 1);
  }
  return { address: match[1] ?? '', parameters };
}
