/**
 * Opens the conversation: greeting, EHLO or HELO or LHLO, STARTTLS (RFC 5321 section 3.1, RFC 2033, RFC 3207).
 *
 * Reads top to bottom as the dialogue runs. On success the session knows what the server offers. Otherwise the answer says what
 * failed for which scope and whether the stream is healthy enough for a QUIT. Nothing here is marked at the attempt:
 * the caller does that, because a failure inside opportunistic TLS may first be tried again in clear.
 */

import type { TLSSocket } from 'node:tls';
import {
  distrustLine,
  matchesMxPattern,
  outsidePolicy,
  type PeerVerdict,
  type Resumption,
  requiresMatch,
  requiresTls,
  type TlsClient,
  type TlsLogging,
  type TlsPolicy,
  verifyPeer,
} from '@mailfleet/tls';
import type { Attempt, Failure, FailureScope, Surroundings } from './attempt.ts';
import { systemErrorText } from './connect.ts';
import type { IoFailure } from './connection.ts';
import { noFeatures, parseDiscard, parseEhlo, parseGreeting } from './ehlo.ts';
import { type Reply, replyText } from './reply.ts';
import type { ServerMaps } from './server-maps.ts';
import type { Session } from './session.ts';
import { isProtocolError } from './stages.ts';
import {
  certificateRefused,
  handshakeFailed,
  startTlsMissing,
  type TlsFinding,
} from './tls/report-result.ts';
import { demandsStartTls, startTlsRefused, unmetBeforeTls, unmetInSession } from './tls/requiretls.ts';

export type HandshakeEnd =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'failed';
      readonly scope: FailureScope;
      readonly failure: Failure;
      readonly quit: boolean;
      /** No other host may be asked. */
      readonly final?: true;
    }
  /** Try this address again without TLS; `handshake`: it was the handshake that failed. */
  | { readonly kind: 'retry-plaintext'; readonly handshake?: true };

/** What the host loop knows about the server. */
export interface HandshakeContext {
  readonly around: Surroundings;
  readonly attempt: Attempt;
  readonly session: Session;
  /** The request's nexthop as written, for the text of a mail loop. */
  readonly nexthop: string;
  /** This address has the best preference that was found. */
  readonly best: boolean;
  readonly policy: TlsPolicy;
  readonly tls: TlsClient;
  readonly maps: ServerMaps;
  /** Undefined: no session of an earlier connection may be resumed. */
  readonly resumption: Resumption | undefined;
}

/** The text of an I/O failure. */
export const ioFailureOf = (name: string, failure: IoFailure, where: string): Failure => {
  switch (failure) {
    case 'lost':
      return { status: '4.4.2', reason: `lost connection with ${name} while ${where}` };
    case 'timeout':
      return { status: '4.4.2', reason: `conversation with ${name} timed out while ${where}` };
    case 'data-error':
      return { status: '4.3.0', reason: `local data error while talking to ${name}` };
  }
};

const ready: HandshakeEnd = { kind: 'ready' };

const siteFailure = (status: string, reason: string, reply?: Reply): HandshakeEnd => ({
  kind: 'failed',
  scope: 'site',
  failure: { status, reason, ...(reply === undefined ? {} : { reply }) },
  quit: true,
});

const softened = (failure: Failure): HandshakeEnd => ({
  kind: 'failed',
  scope: 'softened',
  failure,
  quit: true,
});

const isPositive = (reply: Reply): boolean => reply.code >= 200 && reply.code < 300;

export const shakeHands = async (context: HandshakeContext): Promise<HandshakeEnd> => {
  const { session, policy, attempt } = context;
  const { level } = policy;
  session.tlsStatus ??= level === 'none' ? level : `${level}?`;
  const end = await converse(context);
  if (end.kind !== 'ready') return end;
  if (level !== 'none') session.tlsStatus = session.tls === undefined ? `${level}:none` : level;
  const unmet = unmetInSession(attempt.requireTls, session);
  return unmet === undefined ? end : softened(unmet);
};

const converse = async (context: HandshakeContext): Promise<HandshakeEnd> => {
  const { session, attempt, around, policy } = context;
  const { settings } = around;

  if (settings.tlsWrapperMode) {
    const end = await secure(context);
    if (end.kind !== 'ready') return end;
  }

  const greetingReply = await session.connection.readReply(settings.timeouts.helo);
  if (typeof greetingReply === 'string') {
    return ioEnd(context, greetingReply, 'receiving the initial server greeting');
  }
  if (!isPositive(greetingReply)) {
    const soften = settings.skip5xxGreeting && greetingReply.code >= 500 && greetingReply.code < 600;
    const end = refused(context, greetingReply, soften);
    const final = greetingReply.code >= 400 && greetingReply.code < 500 && !settings.skip4xxGreeting;
    return final && end.kind === 'failed' ? { ...end, final } : end;
  }
  const greeting = parseGreeting(greetingReply.text);
  const pix = greeting.pix ? await pixWorkarounds(context) : [];
  if (!Array.isArray(pix)) return pix;
  session.delayDot = pix.includes('delay_dotcrlf');
  if (detectsLoops(context) && sameName(greeting.serverName, settings.myhostname)) {
    attempt.remark(`host ${session.relay} greeted me with my own hostname ${greeting.serverName}`, true);
  }
  const esmtp =
    (greeting.esmtp || settings.alwaysSendEhlo) && !settings.neverSendEhlo && !pix.includes('disable_esmtp');

  const hello = await sayHello(context, esmtp || settings.protocol === 'lmtp');
  if (hello.kind !== 'ready') return hello;
  if (session.tls !== undefined) return ready;

  const { startTls } = session.features;
  const unmet = unmetBeforeTls(attempt.requireTls, policy.level, session.name, startTls);
  if (!startTls && requiresTls(policy.level)) session.finding = startTlsMissing;
  if (unmet !== undefined) {
    session.tlsStatus = `!${policy.level}`;
    return softened(unmet);
  }
  if (session.features.startTls && policy.level === 'none' && settings.noteStarttlsOffer) {
    attempt.remark(`Host offered STARTTLS: [${session.endpoint.host}]`);
  }
  if (session.features.startTls && policy.level !== 'none' && context.tls.unavailable === undefined) {
    session.connection.write('STARTTLS\r\n');
    const reply = await session.connection.readReply(settings.timeouts.starttls);
    if (typeof reply === 'string') {
      return {
        kind: 'failed',
        scope: 'site',
        failure: ioFailureOf(session.name, reply, 'receiving the STARTTLS response'),
        quit: false,
      };
    }
    if (isPositive(reply)) {
      const end = await secure(context);
      return end.kind === 'ready' ? await sayHello(context, true) : end;
    }
    session.finding = startTlsMissing;
    if (demandsStartTls(attempt.requireTls)) {
      session.tlsStatus = `!${policy.level}`;
      return softened(startTlsRefused(session.name, replyText(reply)));
    }
    if (!requiresTls(policy.level)) return ready;
    session.tlsStatus = `!${policy.level}`;
    return siteFailure(
      reply.status,
      `TLS is required, but host ${session.name} refused to start TLS: ${replyText(reply)}`,
      reply,
    );
  }
  if (!requiresTls(policy.level)) return ready;
  session.tlsStatus = `!${policy.level}`;
  if (!session.features.startTls) {
    return siteFailure('4.7.4', `TLS is required, but was not offered by host ${session.name}`);
  }
  return siteFailure('4.7.5', 'TLS is required, but our TLS engine is unavailable');
};

/** EHLO with HELO to fall back on, or LHLO; sets the session's features. */
const sayHello = async (context: HandshakeContext, esmtp: boolean): Promise<HandshakeEnd> => {
  const { session, attempt, around } = context;
  const { settings } = around;
  session.features = noFeatures;
  let verb = settings.protocol === 'lmtp' ? 'LHLO' : esmtp ? 'EHLO' : 'HELO';
  let reply = await ask(context, verb);
  if (verb === 'EHLO' && typeof reply !== 'string' && !isPositive(reply) && reply.code !== 421) {
    verb = 'HELO';
    reply = await ask(context, verb);
  }
  if (typeof reply === 'string') return ioEnd(context, reply, `performing the ${verb} handshake`);
  if (!isPositive(reply)) return refused(context, reply, false);
  attempt.step('ehlo', verb);
  if (verb === 'HELO') return ready;

  const listed = await context.maps.discardKeywords(session.endpoint.address);
  if ('error' in listed) return dataError(context, 'smtp_discard_ehlo_keyword_address_maps', listed.error);
  const discard = listed.words === undefined ? settings.discard : parseDiscard(listed.words);
  const ehlo = parseEhlo(reply.text, discard, settings.lineLengthLimit);
  if (discard.note !== undefined) attempt.remark(discard.note);
  if (ehlo.badSize !== undefined) {
    attempt.remark(`bad EHLO SIZE limit "${ehlo.badSize}" from ${session.relay}`, true);
  }
  if (detectsLoops(context) && sameName(ehlo.serverName, settings.myhostname)) {
    attempt.remark(
      `host ${session.relay} replied to HELO/EHLO with my own hostname ${ehlo.serverName}`,
      true,
    );
    return siteFailure(context.best ? '5.4.6' : '4.4.6', `mail for ${context.nexthop} loops back to myself`);
  }
  // In clear anybody could have written it (RFC 8689 section 4.2.1).
  const requireTls = session.tls !== undefined && ehlo.features.requireTls;
  session.features = { ...ehlo.features, requireTls };
  if (ehlo.features.smtputf8 && !ehlo.features.eightBitMime) {
    attempt.remark(`host ${session.name} offers SMTPUTF8 support, but not 8BITMIME`);
    session.features = { ...session.features, eightBitMime: true };
  }
  const missing = missingSmtputf8(session, attempt);
  return missing === undefined ? ready : softened(missing);
};

/** Why a session cannot take this message for want of SMTPUTF8, if it cannot. */
const missingSmtputf8 = (session: Session, attempt: Attempt): Failure | undefined =>
  attempt.needsSmtputf8 && !session.features.smtputf8
    ? {
        status: '5.6.7',
        reason: `message requires SMTPUTF8, but no server was found that supports SMTPUTF8. The last attempted server was ${session.name}`,
      }
    : undefined;

/** Why an open session cannot take this message, if it cannot. */
export const unmetDemand = (session: Session, attempt: Attempt): Failure | undefined =>
  missingSmtputf8(session, attempt) ?? unmetInSession(attempt.requireTls, session);

const ask = (context: HandshakeContext, verb: string): Promise<Reply | IoFailure> => {
  const { session, around } = context;
  session.connection.write(`${verb} ${around.settings.heloName}\r\n`);
  return session.connection.readReply(around.settings.timeouts.helo);
};

/** TLS on the open connection; on success the session is as if just connected. */
const secure = async (context: HandshakeContext): Promise<HandshakeEnd> => {
  const { session, attempt, around, policy, tls, resumption } = context;
  const { settings } = around;
  session.features = noFeatures;
  session.delayDot = false;
  const logging = await context.maps.tlsLogging(session.endpoint);
  if (logging.verbose) remarkNoQueueId(context, `setting up TLS connection to ${session.relay}`);
  const prepared = tls.optionsFor(policy);
  const socket =
    prepared.kind === 'options'
      ? await session.connection.startTls(
          { ...prepared.options, ...(await resumption?.options()) },
          settings.timeouts.starttls,
          resumption?.onSession,
        )
      : new Error(prepared.reason);
  if (typeof socket === 'string' || socket instanceof Error) {
    resumption?.failed();
    remarkNoQueueId(context, `SSL_connect error to ${session.relay}: ${handshakeError(socket)}`);
    if (prepared.kind === 'options') session.finding = handshakeFailed(handshakeError(socket));
    if (mayRetryPlaintext(context)) return { kind: 'retry-plaintext', handshake: true };
    return {
      kind: 'failed',
      scope: policy.level === 'may' ? 'untold-site' : 'site',
      failure: { status: '4.7.5', reason: 'Cannot start TLS: handshake failure' },
      quit: false,
    };
  }
  const inherited = resumption?.inherited(socket);
  const verdict = verifyPeer(socket, policy, tls.trust, inherited);
  resumption?.concluded(verdict, inherited);
  session.tls = verdict.protocol;
  session.cipher = verdict.cipher;
  session.tlsMatched = verdict.kind === 'Verified';
  session.authenticated = requiresMatch(policy.level) && verdict.accepted;
  session.finding = findingOf(socket, context, verdict, inherited !== undefined);
  session.plaintextRetry = mayRetryPlaintext(context);
  attempt.step('tls', `${verdict.protocol} ${verdict.cipher} ${verdict.kind}`);
  logVerdict(context, verdict, logging);
  if (verdict.accepted) return ready;
  session.tlsStatus = `!${policy.level}`;
  const unmet = unmetInSession(attempt.requireTls, session);
  return unmet === undefined ? siteFailure('4.7.5', 'Server certificate not verified') : softened(unmet);
};

const logVerdict = (context: HandshakeContext, verdict: PeerVerdict, logging: TlsLogging): void => {
  const { session, policy } = context;
  const { matched, distrust, description } = verdict;
  if (distrust !== undefined && (logging.untrusted || requiresMatch(policy.level))) {
    remarkNoQueueId(context, distrustLine(session.relay, distrust));
  }
  if (description !== undefined && logging.peerCertificate) {
    remarkNoQueueId(context, `${session.relay}: ${description}`);
  }
  if (matched !== undefined && logging.match) {
    const what = policy.level === 'fingerprint' ? 'Matched fingerprint' : 'matched peername';
    remarkNoQueueId(context, `${session.relay}: ${what}: ${matched}`);
  }
  if (!logging.summary) return;
  session.tlsSummary = verdict.summary(session.relay);
  remarkNoQueueId(context, session.tlsSummary);
};

/** A policy in mode testing is put to the test here, and nothing comes of it but a line of the report (RFC 8461 section 5). */
const findingOf = (
  socket: TLSSocket,
  { policy, session, tls }: HandshakeContext,
  verdict: PeerVerdict,
  resumed: boolean,
): TlsFinding => {
  const { host } = session.endpoint;
  if (!verdict.accepted) return certificateRefused(policy, verdict);
  if (policy.published?.type === 'sts' && !requiresMatch(policy.level) && !resumed) {
    if (!policy.published.mxHostPatterns.some((pattern) => matchesMxPattern(host, pattern))) {
      return handshakeFailed(outsidePolicy.reason);
    }
    const strict: TlsPolicy = { ...policy, level: 'secure', match: [host] };
    const tested = verifyPeer(socket, strict, tls.trust);
    if (!tested.accepted) return certificateRefused(strict, tested);
  }
  return { kind: 'success', resumed };
};

/** Node reports a server that hangs up as a reset connection of its own making: no system call failed. */
const handshakeError = (failure: IoFailure | NodeJS.ErrnoException): string => {
  if (failure === 'timeout') return 'Connection timed out';
  if (!(failure instanceof Error)) return 'lost connection';
  if (failure.syscall !== undefined) return systemErrorText(failure);
  if (failure.code === 'ECONNRESET') return 'lost connection';
  // Of the library's own words, without the place in its sources.
  return 'reason' in failure && typeof failure.reason === 'string' ? failure.reason : failure.message;
};

/** Nothing but the level's own courage asks for TLS. */
export const isOpportunistic = (
  policy: TlsPolicy,
  attempt: Attempt,
  session: Session,
  { tlsWrapperMode }: Surroundings['settings'],
): boolean =>
  policy.level === 'may' &&
  !demandsStartTls(attempt.requireTls) &&
  // A password does not go out in clear that was meant for TLS.
  !session.hasLogin &&
  !tlsWrapperMode;

/** A second try in clear: only for mail that has waited, so that a passing fault or an attack at first sight does not strip TLS. */
const mayRetryPlaintext = ({ policy, attempt, around, session }: HandshakeContext): boolean =>
  isOpportunistic(policy, attempt, session, around.settings) &&
  // A probe has no second chance.
  (attempt.request.envelope.probe === true ||
    attempt.request.activatedMs - attempt.request.envelope.arrivalMs >= around.settings.minimalBackoffMs);

const ioEnd = (context: HandshakeContext, failure: IoFailure, where: string): HandshakeEnd =>
  context.session.plaintextRetry
    ? { kind: 'retry-plaintext' }
    : {
        kind: 'failed',
        scope: 'site',
        failure: ioFailureOf(context.session.name, failure, where),
        quit: false,
      };

const refused = ({ session }: HandshakeContext, reply: Reply, soften: boolean): HandshakeEnd => {
  if (isProtocolError(reply.code)) session.wentWrong('protocol');
  return siteFailure(
    soften ? `4${reply.status.slice(1)}` : reply.status,
    `host ${session.name} refused to talk to me: ${replyText(reply)}`,
    reply,
  );
};

const pixWorkarounds = async (context: HandshakeContext): Promise<string[] | HandshakeEnd> => {
  const { around, attempt, session, maps } = context;
  const { pix } = around.settings;
  const listed = await maps.pixWorkarounds(session.endpoint.address);
  if ('error' in listed) return dataError(context, 'smtp_pix_workaround_maps', listed.error);
  const words = listed.words?.map((word) => word.toLowerCase()) ?? pix.workarounds;
  const known = words.filter((name) => name === 'disable_esmtp' || name === 'delay_dotcrlf');
  const young = around.now() - attempt.request.envelope.arrivalMs < pix.thresholdMs;
  const names = known.filter((name) => name !== 'delay_dotcrlf' || !young);
  if (known.length > 0) {
    attempt.remark(`enabling PIX workarounds: ${names.join(', ')} for ${session.relay}`);
  }
  return names;
};

/** A table of ours cannot be asked: without its answer nothing may be sent. */
const dataError = (
  { around, attempt, session }: HandshakeContext,
  name: string,
  why: string,
): HandshakeEnd => {
  const lmtp = name.replace('smtp_', 'lmtp_').replace('_ehlo_', '_lhlo_');
  const map = around.settings.protocol === 'lmtp' ? lmtp : name;
  attempt.remark(`${map} map lookup error for ${session.endpoint.address}: ${why}`, true);
  return siteFailure('4.3.0', `local data error while talking to ${session.name}`);
};

/** A server under our own name is a loop only where mail servers listen; another port may be a second instance. */
const detectsLoops = ({ around, session }: HandshakeContext): boolean =>
  around.settings.protocol === 'smtp' && session.endpoint.port === around.mailPort;

const sameName = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

const remarkNoQueueId = ({ around }: HandshakeContext, text: string): void =>
  around.remark({ kind: 'remark', program: around.settings.protocol, text });
