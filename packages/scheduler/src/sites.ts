/**
 * Which nexthops are of one site: by destination_site_maps, else with destination_site_rollup by what workers found out about
 * their mail hosts. Answers are remembered for a while; a nexthop that nothing is known of has a window of its own. The
 * scheduler asks no name server: a worker looks hosts up anyway, and tells (architecture, decisions).
 */
import type { Config } from '@mailfleet/config';
import { openMaps, tableOptions } from '@mailfleet/lookup';
import type { SchedulerPort } from '@mailfleet/queue';
import type { SiteOf } from './core/state.ts';

const REMEMBER_MS = 60_000;
/** A worker may be about to tell it. */
const REMEMBER_UNKNOWN_MS = 2_000;
/** Bounds the memory; beyond it everything is asked anew. */
const MOST = 100_000;

interface Named {
  readonly transport: string;
  readonly nexthop: string;
}

export interface Sites {
  readonly siteOf: SiteOf;
  /** To be awaited before recipients with these nexthops enter the core. */
  learn(shard: number, names: Iterable<Named>): Promise<void>;
}

/** Undefined when the configuration knows no sites. */
export function makeSites(
  config: Config,
  port: Pick<SchedulerPort, 'sitesOf'>,
  warn: (sentence: string) => void,
  now: () => number,
): Sites | undefined {
  const specs = config.get('destination_site_maps');
  const rollup = config.get('destination_site_rollup');
  if (specs.length === 0 && !rollup) return undefined;
  const table = specs.length === 0 ? undefined : openMaps(specs, { ...tableOptions(config), warn });
  const known = new Map<string, { readonly site: string | undefined; readonly untilMs: number }>();

  async function mapped(nexthop: string): Promise<string | undefined> {
    const result = await table?.lookup(nexthop);
    if (result?.kind === 'found') return result.value.toLowerCase();
    if (result?.kind === 'error') {
      warn(`destination_site_maps: ${result.reason}; ${nexthop} has a window of its own meanwhile`);
    }
    return undefined;
  }

  return {
    siteOf: (transport, nexthop) => known.get(keyOf({ transport, nexthop }))?.site,
    async learn(shard, names) {
      const nowMs = now();
      const asked = new Map<string, Named>();
      for (const { transport, nexthop } of names) {
        const key = keyOf({ transport, nexthop });
        if ((known.get(key)?.untilMs ?? 0) <= nowMs)
          asked.set(key, { transport, nexthop: nexthop.toLowerCase() });
      }
      if (asked.size === 0) return;
      if (known.size + asked.size > MOST) known.clear();
      const wanted = [...asked];
      const own = await Promise.all(wanted.map(([, { nexthop }]) => mapped(nexthop)));
      const told = rollup ? await port.sitesOf(shard, [...asked.values()]) : [];
      for (const [i, [key]] of wanted.entries()) {
        const site = own[i] ?? told[i];
        known.set(key, { site, untilMs: nowMs + (site === undefined ? REMEMBER_UNKNOWN_MS : REMEMBER_MS) });
      }
    },
  };
}

function keyOf({ transport, nexthop }: Named): string {
  return `${transport}:${nexthop.toLowerCase()}`;
}
