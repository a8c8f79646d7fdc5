/** Accounts in Cyrus SASL's own database, as smtpd(8) uses it (`smtpd_sasl_type = cyrus`). */
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MAIL_USER, peerDirectory } from './process.ts';

export interface CyrusAuth extends AsyncDisposable {
  /** smtpd.conf */
  readonly configuration: string;
}

export async function makeCyrusAuth(
  users: Readonly<Record<string, string>>,
  mechanisms: readonly string[],
  realm: string,
): Promise<CyrusAuth> {
  const directory = await peerDirectory('cyrus-auth');
  const database = join(directory, 'sasldb2');
  for (const [user, password] of Object.entries(users)) {
    execFileSync('saslpasswd2', ['-p', '-c', '-f', database, '-u', realm, user], { input: password });
  }
  execFileSync('chown', [MAIL_USER, directory, database]);
  return {
    configuration: `pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: ${database}
mech_list: ${mechanisms.join(' ')}
`,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}
