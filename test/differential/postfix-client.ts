/**
 * All scenarios through one Postfix: each has a recipient domain of its own that transport_maps sends to its servers, over a service of
 * its own where it needs settings of its own. What Postfix decided is read from its log.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { startPostfix } from '../peers/postfix.ts';
import { peerDirectory } from '../peers/process.ts';
import { COMMON } from './our-client.ts';
import {
  type Account,
  contentOf,
  isAbout,
  mailboxOf,
  type Ports,
  recipientsOf,
  returnPathOf,
  type Scenario,
  scenarioDomain,
} from './scenario.ts';
import { startServers } from './servers.ts';

const LOG_LINE = / postfix\/(?:smtp|lmtp|qmgr|error)\[\d+\]: (.*)$/;
const VERDICT =
  /^(\w+): to=<(.*?)>,(?: orig_to=<.*?>,)? relay=(.*?), delay=.*?, dsn=([\d.]+), status=(\w+) \((.*)\)$/;

const QUEUE_ID = /^(?:warning: )?(\w+): /;

export interface PostfixRun {
  readonly accounts: readonly Account[];
  /** Log lines without a queue id: some tell neither message nor server. */
  readonly anonymous: ReadonlySet<string>;
}

const PATIENCE_MS = 40_000;

/** @param nameServer address where the names of all scenarios are known, at port 53 */
export const runPostfix = async (scenarios: readonly Scenario[], nameServer: string): Promise<PostfixRun> => {
  await using stack = new AsyncDisposableStack();
  const directory = await peerDirectory('differential');
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const servers = await Promise.all(scenarios.map((scenario) => startServers(scenario)));
  for (const server of servers) stack.use(server);
  const services: string[] = [];
  const transports: string[] = [];
  for (const [index, scenario] of scenarios.entries()) {
    const ports = servers[index]?.ports;
    if (ports === undefined) continue;
    const protocol = scenario.protocol ?? 'smtp';
    const settings = Object.entries(ports.config(scenario));
    const service = settings.length === 0 ? protocol : `client${index}`;
    if (settings.length > 0) {
      const options = settings.map(([name, value]) => ` -o { ${name} = ${value} }`).join('');
      // In a chroot jail, where it has a resolv.conf of its own.
      const jail = scenario.zones === undefined ? 'n' : 'y';
      services.push(`client${index} unix - - ${jail} - - ${protocol}${options}\n`);
    }
    transports.push(`${scenarioDomain(index)} ${service}:${ports.nexthop(scenario)}\n`);
  }
  await writeFile(join(directory, 'transport'), transports.join(''));
  await writeFile(join(directory, 'header_checks'), '/^Received:/ IGNORE\n');
  await using postfix = await startPostfix({
    parameters: {
      ...COMMON,
      transport_maps: `texthash:${join(directory, 'transport')}`,
      header_checks: `regexp:${join(directory, 'header_checks')}`,
      // Notices to senders are not what is compared here.
      default_transport: 'discard:',
      relayhost: '',
      notify_classes: '',
      local_header_rewrite_clients: '',
      allow_percent_hack: 'no',
      swap_bangpath: 'no',
      allow_untrusted_routing: 'yes',
      resolve_dequoted_address: 'no',
    },
    nameServer,
    services: `lmtp unix - - n - - lmtp\n${services.join('')}`,
  });
  const queueIds = await submit(postfix.smtpPort, scenarios);
  let lines: readonly string[] = [];
  const undecided = (): string[] => {
    const decided = lines.flatMap((line) => VERDICT.exec(line)?.[1] ?? []);
    return scenarios.flatMap((scenario, index) => {
      const count = decided.filter((queueId) => queueId === queueIds[index]).length;
      return count < recipientsOf(scenario).length ? scenario.name : [];
    });
  };
  const deadline = performance.now() + PATIENCE_MS;
  for (let open = undecided(); open.length > 0; open = undecided()) {
    await delay(100);
    const log = await readFile(postfix.logFile, 'utf8');
    lines = log.split('\n').flatMap((line) => LOG_LINE.exec(line)?.[1] ?? []);
    if (performance.now() > deadline) {
      const trouble = log.split('\n').filter((line) => /fatal|panic/.test(line));
      throw new Error(`Postfix has not decided on: ${open.join('; ')}\n${trouble.join('\n')}`);
    }
  }
  const ids = new Set(queueIds);
  const accounts: Account[] = [];
  for (const [index, server] of servers.entries()) {
    const scenario = scenarios[index];
    if (scenario === undefined) continue;
    const queueId = queueIds[index] ?? '';
    accounts.push(accountOf(scenario, lines, queueId, server.ports, await server.transcript()));
  }
  const anonymous = lines.filter(
    (line) =>
      !ids.has(QUEUE_ID.exec(line)?.[1] ?? '') && !scenarios.some((scenario) => isAbout(scenario, line)),
  );
  return { accounts, anonymous: new Set(anonymous) };
};

const accountOf = (
  scenario: Scenario,
  lines: readonly string[],
  queueId: string,
  ports: Ports,
  sessions: Account['sessions'],
): Account => {
  const verdicts: string[] = [];
  const remarks: string[] = [];
  for (const line of lines) {
    const verdict = VERDICT.exec(line);
    const [, of, to = '', relay, dsn, word, reason] = verdict ?? [];
    if (of === queueId) {
      verdicts.push(ports.normalize(`${unquote(to)} ${relay} ${dsn} ${word} (${reason})`));
    } else if (verdict === null) {
      const text = line.replace(`${queueId}: `, '');
      // A line about a server may come without a queue id, but never with another one.
      const named = ports.names(line) || isAbout(scenario, line);
      const ours = text !== line || (named && !line.includes('to=<'));
      if (ours && !/^(from=|removed$)/.test(text)) remarks.push(ports.normalize(text));
    }
  }
  return { sessions, verdicts, remarks: remarks.sort() };
};

/** Hands all messages in over one session; resolves with their queue ids. */
const submit = async (port: number, scenarios: readonly Scenario[]): Promise<readonly string[]> => {
  const socket = connect(port, '127.0.0.1');
  const replies = createInterface({ input: socket })[Symbol.asyncIterator]();
  const say = async (command: string | Buffer, expected: string): Promise<string> => {
    socket.write(typeof command === 'string' && command !== '' ? `${command}\r\n` : command);
    let line = '';
    do line = (await replies.next()).value ?? '';
    while (/^\d{3}-/.test(line));
    if (!line.startsWith(expected)) throw new Error(`Postfix said to ${command.toString()}: ${line}`);
    return line;
  };
  const queueIds: string[] = [];
  await say('', '220');
  await say('EHLO injector.test', '250');
  for (const [index, scenario] of scenarios.entries()) {
    const { encoding, smtputf8, envid, ret } = scenario;
    const parameters = [
      encoding === '7bit' ? 'BODY=7BIT' : encoding === '8bit' ? 'BODY=8BITMIME' : '',
      smtputf8 === true ? 'SMTPUTF8' : '',
      envid === undefined ? '' : `ENVID=${envid}`,
      ret === undefined ? '' : `RET=${ret}`,
    ];
    await say(
      `MAIL FROM:<${returnPathOf(scenario)}> ${parameters.filter((item) => item !== '').join(' ')}`.trimEnd(),
      '250',
    );
    for (const recipient of recipientsOf(scenario)) {
      await say(`RCPT TO:<${mailboxOf(recipient, index)}> ${recipient.parameters ?? ''}`.trimEnd(), '250');
    }
    await say('DATA', '354');
    const stuffed = contentOf(scenario).toString('latin1').replace(/^\./gm, '..');
    const reply = await say(Buffer.from(`${stuffed}.\r\n`, 'latin1'), '250');
    queueIds.push(/queued as (\w+)/.exec(reply)?.[1] ?? '');
  }
  await say('QUIT', '221');
  socket.destroy();
  return queueIds;
};

/** Logs have addresses in quoted form. */
const unquote = (address: string): string => {
  const match = /^"(.*)"(@[^"]*)$/.exec(address);
  return match === null ? address : `${match[1]?.replace(/\\(.)/g, '$1')}${match[2]}`;
};
