/**
 * A Postfix of our own: configuration, queue and data in a temporary folder, SMTP in on a free port, everything out
 * to a relay. Stock settings but for what the comparison needs, each named below. Needs root, as Postfix does.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, waitFor } from '@mailfleet/test-kit';

const run = promisify(execFile);

export interface Postfix extends AsyncDisposable {
  readonly smtpPort: number;
  readonly version: string;
  /** Releases everything on hold and asks for delivery. */
  releaseAll(): Promise<void>;
  queued(): Promise<number>;
}

export interface PostfixOptions {
  readonly relayPort: number;
  /** Accept into the hold queue, so that delivery can be measured alone. */
  readonly hold: boolean;
}

const MASTER_CF = (port: number, smtpdOptions: string): string => `
127.0.0.1:${port} inet n - n - - smtpd${smtpdOptions}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;

export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-postfix-'));
  await chmod(directory, 0o755);
  const config = join(directory, 'config');
  const queue = join(directory, 'spool');
  const data = join(directory, 'data');
  for (const folder of [config, queue, data]) await mkdir(folder);
  await run('chown', ['postfix', data]);
  const smtpPort = await freePort();
  const main = {
    compatibility_level: '3.6',
    myhostname: 'postfix.test',
    mydestination: '',
    mynetworks: '127.0.0.0/8',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    queue_directory: queue,
    data_directory: data,
    relayhost: `[127.0.0.1]:${options.relayPort}`,
    // No speed is lost to the system's log socket, and the log stays in the folder.
    maillog_file: join(directory, 'maillog'),
    maillog_file_prefixes: directory,
    // Debian's smtpd would look every client up in DNS; there is none here.
    smtpd_peername_lookup: 'no',
    disable_dns_lookups: 'yes',
    // Mailfleet's intake does not slow its clients down either.
    in_flow_delay: '0',
  };
  await writeFile(
    join(config, 'main.cf'),
    Object.entries(main)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(''),
  );
  const hold = options.hold ? '\n  -o smtpd_sender_restrictions=static:HOLD' : '';
  await writeFile(join(config, 'master.cf'), MASTER_CF(smtpPort, hold));
  await run('postfix', ['-c', config, 'start']);
  await waitFor(() => run('postfix', ['-c', config, 'status']), 10_000, 'Postfix to start');
  const { stdout: version } = await run('postconf', ['-c', config, '-h', 'mail_version']);
  return {
    smtpPort,
    version: version.trim(),
    releaseAll: async () => {
      await run('postsuper', ['-c', config, '-H', 'ALL']);
      await run('postqueue', ['-c', config, '-f']);
    },
    queued: async () => {
      const { stdout } = await run('find', [queue, '-path', '*/hold/*', '-type', 'f']);
      return stdout.split('\n').length - 1;
    },
    [Symbol.asyncDispose]: async () => {
      await run('postfix', ['-c', config, 'stop']).catch(() => undefined);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
