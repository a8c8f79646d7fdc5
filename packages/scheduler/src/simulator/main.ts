/**
 * `npm run simulate [-- messages]`: a million messages beside a list of 200,000 recipients, with preemption and without, on a
 * virtual clock. The result stands in docs/scheduling.md.
 */
import { makeConfig } from '@mailfleet/config';
import { settingsFrom } from '../settings.ts';
import { scaledTo } from './scenario.ts';
import { percentile, type Simulation, simulate } from './simulate.ts';

const options = scaledTo(Number(process.argv[2] ?? 1_000_000));
const PERCENTILES = [50, 90, 99, 100] as const;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`;

function row(label: string, result: Simulation, cpuMs: number): string {
  const waits = PERCENTILES.map((percent) => seconds(percentile(result.besideListMs, percent)));
  const cells = [
    label,
    ...waits,
    seconds(result.listMs),
    `${result.mostOfList}`,
    seconds(result.endMs),
    `${(cpuMs / 1000).toFixed(1)} s`,
  ];
  return `| ${cells.join(' | ')} |`;
}

const { messages, destinations, list, perSecond, sessions } = options;
console.log(
  `${messages} messages, ${perSecond} a second, to ${destinations} destinations; a list of ${list} recipients; ${sessions} sessions\n`,
);
console.log(
  '| Slot cost | wait p50 | p90 | p99 | longest | list done after | of it in memory | queue empty after | CPU |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const slotCost of [5, 0]) {
  const settings = settingsFrom(
    makeConfig({
      default_process_limit: String(sessions),
      default_delivery_slot_cost: String(slotCost),
    }),
  );
  const started = process.cpuUsage();
  const result = simulate(options, settings);
  const { user, system } = process.cpuUsage(started);
  console.log(row(`${slotCost}${slotCost === 0 ? ' (no preemption)' : ''}`, result, (user + system) / 1000));
  if (slotCost === 5) {
    const before = PERCENTILES.map((percent) => seconds(percentile(result.beforeListMs, percent)));
    console.log(`| before the list | ${before.join(' | ')} | | | | |`);
  }
}
