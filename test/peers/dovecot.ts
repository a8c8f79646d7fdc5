/** Dovecot's LMTP server, over TCP and over a UNIX-domain socket: delivers for every user into Maildirs. */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@mailfleet/test-kit';
import { MAIL_USER, maildirMessages, peerDirectory, startServer } from './process.ts';
import type { Receiver } from './receiver.ts';

export async function startDovecot(): Promise<Receiver & { readonly socket: string }> {
  const directory = await peerDirectory('dovecot');
  const mail = join(directory, 'mail');
  for (const folder of ['run', 'mail']) await mkdir(join(directory, folder));
  execFileSync('chown', [`${MAIL_USER}:${MAIL_USER}`, mail]);
  const port = await freePort();
  const socket = join(directory, 'lmtp.sock');
  await writeFile(join(directory, 'conf'), configuration(directory, port, socket));
  const server = await startServer('dovecot', ['-F', '-c', join(directory, 'conf')], port, directory);
  return {
    nexthop: `inet:127.0.0.1:${port}`,
    socket,
    messages: () => maildirMessages(mail),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const configuration = (directory: string, port: number, socket: string): string => `
base_dir = ${directory}/run
log_path = ${directory}/log
protocols = lmtp
listen = 127.0.0.1
hostname = dovecot.test
mail_location = maildir:${directory}/mail/%u
first_valid_uid = 1
mail_uid = ${MAIL_USER}
mail_gid = ${MAIL_USER}
ssl = no
service lmtp {
  unix_listener ${socket} {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${port}
  }
}
userdb {
  driver = static
  args = uid=${MAIL_USER} gid=${MAIL_USER} home=${directory}/mail/%u allow_all_users=yes
}
passdb {
  driver = static
  args = nopassword=y
}
protocol lmtp {
  postmaster_address = postmaster@dovecot.test
}
`;
