/**
 * The login of a session (RFC 4954), after EHLO and STARTTLS: chooses a mechanism, runs its exchange, and says what a failure means.
 *
 * Reads as Postfix does it: a server that offers no AUTH gets the mail without login, and so does one for which there are no credentials; every
 * other way ends in a login or in a failure of the whole session, after which the next line is QUIT. An exchange is never cancelled.
 */
import type { Config } from '@mailfleet/config';
import { matchDomains, tableOptions } from '@mailfleet/lookup';
import type { Attempt, Surroundings } from '../attempt.ts';
import type { Protocol } from '../delivery.ts';
import type { HandshakeEnd } from '../handshake.ts';
import type { Reply } from '../reply.ts';
import type { Session } from '../session.ts';
import type { AccessTokens } from './access-tokens.ts';
import { channelBindingOf } from './channel-binding.ts';
import { cannot, converse, failure } from './converse.ts';
import { type Login, type LoginLookup, type LoginPlace, loginTerms, openLogins } from './logins.ts';
import { chooseMechanism } from './mechanisms.ts';
import { redact } from './redact.ts';
import { openRejections } from './rejections.ts';
import { type SaslSettings, saslSettings } from './settings.ts';
import type { SharedLogins } from './shared-logins.ts';

export interface SaslOptions {
  readonly config: Config;
  readonly protocol: Protocol;
  readonly around: Surroundings;
  readonly logins: SharedLogins;
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

const ready: HandshakeEnd = { kind: 'ready' };

/** Undefined when logins are switched off. Throws a sentence when main.cf is wrong about them. */
export const openSasl = (options: SaslOptions): Sasl | undefined => {
  const { config, protocol } = options;
  const settings = saslSettings(config, protocol);
  if (settings === undefined) return undefined;
  const warn = (text: string): void =>
    options.around.remark({ kind: 'remark', program: protocol, warning: true, text });
  const logins = openLogins(settings, config, warn);
  const filter =
    settings.mechanismFilter.length === 0
      ? undefined
      : matchDomains(settings.mechanismFilter, { ...tableOptions(config), warn });
  const rejections = settings.rejections && openRejections(settings.rejections, options.logins);
  const { around } = options;
  const { tokens } = options.logins;
  const context = { settings, protocol, around, filter, rejections, tokens };
  return {
    senderDependent: logins.senderDependent,
    notes: settings.notes,
    find: (place) => logins.find(place),
    terms: (place, lookup) => loginTerms(options.logins.key, place, lookup, logins.senderDependent),
    logIn: (session, attempt, lookup) => new Authentication({ ...context, session, attempt }).run(lookup),
  };
};

interface AuthenticationContext {
  readonly settings: SaslSettings;
  readonly protocol: Protocol;
  readonly around: Surroundings;
  readonly filter: ReturnType<typeof matchDomains> | undefined;
  readonly rejections: ReturnType<typeof openRejections> | undefined;
  readonly tokens: AccessTokens;
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
    const { session, tokens, rejections } = this.#context;
    const { tokenFile } = login;
    if (tokenFile === undefined) {
      const rejection = await rejections?.find(session.endpoint.host, login);
      if (rejection === undefined) {
        return await this.#prove(login.password, { login, announced, offered });
      }
      return failure(
        this.#softened(rejection.status),
        `SASL [CACHED] authentication failed; server ${session.endpoint.host} said: ${rejection.text}`,
      );
    }
    for (let retried = false; ; retried = true) {
      const answer = await tokens.get(tokenFile);
      if (answer.kind === 'failed') return this.#cannot(answer.reason);
      const end = await this.#prove(answer.token, { login, announced, offered });
      const refused = end.kind === 'failed' && end.failure.reply?.code === 535;
      if (!refused) return end;
      // It may have been withdrawn, or ended early by another clock.
      tokens.discard(tokenFile, answer.token);
      if (retried) return end;
    }
  }

  /** One AUTH command with a password or an access token. */
  async #prove(
    secret: string,
    {
      login,
      announced,
      offered,
    }: {
      readonly login: Login;
      readonly announced: readonly string[];
      readonly offered: readonly string[];
    },
  ): Promise<HandshakeEnd> {
    const { session, attempt, settings } = this.#context;
    this.#sent.push(secret);
    const socket = session.connection.tlsSocket;
    const channelBinding = socket && channelBindingOf(socket);
    const mechanism = chooseMechanism(offered, {
      options:
        settings.options[session.tls === undefined ? 'clear' : session.tlsMatched ? 'verified' : 'tls'],
      tokenOnly: login.tokenFile !== undefined,
      channelBinding: channelBinding !== undefined,
      clientCertificate: Object.keys(socket?.getCertificate() ?? {}).length > 0,
    });
    if (mechanism === undefined) {
      this.#warn('SASL authentication failure: No worthy mechs found');
      return this.#cannot('no mechanism available');
    }
    const plusAnnounced = announced.some((name) => /^SCRAM-.*-PLUS$/i.test(name));
    const exchange = await mechanism.start({
      credentials: { user: login.user, secret },
      authorizationId: settings.sendsAuthorizationId ? login.user : '',
      service: this.#context.protocol,
      host: session.endpoint.host,
      channelBinding,
      plusMissing: channelBinding !== undefined && !plusAnnounced,
    });
    if ('kind' in exchange) return this.#cannot(exchange.reason);
    const { around, protocol } = this.#context;
    const reply = await converse(exchange, {
      mechanism: mechanism.name,
      session,
      around,
      protocol,
      sent: this.#sent,
    });
    if ('kind' in reply) return reply;
    if (Math.trunc(reply.code / 100) !== 2) return this.#refused(login, reply);
    const objection = exchange.objection();
    if (objection !== undefined) return this.#cannot(objection);
    attempt.step('authenticated', mechanism.name);
    session.features = { ...session.features, mailAuth: settings.sendsMailAuth };
    return ready;
  }

  #refused(login: Login, reply: Reply): HandshakeEnd {
    const { session, rejections } = this.#context;
    // As in Postfix's log, where line breaks of a reply show as this.
    const text = redact(reply.text, this.#sent).replaceAll('\n', '?');
    if (reply.code === 535 && login.tokenFile === undefined) {
      rejections?.remember(session.endpoint.host, login, { status: reply.status, text });
    }
    return failure(
      // By the code: an answer that is no verdict at all counts as final.
      reply.code >= 500 ? this.#softened(reply.status) : reply.status,
      `SASL authentication failed; server ${session.name} said: ${text}`,
      { ...reply, text: redact(reply.text, this.#sent) },
    );
  }

  #softened(status: string): string {
    return this.#context.settings.softBounce ? status.replace(/^5/, '4') : status;
  }

  #cannot(reason: string): HandshakeEnd {
    return cannot(this.#context.session, reason);
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

  #warn(text: string): void {
    const { around, protocol } = this.#context;
    around.remark({ kind: 'remark', program: protocol, warning: true, text });
  }
}
