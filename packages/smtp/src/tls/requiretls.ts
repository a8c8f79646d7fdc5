/**
 * What REQUIRETLS (RFC 8689 section 4.2.1) makes of a session: whether a message that asks for it may go out here. Checked where a session
 * opens and again where one is used once more, since a session serves many messages.
 *
 * The failures are permanent, but other hosts may do better, so they count as temporary while some are left.
 */
import type { RequireTlsAction, TlsLevel } from '@mailfleet/tls';
import { requiresMatch } from '@mailfleet/tls';
import type { Attempt, Failure } from '../attempt.ts';
import type { Session } from '../session.ts';

/** What counts of a session. */
type SessionTls = Pick<Session, 'name' | 'tls' | 'authenticated' | 'features'>;

/** @param reason without "REQUIRETLS: " */
const failure = (status: '5.7.10' | '5.7.30', reason: string): Failure => ({
  status,
  reason: `REQUIRETLS: ${reason}`,
});

export const demandsStartTls = (action: RequireTlsAction | undefined): boolean =>
  action === 'enforce' || action === 'opportunistic+starttls';

/** What rules a server out before STARTTLS. @param startTls it is offered, or not needed */
export const unmetBeforeTls = (
  action: RequireTlsAction | undefined,
  level: TlsLevel,
  name: string,
  startTls: boolean,
): Failure | undefined => {
  if (!demandsStartTls(action)) return undefined;
  if (level === 'none') return failure('5.7.10', `TLS is turned off for host ${name}`);
  if (action === 'enforce' && !requiresMatch(level)) {
    return failure('5.7.10', `TLS security level ${level} does not make host ${name} prove who it is`);
  }
  return startTls ? undefined : failure('5.7.30', `TLS was not offered by host ${name}`);
};

/** The server said no to STARTTLS. */
export const startTlsRefused = (name: string, reply: string): Failure =>
  failure('5.7.10', `host ${name} refused to start TLS: ${reply}`);

/** What rules out a session that is open. */
export const unmetInSession = (
  action: RequireTlsAction | undefined,
  { name, tls, authenticated, features }: SessionTls,
): Failure | undefined => {
  if (!demandsStartTls(action)) return undefined;
  if (tls === undefined) return failure('5.7.30', `TLS is not in use with host ${name}`);
  if (action !== 'enforce') return undefined;
  if (!authenticated) return failure('5.7.10', `host ${name} did not prove who it is`);
  return features.requireTls ? undefined : failure('5.7.30', `REQUIRETLS was not offered by host ${name}`);
};

/**
 * A delivery record's `tls=`: the level's part, and behind a slash, for a message that asks for REQUIRETLS, what became of that. nostarttls:
 * the server does not offer TLS; noencryption: it is not in use; none: the request was not passed on; nocertmatch: it was, to a server that
 * did not prove who it is; `?`: not decided.
 *
 * @param session absent: there was none
 */
export const featureStatus = (
  status: string,
  attempt: Pick<Attempt, 'asksRequireTls' | 'requireTls'> | undefined,
  session?: SessionTls,
): string => {
  if (attempt?.asksRequireTls !== true) return status;
  if (session === undefined || status.endsWith('?')) return `${status}/requiretls?`;
  const lack = lackOf(attempt.requireTls, status, session);
  return `${status}/requiretls${lack === undefined ? '' : `:${lack}`}`;
};

const lackOf = (
  action: RequireTlsAction | undefined,
  status: string,
  { tls, authenticated, features }: SessionTls,
): 'nocertmatch' | 'nostarttls' | 'noencryption' | 'none' | undefined => {
  if (action === undefined) return 'none';
  if (tls !== undefined) {
    if (status.startsWith('!')) return 'nocertmatch';
    if (!features.requireTls) return 'none';
    return authenticated ? undefined : 'nocertmatch';
  }
  if (status === 'none' || status === '!none') return 'noencryption';
  if (!features.startTls) return 'nostarttls';
  // The server could, and at this level nobody would ask who it is.
  return action === 'enforce' && /^!(?:may|encrypt)$/.test(status) ? 'nocertmatch' : 'noencryption';
};
