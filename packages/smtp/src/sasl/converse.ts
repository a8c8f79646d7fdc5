/**
 * The exchange of a login on the wire: the AUTH command and its challenges (RFC 4954 section 4), up to the server's verdict.
 * No count of rounds is needed: every mechanism refuses a challenge too many.
 */
import type { Failure, Surroundings } from '../attempt.ts';
import type { Protocol } from '../delivery.ts';
import { type HandshakeEnd, ioFailureOf } from '../handshake.ts';
import type { Reply } from '../reply.ts';
import type { Session } from '../session.ts';
import { EMPTY, type Exchange } from './mechanism.ts';
import { redact } from './redact.ts';

/** AUTH commands beyond this get their initial response after an empty challenge. */
const MAX_COMMAND_BYTES = 512;

/** A login that failed, and the session with it. */
export const failure = (status: string, reason: string, reply?: Reply): HandshakeEnd => {
  const what: Failure = { status, reason, ...(reply === undefined ? {} : { reply }) };
  return { kind: 'failed', scope: 'site', failure: what, quit: true };
};

/** Our side has to give up. */
export const cannot = (session: Session, reason: string): HandshakeEnd =>
  failure('4.7.0', `SASL authentication failed; cannot authenticate to server ${session.name}: ${reason}`);

export interface Conversation {
  readonly mechanism: string;
  readonly session: Session;
  readonly around: Surroundings;
  readonly protocol: Protocol;
  /** Gets what goes over the wire, so that no text repeats it. */
  readonly sent: string[];
}

/** The server's final reply, or why it does not come to one. */
export const converse = async (
  exchange: Exchange,
  conversation: Conversation,
): Promise<Reply | HandshakeEnd> => {
  const { mechanism, session, around, protocol, sent } = conversation;
  const { timeouts } = around.settings;
  const timeoutMs = session.tls === undefined ? timeouts.helo : timeouts.starttls;
  const encode = (data: Buffer): string => {
    const text = data.toString('base64');
    sent.push(text);
    return text;
  };
  const say = (line: string): ReturnType<Session['connection']['readReply']> => {
    session.connection.write(`${line}\r\n`);
    return session.connection.readReply(timeoutMs);
  };

  const initial = encode(exchange.initial ?? EMPTY);
  const inline = initial !== '' && mechanism.length + initial.length + 8 <= MAX_COMMAND_BYTES;
  let pending = inline ? undefined : exchange.initial;
  let reply = await say(inline ? `AUTH ${mechanism} ${initial}` : `AUTH ${mechanism}`);
  while (typeof reply !== 'string' && Math.trunc(reply.code / 100) === 3) {
    const text = (reply.text.split('\n').at(-1) ?? '').slice(3).trim();
    const challenge = decode(text);
    if (challenge === undefined) return cannot(session, 'malformed challenge from the server');
    if (pending === undefined) {
      const step = await exchange.respond(challenge);
      if (step.kind === 'failed') return cannot(session, step.reason);
      reply = await say(encode(step.data));
    } else if (challenge.length > 0) {
      return failure(
        '4.7.0',
        `SASL authentication failed; non-empty initial ${mechanism} challenge from server ${session.name}: ${redact(text, sent)}`,
      );
    } else {
      reply = await say(encode(pending));
      pending = undefined;
    }
  }
  if (typeof reply !== 'string') return reply;
  const verb = protocol === 'lmtp' ? 'LHLO' : 'EHLO';
  return {
    kind: 'failed',
    scope: 'site',
    failure: ioFailureOf(session.name, reply, `performing the ${verb} handshake`),
    quit: false,
  };
};

/** Strict Base64 (RFC 4648 section 4); undefined when it is none. */
const decode = (text: string): Buffer | undefined =>
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)
    ? Buffer.from(text, 'base64')
    : undefined;
