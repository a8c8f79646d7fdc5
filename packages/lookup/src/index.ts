/** Lookup tables (`type:name`) and match lists. */
export {
  type DomainListOptions,
  type MatchList,
  type MatchResult,
  matchDomains,
  matchNetworks,
} from './match-list.ts';
export { openMaps, openTable } from './open.ts';
export type { LookupOptions, LookupResult, Table, TableOptions } from './table.ts';
