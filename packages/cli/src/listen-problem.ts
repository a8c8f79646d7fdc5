/** Why a daemon cannot listen, as a sentence that names the parameter and says what to do. */
import type { Config } from '@mailfleet/config';

const LISTENERS = ['intake_smtp_listen', 'intake_http_listen', 'dashboard_listen', 'health_listen'] as const;

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there already; end it, or set',
  EACCES: 'this user may not listen there; run as one who may, or set',
  EADDRNOTAVAIL: 'this machine does not have that address; set',
};

/** Node says EACCES for a UNIX-domain socket in a folder that is not there, too. */
const NO_FOLDER = 'its folder is missing or not writable for this user; make it so, or set';

/** Undefined when the error is about something else. The system's error may be the cause of the one at hand. */
export function listenProblem(error: unknown, config: Config): string | undefined {
  const cause = error instanceof Error ? (error.cause ?? error) : undefined;
  if (!(cause instanceof Error) || !('syscall' in cause) || cause.syscall !== 'listen') return undefined;
  const code = 'code' in cause ? String(cause.code) : '';
  const address = 'address' in cause ? String(cause.address) : '';
  const port = 'port' in cause && Number(cause.port) > 0 ? `:${String(cause.port)}` : '';
  const parameter = LISTENERS.find((name) =>
    config.get(name).some((text) => (port === '' ? text === `unix:${address}` : text.endsWith(port))),
  );
  const reason = port === '' && code === 'EACCES' ? NO_FOLDER : REASONS[code];
  if (parameter === undefined || reason === undefined) return undefined;
  const where = address.includes(':') ? `[${address}]${port}` : `${address}${port}`;
  return `cannot listen at ${where}: ${reason} ${parameter} to another address`;
}
