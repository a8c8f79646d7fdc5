/**
 * `npm run bench:bounces`: whether a storm of bounces slows mail that is tried for the first time. A destination that refuses everybody is
 * paused while its mail gathers; then probes go out at a fixed rate, first on the quiet fleet and then while the storm runs: each
 * refusal makes a notice to a sender whose server takes its time. `--bounces N`, `--probes N`, `--rate PER_SECOND`, `--slow MS`.
 *
 * Ends with 1 when the probes' throughput falls by more than a tenth, or when the storm was over before the probes were.
 */
import { parseArgs } from 'node:util';
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { mailfleet, startFleet } from '../fleet/fleet.ts';

const { values: flags } = parseArgs({
  options: {
    bounces: { type: 'string', default: '50000' },
    probes: { type: 'string', default: '300' },
    rate: { type: 'string', default: '10' },
    slow: { type: 'string', default: '100' },
  },
});
const [bounces, probes, rate, slowMs] = [flags.bounces, flags.probes, flags.rate, flags.slow].map(Number) as [
  number,
  number,
  number,
  number,
];

const LIMIT = 0.9;
const PATIENCE_MS = 3_600_000;

await using refusing = await startSmtpServer({ hooks: { rcpt: '550 5.1.1 unknown' }, keepMessages: false });
await using senders = await startSmtpServer({
  hooks: { dot: { delayMs: slowMs } },
  keepMessages: false,
});
const arrivals = new Map<string, number>();
await using first = await startSmtpServer({
  keepMessages: false,
  onMessage: ({ raw }) => {
    const id = /^Subject: (\S+)/m.exec(raw.toString('latin1'))?.[1] ?? '';
    if (!arrivals.has(id)) arrivals.set(id, performance.now());
  },
});
const route = (domain: string, port: number): string => `{ ${domain} = smtp:[127.0.0.1]:${port} }`;
await using fleet = await startFleet({
  parameters: {
    transport_maps: `inline:{ ${route('gone.test', refusing.port)} ${route('sender.test', senders.port)} ${route('first.test', first.port)} }`,
    smtp_tls_security_level: 'none',
  },
});
const transport = createTransport({
  host: '127.0.0.1',
  port: fleet.smtpPort,
  ignoreTLS: true,
  pool: true,
  maxConnections: 5,
  maxMessages: Number.MAX_SAFE_INTEGER,
});
const destination = (args: readonly string[]) =>
  mailfleet(['destination', args[0] ?? '', '-c', fleet.directory, ...args.slice(1)]);
const gone = `smtp:[127.0.0.1]:${refusing.port}`;

/** Sends the probes at the fixed rate; throughput in messages/s and delays in ms. */
async function probe(name: string): Promise<{ perSecond: number; median: number; p95: number }> {
  const sent = new Map<string, number>();
  const start = performance.now();
  const pending: Promise<void>[] = [];
  for (let n = 0; n < probes; n += 1) {
    const id = `${name}-${n}`;
    const dueMs = start + (n * 1000) / rate - performance.now();
    if (dueMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs));
    const at = performance.now();
    sent.set(id, at);
    pending.push(
      transport
        .sendMail({ from: 'probe@sender.test', to: 'someone@first.test', subject: id, text: 'x' })
        .then(() => undefined),
    );
  }
  await Promise.all(pending);
  await waitFor(() => [...sent.keys()].every((id) => arrivals.has(id)), PATIENCE_MS, 'the probes');
  const last = Math.max(...[...sent.keys()].map((id) => arrivals.get(id) ?? 0));
  const delays = [...sent].map(([id, at]) => (arrivals.get(id) ?? 0) - at).sort((a, b) => a - b);
  const at = (share: number): number => delays[Math.floor(share * (delays.length - 1))] ?? 0;
  return { perSecond: (1000 * probes) / (last - start), median: at(0.5), p95: at(0.95) };
}

const shown = ({ perSecond, median, p95 }: Awaited<ReturnType<typeof probe>>): string =>
  `${perSecond.toFixed(2)} messages/s, median ${median.toFixed(0)} ms, 95th percentile ${p95.toFixed(0)} ms`;

await destination(['pause', gone, '--for', '1d', '--reason', 'benchmark']);
process.stdout.write(`${bounces} messages gather\n`);
await Promise.all(
  Array.from({ length: bounces }, (_, n) =>
    transport.sendMail({ from: `u${n}@sender.test`, to: 'nobody@gone.test', text: 'x' }),
  ),
);
await probe('warm-up');
const quiet = await probe('quiet');
process.stdout.write(`quiet: ${shown(quiet)}\n`);
await destination(['resume', gone]);
await waitFor(() => senders.messageCount > 0, PATIENCE_MS, 'the first notice');
const stormy = await probe('storm');
const noticesThen = senders.messageCount;
process.stdout.write(
  `storm: ${shown(stormy)}; ${noticesThen} of ${bounces} notices had arrived at its end\n`,
);
const kept = stormy.perSecond / quiet.perSecond;
process.stdout.write(`first attempts keep ${(100 * kept).toFixed(1)} % of their throughput\n`);
transport.close();
if (noticesThen >= bounces)
  process.stdout.write('the storm was over before the probes were: more bounces are needed\n');
process.exitCode = kept >= LIMIT && noticesThen < bounces ? 0 : 1;
