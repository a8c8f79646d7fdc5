/** What a connection cache was good for, in the words of scache(8). Counts since the last report; lines without a count are left out. */

interface Lookups {
  hits: number;
  misses: number;
}

export class CacheStatistics {
  #sinceMs: number;
  #domain: Lookups = { hits: 0, misses: 0 };
  #address: Lookups = { hits: 0, misses: 0 };
  #peak = { domains: 0, addresses: 0, connections: 0 };

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  lookedUp(by: 'domain' | 'address', hit: boolean): void {
    const lookups = by === 'domain' ? this.#domain : this.#address;
    if (hit) lookups.hits++;
    else lookups.misses++;
  }

  /** To be called after each session that was parked. */
  parked(domains: number, addresses: number, connections: number): void {
    const peak = this.#peak;
    this.#peak = {
      domains: Math.max(peak.domains, domains),
      addresses: Math.max(peak.addresses, addresses),
      connections: Math.max(peak.connections, connections),
    };
  }

  /** The lines since the last report, and begins anew. */
  report(nowMs: number): string[] {
    const { domains, addresses, connections } = this.#peak;
    const lines = [
      ...lookupLine('domain', this.#domain),
      ...lookupLine('address', this.#address),
      ...(domains + addresses + connections === 0
        ? []
        : [`max simultaneous domains=${domains} addresses=${addresses} connection=${connections}`]),
    ];
    const start = `start interval ${stampOf(this.#sinceMs)}`;
    this.#sinceMs = nowMs;
    this.#domain = { hits: 0, misses: 0 };
    this.#address = { hits: 0, misses: 0 };
    this.#peak = { domains: 0, addresses: 0, connections: 0 };
    return lines.length === 0 ? [] : [start, ...lines].map((line) => `statistics: ${line}`);
  }
}

const lookupLine = (name: string, { hits, misses }: Lookups): string[] =>
  hits + misses === 0
    ? []
    : [`${name} lookup hits=${hits} miss=${misses} success=${Math.trunc((100 * hits) / (hits + misses))}%`];

/** `Nov  3 23:04:05`, local time. */
const stampOf = (ms: number): string => {
  const text = new Date(ms).toString();
  return `${text.slice(4, 10).replace(' 0', '  ')} ${text.slice(16, 24)}`;
};
