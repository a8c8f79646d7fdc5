/** Exim as a receiving server: accepts everything into one Maildir. */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@mailfleet/test-kit';
import { MAIL_USER, maildirMessages, peerDirectory, startServer } from './process.ts';
import type { Receiver } from './receiver.ts';

/** @param tls certificate chain and key in PEM: it offers STARTTLS, with GnuTLS */
export async function startExim(tls?: { readonly cert: string; readonly key: string }): Promise<Receiver> {
  const directory = await peerDirectory('exim');
  for (const folder of ['spool', 'log', 'mail']) await mkdir(join(directory, folder));
  if (tls !== undefined) {
    await writeFile(join(directory, 'cert.pem'), tls.cert);
    await writeFile(join(directory, 'key.pem'), tls.key);
  }
  execFileSync('chown', ['-R', `${MAIL_USER}:${MAIL_USER}`, directory]);
  const port = await freePort();
  const exim = execFileSync('sh', ['-c', 'command -v exim4']).toString().trim();
  await writeFile(join(directory, 'conf'), configuration(directory, port, exim, tls !== undefined));
  const server = await startServer(exim, ['-C', join(directory, 'conf'), '-bdf'], port, directory);
  return {
    nexthop: `[127.0.0.1]:${port}`,
    messages: () => maildirMessages(join(directory, 'mail')),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const configuration = (directory: string, port: number, exim: string, tls: boolean): string => `
exim_path = ${exim}
primary_hostname = exim.test
exim_user = ${MAIL_USER}
exim_group = ${MAIL_USER}
spool_directory = ${directory}/spool
log_file_path = ${directory}/log/%slog
pid_file_path = ${directory}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
acl_smtp_rcpt = accept_all
acl_smtp_data = accept_all
message_size_limit = 50M
accept_8bitmime
allow_utf8_domains
smtputf8_advertise_hosts = *
tls_advertise_hosts = ${tls ? `*\ntls_certificate = ${directory}/cert.pem\ntls_privatekey = ${directory}/key.pem` : ''}
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
never_users =
smtp_accept_queue_per_connection = 0

begin acl
accept_all:
  accept

begin routers
all:
  driver = accept
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = ${directory}/mail
  maildir_format
  user = ${MAIL_USER}
  group = ${MAIL_USER}
`;
