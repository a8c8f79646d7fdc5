/**
 * OpenSMTPD as a receiving server: accepts everything into one Maildir, a copy for each recipient. Its queue and its socket stand at
 * fixed places, so it runs in a mount namespace of its own, where these are empty and two runs do not meet; or without one where the
 * system allows none, as in most containers.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@mailfleet/test-kit';
import { MAIL_USER, maildirMessages, peerDirectory, startServer } from './process.ts';
import type { Receiver } from './receiver.ts';

const START = `unshare -m true 2>/dev/null || exec "$0" -d -f "$1"
mkdir -m 711 -p /var/spool/smtpd
exec unshare -m sh -ec '
  mount -t tmpfs -o mode=711 tmpfs /var/spool/smtpd
  mount -t tmpfs -o mode=755 tmpfs /run
  exec "$0" -d -f "$1"' "$0" "$1"`;

export async function startOpenSmtpd(): Promise<Receiver> {
  const directory = await peerDirectory('opensmtpd');
  const mail = join(directory, 'mail');
  await mkdir(mail);
  execFileSync('chown', [`${MAIL_USER}:${MAIL_USER}`, mail]);
  const port = await freePort();
  const conf = join(directory, 'conf');
  await writeFile(conf, configuration(mail, port));
  const program = execFileSync('sh', ['-c', 'command -v opensmtpd']).toString().trim();
  const server = await startServer('sh', ['-c', START, program, conf], port, directory);
  return {
    nexthop: `[127.0.0.1]:${port}`,
    messages: () => maildirMessages(mail),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const configuration = (mail: string, port: number): string => `
smtp max-message-size 50M
table everyone { "@" = "${MAIL_USER}" }
listen on 127.0.0.1 port ${port} hostname opensmtpd.test
action "store" maildir "${mail}" virtual <everyone>
match from any for any action "store"
`;
