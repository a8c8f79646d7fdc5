/**
 * One SMTP session of the intake: the smtp-server package's connection (framing, EHLO, STARTTLS, AUTH, DATA) with our own
 * MAIL, RCPT and XFORWARD, replies whose text may bring its enhanced status, Postfix's error limit, and no pause before
 * the greeting (the package waits 100 ms for early talkers, which would cost a client that opens a connection per message
 * ten times the time of its mail).
 */
import { protocolName, quoteAddress } from '@mailfleet/mime';
import type { ClientInfo } from '@mailfleet/smtp';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import { domainOf } from './address.ts';
import { enqueue } from './enqueue.ts';
import type { Intake } from './intake.ts';
import { SessionErrors } from './session-errors.ts';
import type { RcptCommand } from './smtp-command.ts';
import { decodeXtext, type MailCommand, parseMail, parseRcpt, type Reply } from './smtp-command.ts';
import type { IntakeSmtpServer } from './smtp-server.ts';

type Permission = 'yes' | 'no' | 'unknown';

const XFORWARD_NAMES = ['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'IDENT', 'SOURCE'];
const UNAVAILABLE = '[UNAVAILABLE]';

export class IntakeConnection extends SMTPConnection {
  readonly #intake: Intake;
  readonly #trusted: boolean;
  #mail: MailCommand | undefined;
  #recipients: RcptCommand[] = [];
  #forwarded = new Map<string, string>();
  #errors = 0;
  #mayXclient = false;
  #mayXforward = false;
  #mayXverp = false;
  #sessionErrors: SessionErrors | undefined;

  constructor(server: IntakeSmtpServer, ...rest: SocketAndOptions) {
    super(server, ...rest);
    // The package takes a half-closed socket for a dead one and keeps its replies.
    const [socket] = rest;
    Object.defineProperty(socket, 'readyState', { get: () => (socket.writable ? 'open' : 'closed') });
    this.#intake = server.intake;
    this.#sessionErrors = SessionErrors.from(server.intake.config);
    this.#trusted = server.trusted;
  }

  /** The transaction or handler that the client waits for; a connection without one may be closed at once. */
  get busy(): boolean {
    return this._handlerPending || Boolean(this._dataStream);
  }

  /** The address that access is decided by: what XCLIENT said, else the socket's; XFORWARD does not count. */
  get clientAddress(): string {
    const claimed = this._xClient.get('ADDR');
    return typeof claimed === 'string' ? claimed : this._originalRemoteAddress;
  }

  override init(): void {
    this._setListeners(() => this.connectionReady());
  }

  /** A client may close its side when it has said all (`printf … | nc`): it gets its replies, then we close ours. */
  override _createParser(): ReturnType<SMTPConnection['_createParser']> {
    const parser = super._createParser();
    parser.on('finish', () => this.close());
    return parser;
  }

  /** Called before the greeting: who this client may be trusted to speak for, and whether it may ask for VERP. */
  authorize(permissions: {
    readonly xclient: boolean;
    readonly xforward: boolean;
    readonly xverp: boolean;
  }): void {
    this.#mayXverp = permissions.xverp;
    this.#mayXclient = permissions.xclient;
    this.#mayXforward = permissions.xforward;
  }

  override _proxyCommandAllowed(command: string): boolean {
    if (this._xClient.has('ADDR')) return false;
    return command === 'XCLIENT' ? this.#mayXclient : this.#mayXforward;
  }

  override _sendGreeting(): void {
    this.send(220, this.#intake.config.get('smtpd_banner'), false);
  }

  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    // The package has no other reply of several lines with this code than the one to EHLO.
    if (code === 250 && Array.isArray(data)) {
      data = [
        ...data,
        ...(this.#mayXverp ? ['XVERP'] : []),
        ...(this.#offersRequireTls ? ['REQUIRETLS'] : []),
      ];
    }
    this.#sessionErrors?.reply(code, Array.isArray(data) ? data : [data ?? '']);
    const complete = typeof data === 'string' && /^[245]\.\d{1,3}\.\d{1,3} /.test(data);
    super.send(code, data, complete ? false : context);
    // A client that names too many recipients (452) sends the rest later and has done nothing wrong.
    if (code < 400 || code === 421 || code === 452) return;
    this.#errors += 1;
    if (this.#errors >= this.#intake.config.get('smtpd_hard_error_limit')) {
      super.send(421, `4.7.0 ${this.name} Error: too many errors`, false);
    }
  }

  /** Only inside TLS, where nobody between us and the client could have taken the request away (RFC 8689 section 4.1). */
  get #offersRequireTls(): boolean {
    return this.secure && this.#intake.config.get('requiretls_enable');
  }

  override _resetSession(): void {
    super._resetSession();
    this.#mail = undefined;
    this.#recipients = [];
    this.#forwarded = new Map();
  }

  override _onCommand(command: Buffer, callback?: () => void): void {
    this.#sessionErrors?.command(command.toString());
    super._onCommand(command, callback);
  }

  override _onClose(): void {
    super._onClose();
    const errors = this.#sessionErrors;
    this.#sessionErrors = undefined;
    const peer = `${loopbackName(this.clientAddress) ?? 'unknown'}[${this.clientAddress}]:${this.remotePort}`;
    errors?.tell(this.#intake.queue, peer).catch((error: unknown) => {
      this.#intake.telemetry.log.info(`no transcript of the session with ${peer}: ${String(error)}`);
    });
  }

  override handler_MAIL(line: Buffer, callback: () => void): void {
    this.emitConnection();
    this.#answer(this.#beginMail(line.toString()));
    callback();
  }

  #beginMail(line: string): Reply {
    if (this.#mail !== undefined) return { code: 503, text: '5.5.1 Error: nested MAIL command' };
    const { config, smtputf8 } = this.#intake;
    const verpRules = {
      defaultDelimiters: config.get('default_verp_delimiters'),
      allowed: config.get('verp_delimiter_filter'),
    };
    const parsed = parseMail(line, {
      smtputf8,
      rules: this.#intake.addressRules,
      requireTls: this.#offersRequireTls,
      verpRules: this.#mayXverp ? verpRules : undefined,
    });
    if (!parsed.ok) return parsed.reply;
    const { command } = parsed;
    const limit = config.get('message_size_limit');
    if (limit > 0 && (command.sizeBytes ?? 0) > limit) {
      return { code: 552, text: `5.3.4 Message size exceeds fixed limit of ${limit} bytes` };
    }
    this.#mail = command;
    this.session.envelope.mailFrom = { address: command.sender, args: false };
    return { code: 250, text: '2.1.0 Ok' };
  }

  override handler_RCPT(line: Buffer, callback: () => void): void {
    this.#addRecipient(line.toString())
      .then(
        (reply) => this.#answer(reply),
        (error: unknown) => {
          this.#intake.telemetry.log.error({ err: error }, 'RCPT could not be decided');
          this.#answer({ code: 451, text: '4.3.0 Temporary lookup failure' });
        },
      )
      .finally(callback);
  }

  async #addRecipient(line: string): Promise<Reply> {
    const mail = this.#mail;
    if (mail === undefined) return { code: 503, text: '5.5.1 Error: need MAIL command' };
    const { config, ownDomains, router } = this.#intake;
    const parsed = parseRcpt(line, this.#intake.addressRules(mail.smtputf8), config.get('myorigin'));
    if (!parsed.ok) return parsed.reply;
    const { recipient } = parsed.command;
    if (this.#recipients.length >= config.get('intake_recipient_limit')) {
      return { code: 452, text: '4.5.3 Error: too many recipients' };
    }
    let permission = await this.#mayRelay();
    if (permission !== 'yes') {
      const own = await ownDomains.match(domainOf(recipient));
      if (own.kind === 'match') permission = 'yes';
      if (own.kind === 'error') permission = 'unknown';
    }
    const shown = `<${quoteAddress(recipient)}>`;
    if (permission === 'unknown') return { code: 451, text: `4.3.0 ${shown}: Temporary lookup failure` };
    if (permission === 'no') return { code: 554, text: `5.7.1 ${shown}: Relay access denied` };
    const route = await router.route(recipient, mail.sender);
    if (route.kind === 'error')
      return { code: 451, text: `${route.status} ${shown}: Temporary lookup failure` };
    if (route.agent === 'error') {
      const [, status = '5.0.0', reason = route.nexthop] =
        /^(5\.\d{1,3}\.\d{1,3}) +(.*)$/s.exec(route.nexthop) ?? [];
      return { code: 550, text: `${status} ${shown}: Recipient address rejected: ${reason}` };
    }
    this.#recipients.push({ orcpt: orcptOf(recipient), ...parsed.command });
    this.session.envelope.rcptTo.push({ address: recipient, args: false });
    return { code: 250, text: '2.1.5 Ok' };
  }

  async #mayRelay(): Promise<Permission> {
    if (this.#trusted || this.session.user) return 'yes';
    const result = await this.#intake.mynetworks.match(this.clientAddress);
    return result.kind === 'match' ? 'yes' : result.kind === 'miss' ? 'no' : 'unknown';
  }

  /** Attributes of the original client (XFORWARD_README): kept for one transaction, and never believed for access. */
  override handler_XFORWARD(line: Buffer, callback: () => void): void {
    this.#answer(this.#forward(line.toString().trim().split(/\s+/).slice(1)));
    callback();
  }

  #forward(words: readonly string[]): Reply {
    if (!this._proxyCommandAllowed('XFORWARD'))
      return { code: 550, text: '5.7.0 Error: insufficient authorization' };
    if (this.#mail !== undefined) return { code: 503, text: '5.5.1 Error: MAIL transaction in progress' };
    const attributes: [string, string][] = [];
    for (const word of words) {
      const equals = word.indexOf('=');
      const name = word.slice(0, Math.max(equals, 0)).toUpperCase();
      const value = decodeXtext(word.slice(equals + 1));
      if (!XFORWARD_NAMES.includes(name) || value === undefined || value.length > 255) {
        return { code: 501, text: '5.5.4 Error: Bad XFORWARD attribute syntax' };
      }
      attributes.push([name, value]);
    }
    if (attributes.length === 0) return { code: 501, text: '5.5.4 Syntax: XFORWARD attribute=value...' };
    for (const [name, value] of attributes) this.#forwarded.set(name, value);
    return { code: 250, text: '2.0.0 Ok' };
  }

  /** Takes in the content; resolves with the reply once the message is durable or refused. */
  async receive(content: AsyncIterable<Uint8Array>): Promise<Reply> {
    const mail = this.#mail;
    if (mail === undefined) return { code: 503, text: '5.5.1 Error: need MAIL command' };
    const { encoding, ret, envid, smtputf8, verp, requireTls } = mail;
    const originalClient = this.#originalClient();
    const tls = this.session.tlsOptions;
    const result = await enqueue(this.#intake, {
      sender: quoteAddress(mail.sender),
      recipients: this.#recipients.map(({ recipient, ...wishes }) => ({
        address: quoteAddress(recipient),
        ...wishes,
      })),
      content,
      by: 'smtpd',
      client: this.#client(smtputf8),
      smtputf8,
      // Only clients of ours get their headers completed; mail from outside to our domains is left as it came.
      addMissingHeaders: (await this.#mayRelay()) === 'yes',
      ...(originalClient === undefined ? {} : { originalClient }),
      ...(encoding === undefined ? {} : { encoding }),
      ...(ret === undefined ? {} : { ret }),
      ...(envid === undefined ? {} : { envid }),
      ...(verp === undefined ? {} : { verp }),
      ...(requireTls === undefined ? {} : { requireTls }),
      ...(tls ? { tls: { version: tls.version, cipher: tls.standardName } } : {}),
      ...(this.#user()?.method === undefined ? {} : { saslMethod: this.#user()?.method ?? '' }),
    });
    if (!result.ok) {
      // The words of a table are the postmaster's own.
      const mark = result.error === 'content-rejected' ? '' : 'Error: ';
      return { code: result.code, text: `${result.status} ${mark}${result.sentence}` };
    }
    this.#errors = 0;
    return { code: 250, text: `2.0.0 Ok: queued as ${result.queueId}` };
  }

  #client(smtputf8: boolean): ClientInfo {
    const helo = this.hostNameAppearsAs;
    const address = this.clientAddress;
    const claimedName = this._xClient.get('NAME');
    const name = typeof claimedName === 'string' && claimedName !== '' ? claimedName : loopbackName(address);
    const user = this.#user();
    return {
      ...(name === undefined ? {} : { name }),
      ...(address === '' ? {} : { address }),
      port: this.remotePort,
      protocol: protocolName({
        extended: this.openingCommand === 'EHLO',
        tls: this.secure,
        authenticated: user !== undefined,
        smtputf8,
      }),
      ...(helo === false || helo === '' ? {} : { helo }),
      ...(user === undefined ? {} : { saslUsername: user.name }),
    };
  }

  #originalClient(): ClientInfo | undefined {
    if (this.#forwarded.size === 0) return undefined;
    const value = (name: string): string | undefined => {
      const text = this.#forwarded.get(name);
      return text === undefined || text === '' || text.toUpperCase() === UNAVAILABLE ? undefined : text;
    };
    const [name, address, protocol, helo] = [value('NAME'), value('ADDR'), value('PROTO'), value('HELO')];
    const port = Number(value('PORT'));
    return {
      ...(name === undefined ? {} : { name }),
      ...(address === undefined ? {} : { address: address.replace(/^ipv6:/i, '') }),
      ...(Number.isInteger(port) ? { port } : {}),
      ...(protocol === undefined ? {} : { protocol }),
      ...(helo === undefined ? {} : { helo }),
    };
  }

  #user(): { readonly name: string; readonly method?: string } | undefined {
    return this.session.user || undefined;
  }

  #answer(reply: Reply): void {
    this.send(reply.code, reply.text);
  }
}

/** What the recipient was called here, for reports and for the servers behind us (RFC 3461 section 5.2.1), as smtpd(8) has it. */
function orcptOf(recipient: string): string {
  return `${/\P{ASCII}/u.test(recipient) ? 'utf-8' : 'rfc822'};${quoteAddress(recipient)}`;
}

type SocketAndOptions =
  ConstructorParameters<typeof SMTPConnection> extends [unknown, ...infer Rest] ? Rest : never;

/** Names are not looked up (no DNS before the greeting); this machine's own is known without. */
function loopbackName(address: string): string | undefined {
  return address === '::1' || address.startsWith('127.') ? 'localhost' : undefined;
}
