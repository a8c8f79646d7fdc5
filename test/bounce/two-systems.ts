/**
 * The same messages through Debian's Postfix and through a fleet, both relaying to the same kind of servers, and all notices that
 * come of them: for report.test.ts. Envelope ids tell which message a notice is about.
 */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type ReceivedMessage, type SmtpServer, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { startFleet } from '../fleet/fleet.ts';
import { startPostfix } from '../peers/postfix.ts';
import { peerDirectory } from '../peers/process.ts';

/** A message, by what its recipients' local parts make of it: ok, fail (550) or later (450); the domain is dsn, plain or lmtp. */
export interface Scenario {
  readonly id: string;
  readonly sender: string;
  readonly recipients: readonly { readonly address: string; readonly parameters?: string }[];
  readonly ret?: 'FULL' | 'HDRS';
  readonly smtputf8?: boolean;
  readonly verp?: string;
  readonly sizeBytes?: number;
}

interface Report {
  readonly headers: readonly (readonly [string, string])[];
  readonly reportType: string | null;
  readonly defects: readonly string[];
  readonly parts: readonly {
    readonly type: string;
    readonly description: string | null;
    readonly encoding: string | null;
    readonly charset: string | null;
    readonly text?: string;
    readonly blocks?: readonly (readonly (readonly [string, string])[])[];
  }[];
}

/** What a system sent: notices, and mail that was delivered. */
export interface Run {
  readonly notices: readonly {
    readonly sender: string;
    readonly recipient: string;
    readonly report: Report;
  }[];
  readonly delivered: readonly ReceivedMessage[];
}

/** The same for both, so that what they write can be compared letter by letter. */
const PARAMETERS = {
  myhostname: 'mx.system.test',
  mail_name: 'Postfix',
  notify_classes: 'bounce, 2bounce, delay',
  bounce_notice_recipient: 'bounces@ops.dsn.test',
  '2bounce_notice_recipient': 'twice@ops.dsn.test',
  delay_notice_recipient: 'delays@ops.dsn.test',
  bounce_size_limit: '3000',
  delay_warning_time: '1s',
  confirm_delay_cleared: 'no',
  smtputf8_enable: 'yes',
};

const reply = (address = ''): string | undefined =>
  address.startsWith('fail') || address.startsWith('größ')
    ? `550 5.1.1 <${address}>: there is no such user here, and this reply is long enough to be folded`
    : address.startsWith('later')
      ? '450 4.2.0 come back later'
      : undefined;

const hooks = { rcpt: ({ recipient }: { readonly recipient?: string }) => reply(recipient) };
const PLAIN = ['PIPELINING', 'SIZE 52428800', '8BITMIME', 'ENHANCEDSTATUSCODES', 'SMTPUTF8'];

/** The reports of success keep the built-in texts, which are each system's own. */
const TEMPLATES = `failure_template = <<EOF
Charset: utf-8
From: Poststelle (MAILER-DAEMON)
Subject: Custom: not delivered
Postmaster-Subject: Custom copy: not delivered

  Grüße von $myhostname, $\{mail_name}: the limit is $(bounce_size_limit), $$5.
EOF

delay_template = <<END
Subject: Custom: delayed
Postmaster-Subject: Custom copy: delayed

$delay_warning_time_seconds $maximal_queue_lifetime_days \\ $maximal_queue_lifetime_hours
END
`;

interface System extends AsyncDisposable {
  readonly smtpPort: number;
  expireAll(queueIds: readonly string[]): Promise<void>;
  /** JSON lines of what is queued, as postqueue -j. */
  queued(): Promise<string>;
}

async function runSystem(
  scenarios: readonly Scenario[],
  start: (shared: Readonly<Record<string, string>>) => Promise<System>,
): Promise<Run> {
  await using stack = new AsyncDisposableStack();
  const server = async (options: Parameters<typeof startSmtpServer>[0]): Promise<SmtpServer> =>
    stack.use(await startSmtpServer({ hooks, ...options }));
  const dsn = await server({ hostname: 'dsn.test' });
  const plain = await server({ hostname: 'plain.test', keywords: PLAIN });
  const lmtp = await server({ hostname: 'lmtp.test', protocol: 'lmtp', keywords: PLAIN });
  const directory = await peerDirectory('reports');
  const maps = join(directory, 'transport');
  await writeFile(
    maps,
    [
      `plain.test smtp:[127.0.0.1]:${plain.port}`,
      `lmtp.test lmtp:inet:[127.0.0.1]:${lmtp.port}`,
      `* smtp:[127.0.0.1]:${dsn.port}`,
      '',
    ].join('\n'),
  );
  const templates = join(directory, 'bounce.cf');
  await writeFile(templates, TEMPLATES);
  const shared = { ...PARAMETERS, transport_maps: `texthash:${maps}`, bounce_template_file: templates };
  const system = stack.use(await start(shared));
  const queueIds = await submitAll(system.smtpPort, scenarios);
  const deferred = scenarios.flatMap(({ recipients }, index) =>
    recipients.some(({ address }) => address.startsWith('later')) ? [queueIds[index] ?? ''] : [],
  );
  const queued = async (): Promise<readonly string[]> =>
    (await system.queued()).split('\n').filter((line) => line !== '');
  await waitFor(
    async () => {
      const lines = await queued();
      // Notices are on their way until all else has left and the rest has had its attempt.
      return (
        lines.length === deferred.length && lines.every((line) => /"queue_name": ?"deferred"/.test(line))
      );
    },
    60_000,
    'all but deferred mail to leave',
  );
  await system.expireAll(deferred);
  await waitFor(async () => (await queued()).length === 0, 60_000, 'the queue to be empty');
  const all = [dsn, plain, lmtp].flatMap(({ messages }) => [...messages]);
  const own = all.filter(({ sender }) => sender === '' || sender.startsWith('double-bounce@'));
  const reports = await readReports(own.map(({ raw }) => raw));
  return {
    notices: own.map(({ sender, recipients }, index) => {
      const report = reports[index];
      if (report === undefined) throw new Error('a notice was not read');
      return { sender, recipient: recipients[0] ?? '', report };
    }),
    delivered: all.filter((message) => !own.includes(message)),
  };
}

export const runPostfix = (scenarios: readonly Scenario[]): Promise<Run> =>
  runSystem(scenarios, async (shared) => {
    const postfix = await startPostfix({
      parameters: {
        ...shared,
        relayhost: '',
        smtpd_authorized_verp_clients: '127.0.0.0/8',
        local_header_rewrite_clients: '',
        append_dot_mydomain: 'no',
        smtp_tls_security_level: 'none',
      },
      relayPort: 1,
      services: 'lmtp unix - - n - - lmtp\n',
    });
    return {
      smtpPort: postfix.smtpPort,
      queued: () => postfix.postqueue('-j'),
      expireAll: async (ids) => {
        for (const id of ids) await postfix.expire(id);
        await postfix.flush();
      },
      [Symbol.asyncDispose]: () => postfix[Symbol.asyncDispose](),
    };
  });

export const runFleet = (scenarios: readonly Scenario[]): Promise<Run> =>
  runSystem(scenarios, async (shared) => {
    const fleet = await startFleet({
      parameters: { ...shared, smtp_tls_security_level: 'none' },
    });
    return {
      smtpPort: fleet.smtpPort,
      queued: async () => (await fleet.command(['queue', '-j'])).stdout,
      expireAll: async (ids) => {
        const { code, stderr } = await fleet.command(['queue', '--expire-release', ...ids]);
        if (code !== 0) throw new Error(stderr);
      },
      [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose](),
    };
  });

/** Hands all messages in over one session; resolves with their queue ids. */
async function submitAll(port: number, scenarios: readonly Scenario[]): Promise<readonly string[]> {
  const socket = connect(port, '127.0.0.1');
  const replies = createInterface({ input: socket })[Symbol.asyncIterator]();
  const say = async (command: string, expected: string): Promise<string> => {
    if (command !== '') socket.write(`${command}\r\n`);
    let line = '';
    do line = (await replies.next()).value ?? '';
    while (/^\d{3}-/.test(line));
    if (!line.startsWith(expected)) throw new Error(`the system said to ${command}: ${line}`);
    return line;
  };
  const queueIds: string[] = [];
  await say('', '220');
  await say('EHLO injector.test', '250');
  for (const { id, sender, recipients, ret, smtputf8, verp, sizeBytes = 0 } of scenarios) {
    const parameters = [
      `ENVID=${id}`,
      ...(ret === undefined ? [] : [`RET=${ret}`]),
      ...(smtputf8 === true ? ['SMTPUTF8'] : []),
      ...(verp === undefined ? [] : [`XVERP=${verp}`]),
    ];
    await say(`MAIL FROM:<${sender}> ${parameters.join(' ')}`, '250');
    for (const { address, parameters: wishes = '' } of recipients) {
      await say(`RCPT TO:<${address}> ${wishes}`.trimEnd(), '250');
    }
    await say('DATA', '354');
    const header = [
      'From: <author@sender.dsn.test>',
      'To: undisclosed-recipients:;',
      `Subject: ${id}`,
      'Date: Mon, 23 Nov 2026 10:00:00 +0000',
      `Message-ID: <${id}@sender.dsn.test>`,
    ];
    const body = `the body of it${'\r\nmore of it'.repeat(Math.ceil(sizeBytes / 12))}`;
    queueIds.push(
      /queued as (\w+)/.exec(await say(`${header.join('\r\n')}\r\n\r\n${body}\r\n.`, '250'))?.[1] ?? '',
    );
  }
  await say('QUIT', '221');
  socket.destroy();
  return queueIds;
}

const READER = fileURLToPath(new URL('read-reports.py', import.meta.url));

async function readReports(raws: readonly Buffer[]): Promise<readonly Report[]> {
  const input = raws.map((raw) => `${JSON.stringify(raw.toString('latin1'))}\n`).join('');
  const output = await new Promise<string>((resolve, reject) => {
    const child = execFile('python3', [READER], { maxBuffer: 100_000_000 }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    );
    child.stdin?.end(input);
  });
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Report);
}
