/**
 * `npm run demo`: a fleet with two workers and its own Redis delivers 1,000 messages to a small world that accepts,
 * greylists, rejects and is down; then says how each one ended. Exit status 0 only if every message ended as it should.
 * `--json` prints the summary for programs, `--keep` leaves the fleet running to look around.
 */
import { parseArgs } from 'node:util';
import { waitFor } from '@mailfleet/test-kit';
import { Presets, SingleBar } from 'cli-progress';
import { startFleet } from '../fleet/fleet.ts';
import { type Injected, inject } from './inject.ts';
import { DOMAINS, type Peers, startPeers } from './peers.ts';
import { judge, type Report, reportText } from './verdict.ts';

const MESSAGES = 1_000;
const DEADLINE_MS = 120_000;

const { values: flags } = parseArgs({
  options: { json: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false } },
});
const say = (line: string): void => {
  if (!flags.json) process.stdout.write(`${line}\n`);
};

await using peers = asyncDisposable(await startPeers());
say('Starting a fleet: Redis, intake, scheduler, 2 workers, bounce, dashboard …');
await using fleet = await startFleet({
  workers: 2,
  onOutput: (text) => {
    const fetching = /mailfleet up: (.*fetching.*)/.exec(text)?.[1];
    if (fetching !== undefined) say(`${fetching} …`);
  },
  parameters: {
    dns_servers: `127.0.0.1:${peers.dns.port}`,
    smtp_tcp_port: String(peers.smtp.port),
    // A demo cannot wait five minutes: the times of a real queue, shortened.
    minimal_backoff_time: '2s',
    maximal_backoff_time: '4s',
    maximal_queue_lifetime: '8s',
    bounce_queue_lifetime: '8s',
    message_timeline_time: '1h',
  },
});
say(`Ready after ${(fleet.startMs / 1000).toFixed(1)} s. The outside world:`);
for (const { name, what, ends } of DOMAINS) say(`  ${name.padEnd(18)} ${what}; its mail should be ${ends}`);
say(`Dashboard: ${fleet.dashboardUrl}\n`);

const bar = new SingleBar(
  {
    format: '  accepted {accepted}  delivered {delivered}  returned {returned}  {bar} {percentage}%',
    hideCursor: true,
  },
  Presets.shades_classic,
);
if (!flags.json) bar.start(MESSAGES, 0, { accepted: 0, delivered: 0, returned: 0 });

const startedMs = performance.now();
let accepted = 0;
let firstAttemptsDoneMs = startedMs;
const progress = setInterval(() => {
  bar.update(endedCount(peers), {
    accepted,
    delivered: peers.deliveries.size,
    returned: peers.returned.size,
  });
}, 100);

const injected = await inject(fleet.smtpPort, MESSAGES, () => {
  accepted += 1;
});
const firsts = injected.filter(({ domain }) =>
  DOMAINS.some((d) => d.name === domain && d.ends === 'delivered'),
);
await waitFor(
  () => firsts.every(({ recipient }) => peers.deliveries.has(recipient)),
  DEADLINE_MS,
  'first attempts',
)
  .then(() => {
    firstAttemptsDoneMs = performance.now();
    return waitFor(() => judge(injected, peers).missing.length === 0, DEADLINE_MS, 'every message to end');
  })
  .catch(() => undefined); // The summary says what is missing.
clearInterval(progress);
bar.update(endedCount(peers), { accepted, delivered: peers.deliveries.size, returned: peers.returned.size });
bar.stop();

const verdict = judge(injected, peers);
const report: Report = {
  ...verdict,
  seconds: (performance.now() - startedMs) / 1000,
  messagesPerSecond: firsts.length / ((firstAttemptsDoneMs - startedMs) / 1000),
  example: await exampleOf(injected),
};
process.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : reportText(report));
say(
  'Look further: npx mailfleet up -o relayhost=[127.0.0.1]:2526, docs/architecture.md, npm run demo -- --keep',
);
if (flags.keep) {
  say(
    `The fleet stays: SMTP on port ${fleet.smtpPort}, dashboard ${fleet.dashboardUrl}. End it with Ctrl-C.`,
  );
  await new Promise((resolve) => process.once('SIGINT', resolve));
}
process.exitCode = verdict.missing.length === 0 && verdict.deliveredTwice === 0 ? 0 : 1;

function endedCount({ deliveries, returned }: Peers): number {
  return deliveries.size + returned.size;
}

/** A message that was deferred and then delivered tells most. */
async function exampleOf(messages: readonly Injected[]): Promise<Report['example']> {
  const message = messages.find(({ recipient }) => peers.greylisted.has(recipient)) ?? messages[0];
  const queueId = message?.queueId ?? '';
  const lines = (await fleet.maillog()).split('\n').filter((line) => line.includes(`${queueId}: to=`));
  const { stdout } = await fleet.command(['log', queueId]);
  return { queueId, logLine: lines.at(-1) ?? '', timeline: stdout };
}

function asyncDisposable<T extends { close(): Promise<void> }>(resource: T): T & AsyncDisposable {
  return Object.assign(resource, { [Symbol.asyncDispose]: () => resource.close() });
}
