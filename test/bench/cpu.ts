/** CPU time of processes, as Linux counts it: what a message costs each of them, which wall time on a busy machine does not tell. */
import { readFile } from 'node:fs/promises';

/** USER_HZ, the unit of /proc/<pid>/stat; 100 on every Linux that Node runs on. */
const TICK_MS = 10;

export type CpuTimes = ReadonlyMap<string, number>;

/** Milliseconds of CPU, user and system, that each process used so far; children that ended are not counted. Linux only. */
export async function cpuTimes(pids: Readonly<Record<string, number>>): Promise<CpuTimes> {
  const times = await Promise.all(
    Object.entries(pids).map(async ([name, pid]): Promise<[string, number]> => {
      const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
      // The name in parentheses may hold spaces; utime and stime are the 12th and 13th field behind it (proc(5)).
      const [, ...fields] = stat.slice(stat.lastIndexOf(')')).split(' ');
      return [name, (Number(fields[11]) + Number(fields[12])) * TICK_MS];
    }),
  );
  return new Map(times);
}

/** Microseconds of CPU per message in between. */
export function costPerMessage(before: CpuTimes, after: CpuTimes, messages: number): Record<string, number> {
  return Object.fromEntries(
    [...after].map(([name, ms]) => [name, Math.round(((ms - (before.get(name) ?? 0)) * 1000) / messages)]),
  );
}
