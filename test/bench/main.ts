/**
 * `npm run bench`: Mailfleet beside Debian's Postfix in one run, on one machine, to the same smtp-sink: 10,000 messages of
 * 4 kB, end to end and delivery alone. Both make a message durable before they acknowledge it (fsync). What counts is
 * the ratio; machines differ and are noisy. `--messages N` and `--rounds N` make it longer, `--json` prints for programs.
 *
 *   end to end   from the first byte of smtp-source to the last message at the sink
 *   delivery     from the first to the last message at the sink, of a queue that was filled before; for Mailfleet also
 *                the CPU time per message of each process, start-up left out (the budgets of docs/benchmarks.md)
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { startPostfix } from '../peers/postfix.ts';
import { startSink } from '../peers/sink.ts';
import { type Load, runSource } from '../peers/source.ts';
import { costPerMessage, cpuTimes } from './cpu.ts';
import { preload, startCandidate } from './mailfleet.ts';

const TIMEOUT_MS = 300_000;

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});
const load: Load = { messages: Number(flags.messages), sessions: 20, contentBytes: 4_096 };

type Scenario = 'end to end' | 'delivery';
interface Figure {
  readonly system: 'Mailfleet' | 'Postfix';
  readonly scenario: Scenario;
  readonly messagesPerSecond: number;
  /** Microseconds of CPU per message, by process. */
  readonly cpuMicros?: Readonly<Record<string, number>>;
}

async function endToEnd(system: Figure['system']): Promise<Figure> {
  await using sink = await startSink();
  await using server =
    system === 'Mailfleet'
      ? await startCandidate(sink.port)
      : await startPostfix({ relayPort: sink.port, hold: false });
  const startMs = performance.now();
  await runSource(server.smtpPort, load);
  const endMs = await sink.reached(load.messages, TIMEOUT_MS);
  return figure(system, 'end to end', endMs - startMs);
}

async function deliveryOfPostfix(): Promise<Figure> {
  await using sink = await startSink();
  await using postfix = await startPostfix({ relayPort: sink.port, hold: true });
  await runSource(postfix.smtpPort, load);
  await postfix.releaseAll();
  const startMs = await sink.reached(1, TIMEOUT_MS);
  return figure('Postfix', 'delivery', (await sink.reached(load.messages, TIMEOUT_MS)) - startMs);
}

async function deliveryOfMailfleet(): Promise<Figure> {
  await using sink = await startSink();
  await using loaded = await preload(sink.port, load);
  const starting = loaded.start();
  const startMs = await sink.reached(1, TIMEOUT_MS);
  const fleet = await starting;
  const pids = {
    'smtp-worker': fleet.pidOf('smtp-worker-1'),
    scheduler: fleet.pidOf('scheduler'),
    Redis: loaded.redisPid,
  };
  const already = sink.messages;
  const before = await cpuTimes(pids);
  const endMs = await sink.reached(load.messages, TIMEOUT_MS);
  const cpuMicros = costPerMessage(before, await cpuTimes(pids), load.messages - already);
  await fleet[Symbol.asyncDispose]();
  return { ...figure('Mailfleet', 'delivery', endMs - startMs), cpuMicros };
}

function figure(system: Figure['system'], scenario: Scenario, elapsedMs: number): Figure {
  return { system, scenario, messagesPerSecond: load.messages / (elapsedMs / 1000) };
}

function costText({ cpuMicros = {} }: Figure): string {
  const costs = Object.entries(cpuMicros).map(([name, micros]) => `${name} ${micros}`);
  return costs.length === 0 ? '' : `; µs of CPU per message: ${costs.join(', ')}`;
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
};

const figures: Figure[] = [];
for (let round = 1; round <= Number(flags.rounds); round += 1) {
  for (const measure of [
    () => endToEnd('Postfix'),
    () => endToEnd('Mailfleet'),
    deliveryOfPostfix,
    deliveryOfMailfleet,
  ]) {
    const one = await measure();
    figures.push(one);
    if (!flags.json) {
      process.stdout.write(
        `${one.scenario.padEnd(10)} ${one.system.padEnd(9)} ${one.messagesPerSecond.toFixed(0)} messages/s${costText(one)}\n`,
      );
    }
  }
}

const of = (system: Figure['system'], scenario: Scenario): number =>
  median(
    figures.filter((f) => f.system === system && f.scenario === scenario).map((f) => f.messagesPerSecond),
  );
const summary = (['end to end', 'delivery'] as const).map((scenario) => ({
  scenario,
  postfix: of('Postfix', scenario),
  mailfleet: of('Mailfleet', scenario),
  ratio: of('Mailfleet', scenario) / of('Postfix', scenario),
}));
if (flags.json) {
  process.stdout.write(`${JSON.stringify({ load, cores: cpus().length, summary, figures })}\n`);
} else {
  process.stdout.write(
    `\n${load.messages} messages of ${load.contentBytes} bytes, ${cpus().length} cores, median of ${flags.rounds}\n`,
  );
  for (const { scenario, postfix, mailfleet, ratio } of summary) {
    process.stdout.write(
      `${scenario.padEnd(10)} Postfix ${postfix.toFixed(0)}/s, Mailfleet ${mailfleet.toFixed(0)}/s: ratio ${ratio.toFixed(2)}\n`,
    );
  }
}
