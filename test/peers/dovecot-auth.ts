/** Dovecot's authentication server alone, as smtpd(8) asks it (`smtpd_sasl_type = dovecot`). */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@mailfleet/test-kit';
import { MAIL_USER, peerDirectory, startServer } from './process.ts';

export interface DovecotAuth extends AsyncDisposable {
  /** Its UNIX-domain socket. */
  readonly socket: string;
}

/** @param users passwords by name @param mechanisms in lower case */
export async function startDovecotAuth(
  users: Readonly<Record<string, string>>,
  mechanisms: readonly string[],
): Promise<DovecotAuth> {
  const directory = await peerDirectory('dovecot-auth');
  await mkdir(join(directory, 'run'));
  const socket = join(directory, 'auth.sock');
  const passwords = Object.entries(users).map(([name, password]) => `${name}:{PLAIN}${password}\n`);
  await writeFile(join(directory, 'users'), passwords.join(''));
  const port = await freePort();
  await writeFile(join(directory, 'conf'), configuration(directory, port, socket, mechanisms));
  const server = await startServer('dovecot', ['-F', '-c', join(directory, 'conf')], port, directory);
  return { socket, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const configuration = (
  directory: string,
  port: number,
  socket: string,
  mechanisms: readonly string[],
): string => `
base_dir = ${directory}/run
log_path = ${directory}/log
protocols =
first_valid_uid = 1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = ${mechanisms.join(' ')}
auth_failure_delay = 0
auth_username_chars =
auth_username_format = %u
service anvil {
  # No waiting after failed logins.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
auth_anonymous_username = nobody
service auth {
  unix_listener ${socket} {
    mode = 0666
  }
  inet_listener {
    address = 127.0.0.1
    port = ${port}
  }
}
userdb {
  driver = static
  args = uid=${MAIL_USER} gid=${MAIL_USER} home=${directory}
}
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u ${directory}/users
}
`;
