/** Match lists for everyone: match-items.ts with the tables of open.ts. */
import {
  type DomainListOptions,
  type MatchList,
  matchDomainsWith,
  matchNetworksWith,
} from './match-items.ts';
import { openTable } from './open.ts';
import type { TableOptions } from './table.ts';

/** A list of client addresses: `10.0.0.0/8`, `[::1]/128`, `192.0.2.1`, files and tables. The subject is an address. */
export function matchNetworks(patterns: readonly string[], options: TableOptions = {}): MatchList {
  return matchNetworksWith(openTable, patterns, options);
}

/** A list of domains: `example.com`, `.example.com` for subdomains, files and tables. The subject is a domain. */
export function matchDomains(patterns: readonly string[], options: DomainListOptions = {}): MatchList {
  return matchDomainsWith(openTable, patterns, options);
}
