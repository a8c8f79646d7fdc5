/**
 * The site of a destination, from its mail hosts: domains with the same set of MX hosts are one site. Told to the queue when a
 * lookup for a delivery brings it, so that it costs no lookup of its own.
 */
import { createHash } from 'node:crypto';
import type { WorkerPort } from '@mailfleet/queue';
import type { HostFinder } from '@mailfleet/routing';

/** A name that people recognise, and that is the same for the same hosts in any order. */
export function siteOfHosts(hosts: readonly { readonly host: string }[]): string {
  const names = [...new Set(hosts.map(({ host }) => host.toLowerCase()))].sort();
  const [first = ''] = names;
  if (names.length < 2) return first;
  const digest = createHash('sha256').update(names.join(' ')).digest('hex').slice(0, 8);
  return `${first}+${names.length - 1}-${digest}`;
}

const TELL_AGAIN_MS = 3_600_000;
/** Bounds the memory; beyond it everything is told anew. */
const MOST = 100_000;

/** Finds hosts as before and tells the site. `[host]` is one already. */
export function tellingSites(
  findHosts: HostFinder,
  transport: string,
  queue: Pick<WorkerPort, 'reportSite'>,
  warn: (sentence: string) => void,
): HostFinder {
  const told = new Map<string, { readonly site: string; readonly untilMs: number }>();
  return async (destination) => {
    const result = await findHosts(destination);
    if (result.kind !== 'found' || destination.startsWith('[')) return result;
    const site = siteOfHosts(result.hosts);
    const before = told.get(destination);
    const nowMs = performance.now();
    if (before?.site !== site || before.untilMs <= nowMs) {
      if (told.size >= MOST) told.clear();
      told.set(destination, { site, untilMs: nowMs + TELL_AGAIN_MS });
      // A delivery does not wait for it.
      queue.reportSite({ transport, nexthop: destination }, site).catch((error: unknown) => {
        warn(`site of ${destination} not told: ${String(error)}`);
      });
    }
    return result;
  };
}
