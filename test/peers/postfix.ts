/**
 * A Postfix of our own, as a peer that relays or as one that stores what it gets: configuration, queue and data in a temporary folder, SMTP in on a free port, everything out
 * to a relay. Stock settings but for what the comparison needs, each named below. Needs root, as Postfix does.
 */
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, waitFor } from '@mailfleet/test-kit';
import { MAIL_USER, maildirMessages, peerDirectory } from './process.ts';
import type { Receiver } from './receiver.ts';

const run = promisify(execFile);

export interface Postfix extends Receiver {
  readonly smtpPort: number;
  readonly version: string;
  readonly logFile: string;
  /** Releases everything on hold and asks for delivery. */
  releaseAll(): Promise<void>;
  queued(): Promise<number>;
  /** Hands a message in with sendmail(1). */
  sendmail(args: readonly string[], message: string): Promise<void>;
  /** What postqueue(1) prints with this option. */
  postqueue(option: '-p' | '-j'): Promise<string>;
  /** Puts a queued message on hold. */
  hold(queueId: string): Promise<void>;
  /** Asks for delivery of what is deferred. */
  flush(): Promise<void>;
  /** Marks a queued message as expired. */
  expire(queueId: string): Promise<void>;
}

export interface PostfixOptions {
  /** Relays everything to this port; absent: stores everything in a Maildir. */
  readonly relayPort?: number;
  /** Accept into the hold queue, so that delivery can be measured alone. */
  readonly hold?: boolean;
  /** Further lines of main.cf; they replace what stands here. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Further lines of master.cf. */
  readonly services?: string;
  /** smtpd.conf of Cyrus SASL. */
  readonly saslConfiguration?: string;
  /** Address of the name server that services in the chroot jail ask at port 53. */
  readonly nameServer?: string;
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
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;

export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const directory = await peerDirectory('postfix');
  const config = join(directory, 'config');
  const queue = join(directory, 'spool');
  const data = join(directory, 'data');
  const mail = join(directory, 'mail');
  for (const folder of [config, queue, data, mail]) await mkdir(folder);
  await run('chown', [MAIL_USER, data, mail]);
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
    ...(options.relayPort === undefined
      ? await storing(mail)
      : { relayhost: `[127.0.0.1]:${options.relayPort}` }),
    message_size_limit: '52428800',
    // The kind of queue id that Mailfleet has.
    enable_long_queue_ids: 'yes',
    // No speed is lost to the system's log socket, and the log stays in the folder.
    maillog_file: join(directory, 'maillog'),
    maillog_file_prefixes: directory,
    // Debian's smtpd would look every client up in DNS; there is none here.
    smtpd_peername_lookup: 'no',
    disable_dns_lookups: 'yes',
    // Mailfleet's intake does not slow its clients down either.
    in_flow_delay: '0',
    ...options.parameters,
  };
  await writeFile(
    join(config, 'main.cf'),
    Object.entries(main)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(''),
  );
  const hold = options.hold === true ? '\n  -o smtpd_sender_restrictions=static:HOLD' : '';
  await writeFile(join(config, 'master.cf'), `${MASTER_CF(smtpPort, hold)}${options.services ?? ''}`);
  if (options.saslConfiguration !== undefined) {
    // Where Debian's smtpd looks for it.
    await mkdir(join(config, 'sasl'));
    await writeFile(join(config, 'sasl/smtpd.conf'), options.saslConfiguration);
  }
  if (options.nameServer !== undefined) {
    // The jail is the queue folder.
    await mkdir(join(queue, 'etc'));
    await writeFile(join(queue, 'etc/resolv.conf'), `nameserver ${options.nameServer}\n`);
    await writeFile(join(queue, 'etc/hosts'), '127.0.0.1 localhost\n');
  }
  await run('postfix', ['-c', config, 'start']);
  await waitFor(() => run('postfix', ['-c', config, 'status']), 10_000, 'Postfix to start');
  const { stdout: version } = await run('postconf', ['-c', config, '-h', 'mail_version']);
  return {
    smtpPort,
    nexthop: `[127.0.0.1]:${smtpPort}`,
    messages: () => maildirMessages(mail),
    version: version.trim(),
    logFile: main.maillog_file,
    releaseAll: async () => {
      await run('postsuper', ['-c', config, '-H', 'ALL']);
      await run('postqueue', ['-c', config, '-f']);
    },
    queued: async () => {
      const { stdout } = await run('find', [queue, '-path', '*/hold/*', '-type', 'f']);
      return stdout.split('\n').length - 1;
    },
    sendmail: async (args, message) => {
      const running = run('sendmail', ['-C', config, ...args]);
      running.child.stdin?.end(message);
      await running;
    },
    postqueue: async (option) => (await run('postqueue', ['-c', config, option])).stdout,
    hold: async (queueId) => {
      await run('postsuper', ['-c', config, '-h', queueId]);
    },
    flush: async () => {
      await run('postqueue', ['-c', config, '-f']);
    },
    expire: async (queueId) => {
      await run('postsuper', ['-c', config, '-e', queueId]);
    },
    [Symbol.asyncDispose]: async () => {
      await run('postfix', ['-c', config, 'stop']).catch(() => undefined);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Settings that put every message into one Maildir. */
async function storing(mail: string): Promise<Record<string, string>> {
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (flag) => (await run('id', [flag, MAIL_USER])).stdout.trim()),
  );
  return {
    default_transport: 'virtual',
    relay_transport: 'virtual',
    mynetworks_style: 'host',
    virtual_mailbox_domains: 'static:all',
    virtual_mailbox_maps: 'static:all/',
    virtual_mailbox_base: mail,
    virtual_minimum_uid: '1',
    virtual_mailbox_limit: '0',
    virtual_uid_maps: `static:${uid}`,
    virtual_gid_maps: `static:${gid}`,
  };
}
