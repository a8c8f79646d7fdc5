/**
 * The login of a session (RFC 4954), after EHLO and STARTTLS: chooses a mechanism, runs its exchange, and says what a failure means.
 *
 * Reads as Postfix does it: a server that offers no AUTH gets the mail without login, and so does one for which there are no credentials; every
 * other way ends in a login or in a failure of the whole session, after which the next line is QUIT. An exchange is never cancelled.
 */
import type { Config } from '@mailfleet/config';
import { matchDomains } from '@mailfleet/lookup';
import type { Attempt, Failure, Surroundings } from '../attempt.ts';
import type { Protocol } from '../delivery.ts';
import { type HandshakeEnd, ioFailureOf } from '../handshake.ts';
import type { Reply } from '../reply.ts';
import type { Session } from '../session.ts';
import { channelBindingOf } from './channel-binding.ts';
import { type Login, type LoginLookup, type LoginPlace, loginTerms, openLogins } from './logins.ts';
import { EMPTY } from './mechanism.ts';
import { chooseMechanism, type Mechanism } from './mechanisms.ts';
import { redact } from './redact.ts';
import { openRejections, type RejectionStore } from './rejections.ts';
import { type SaslSettings, saslSettings } from './settings.ts';

export interface SaslOptions {
  readonly config: Config;
  readonly protocol: Protocol;
  readonly around: Surroundings;
  /** Of digests that name logins. */
  readonly key: Buffer;
  readonly rejections: RejectionStore;
}

/** The logins of one agent. */
export interface Sasl {
  readonly senderDependent: boolean;
  /** Settings that do nothing here, each in a sentence for the log. */
  readonly notes: readonly string[];
  find(place: LoginPlace): Promise<LoginLookup>;
  /** What a session's name must tell about its login. */
  terms(place: LoginPlace, lookup: LoginLookup): readonly string[];
  logIn(session: Session, attempt: Attempt, lookup: LoginLookup): Promise<HandshakeEnd>;
}

/** AUTH commands beyond this get their initial response after an empty challenge (RFC 4954 section 4). */
const MAX_COMMAND_BYTES = 512;
const MAX_ROUNDS = 100;

const ready: HandshakeEnd = { kind: 'ready' };

const failure = (status: string, reason: string, reply?: Reply): HandshakeEnd => {
  const what: Failure = { status, reason, ...(reply === undefined ? {} : { reply }) };
  return { kind: 'failed', scope: 'site', failure: what, quit: true };
};

/** Undefined when logins are switched off. Throws a sentence when main.cf is wrong about them. */
export const openSasl = (options: SaslOptions): Sasl | undefined => {
  const { config, protocol, key } = options;
  const settings = saslSettings(config, protocol);
  if (settings === undefined) return undefined;
  const logins = openLogins(settings, config.get('recipient_delimiter'));
  const filter = settings.mechanismFilter.length === 0 ? undefined : matchDomains(settings.mechanismFilter);
  const rejections = settings.rejections && openRejections(settings.rejections, options.rejections, key);
  const context = { settings, protocol, around: options.around, filter, rejections };
  return {
    senderDependent: logins.senderDependent,
    notes: settings.notes,
    find: (place) => logins.find(place),
    terms: (place, lookup) => loginTerms(key, place, lookup, logins.senderDependent),
    logIn: (session, attempt, lookup) => new Authentication({ ...context, session, attempt }).run(lookup),
  };
};

interface AuthenticationContext {
  readonly settings: SaslSettings;
  readonly protocol: Protocol;
  readonly around: Surroundings;
  readonly filter: ReturnType<typeof matchDomains> | undefined;
  readonly rejections: ReturnType<typeof openRejections> | undefined;
  readonly session: Session;
  readonly attempt: Attempt;
}

/** One session's login. */
class Authentication {
  readonly #context: AuthenticationContext;
  /** What went over the wire and must not come back in a text. */
  readonly #sent: string[] = [];

  constructor(context: AuthenticationContext) {
    this.#context = context;
  }

  async run(lookup: LoginLookup): Promise<HandshakeEnd> {
    const { session } = this.#context;
    const { auth } = session.features;
    if (auth === undefined) return ready;
    const offered = await this.#filtered(auth);
    if (!Array.isArray(offered)) return this.#dataError('mechanism_filter', offered.error);
    if (offered.length === 0) {
      this.#warn(
        auth.length === 0
          ? `${session.relay} offered null AUTH mechanism list`
          : `${session.relay} offered no supported AUTH mechanisms: '${auth.join(' ')}'`,
      );
    }
    if (lookup.kind === 'none') return ready;
    if (lookup.kind === 'error') return this.#dataError('password_maps', lookup.reason);
    if (offered.length === 0) {
      return failure(
        '4.7.0',
        `SASL authentication failed: server ${session.name} offered no compatible authentication mechanisms for this type of connection security`,
      );
    }
    session.secrets = this.#sent;
    try {
      return await this.#logIn(lookup.login, auth, offered);
    } finally {
      session.secrets = [];
    }
  }

  async #logIn(
    login: Login,
    announced: readonly string[],
    offered: readonly string[],
  ): Promise<HandshakeEnd> {
    const { session, attempt, settings, rejections } = this.#context;
    this.#sent.push(login.password);
    const rejection = await rejections?.find(session.endpoint.host, login);
    if (rejection !== undefined) {
      return failure(
        this.#softened(rejection.status),
        `SASL [CACHED] authentication failed; server ${session.endpoint.host} said: ${rejection.text}`,
      );
    }
    const socket = session.connection.tlsSocket;
    const channelBinding = socket && channelBindingOf(socket);
    const mechanism = chooseMechanism(offered, {
      options:
        settings.options[session.tls === undefined ? 'clear' : session.tlsMatched ? 'verified' : 'tls'],
      tokenOnly: false,
      channelBinding: channelBinding !== undefined,
      clientCertificate: Object.keys(socket?.getCertificate() ?? {}).length > 0,
    });
    if (mechanism === undefined) {
      this.#warn('SASL authentication failure: No worthy mechs found');
      return this.#cannot('no mechanism available');
    }
    const plusAnnounced = announced.some((name) => /^SCRAM-.*-PLUS$/i.test(name));
    const exchange = await mechanism.start({
      credentials: { user: login.user, secret: login.password },
      authorizationId: settings.sendsAuthorizationId ? login.user : '',
      service: this.#context.protocol,
      host: session.endpoint.host,
      channelBinding,
      plusMissing: channelBinding !== undefined && !plusAnnounced,
    });
    if ('kind' in exchange) return this.#cannot(exchange.reason);
    const reply = await this.#converse(mechanism, exchange);
    if ('kind' in reply) return reply;
    if (Math.trunc(reply.code / 100) !== 2) return await this.#refused(login, reply);
    const objection = exchange.objection();
    if (objection !== undefined) return this.#cannot(objection);
    attempt.step('authenticated', mechanism.name);
    session.features = { ...session.features, mailAuth: settings.sendsMailAuth };
    return ready;
  }

  /** AUTH and all challenges; the server's verdict, or why it does not come to one. */
  async #converse(
    { name }: Mechanism,
    exchange: Exclude<Awaited<ReturnType<Mechanism['start']>>, { kind: 'failed' }>,
  ): Promise<Reply | HandshakeEnd> {
    const { session } = this.#context;
    const initial = this.#encode(exchange.initial ?? EMPTY);
    const inline = initial !== '' && name.length + initial.length + 8 <= MAX_COMMAND_BYTES;
    let pending = inline ? undefined : exchange.initial;
    let reply = await this.#say(inline ? `AUTH ${name} ${initial}` : `AUTH ${name}`);
    for (let round = 1; typeof reply !== 'string' && Math.trunc(reply.code / 100) === 3; round++) {
      if (round > MAX_ROUNDS) {
        return failure(
          '4.3.0',
          `SASL authentication failed; authentication protocol loop with server ${session.name}`,
        );
      }
      const text = (reply.text.split('\n').at(-1) ?? '').slice(3).trim();
      const challenge = decode(text);
      if (challenge === undefined) return this.#cannot('malformed challenge from the server');
      let data: Buffer;
      if (pending !== undefined) {
        if (challenge.length > 0) {
          return failure(
            '4.7.0',
            `SASL authentication failed; non-empty initial ${name} challenge from server ${session.name}: ${redact(text, this.#sent)}`,
          );
        }
        data = pending;
        pending = undefined;
      } else {
        const step = await exchange.respond(challenge);
        if (step.kind === 'failed') return this.#cannot(step.reason);
        data = step.data;
      }
      reply = await this.#say(this.#encode(data));
    }
    if (typeof reply !== 'string') return reply;
    const verb = this.#context.protocol === 'lmtp' ? 'LHLO' : 'EHLO';
    return {
      kind: 'failed',
      scope: 'site',
      failure: ioFailureOf(session.name, reply, `performing the ${verb} handshake`),
      quit: false,
    };
  }

  async #refused(login: Login, reply: Reply): Promise<HandshakeEnd> {
    const { session, rejections } = this.#context;
    // As in Postfix's log, where line breaks of a reply show as this.
    const text = redact(reply.text, this.#sent).replaceAll('\n', '?');
    if (reply.code === 535) {
      await rejections?.remember(session.endpoint.host, login, { status: reply.status, text });
    }
    return failure(
      this.#softened(reply.status),
      `SASL authentication failed; server ${session.name} said: ${text}`,
      { ...reply, text: redact(reply.text, this.#sent) },
    );
  }

  #softened(status: string): string {
    return this.#context.settings.softBounce ? status.replace(/^5/, '4') : status;
  }

  #cannot(reason: string): HandshakeEnd {
    const { session } = this.#context;
    return failure(
      '4.7.0',
      `SASL authentication failed; cannot authenticate to server ${session.name}: ${reason}`,
    );
  }

  async #filtered(auth: readonly string[]): Promise<string[] | { readonly error: string }> {
    const { filter } = this.#context;
    const names: string[] = [];
    for (const name of auth) {
      const answer = filter === undefined ? { kind: 'match' as const } : await filter.match(name);
      if (answer.kind === 'error') return { error: answer.reason };
      if (answer.kind === 'match') names.push(name);
    }
    return names;
  }

  #dataError(parameter: string, why: string): HandshakeEnd {
    const { session, attempt, protocol } = this.#context;
    attempt.remark(`${protocol}_sasl_${parameter} lookup error: ${why}`, true);
    return failure('4.3.0', `local data error while talking to ${session.name}`);
  }

  #encode(data: Buffer): string {
    const text = data.toString('base64');
    this.#sent.push(text);
    return text;
  }

  async #say(line: string): ReturnType<Session['connection']['readReply']> {
    const { session, around } = this.#context;
    const { helo, starttls } = around.settings.timeouts;
    session.connection.write(`${line}\r\n`);
    return await session.connection.readReply(session.tls === undefined ? helo : starttls);
  }

  #warn(text: string): void {
    const { around, protocol } = this.#context;
    around.remark({ kind: 'remark', program: protocol, warning: true, text });
  }
}

/** Strict Base64 (RFC 4648 section 4); undefined when it is none. */
const decode = (text: string): Buffer | undefined =>
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)
    ? Buffer.from(text, 'base64')
    : undefined;
