/** Lookup tables (`type:name`) and match lists. */
export { splitExtension } from './address-extension.ts';
export type { DomainListOptions, MatchList, MatchResult } from './match-items.ts';
export { matchDomains, matchNetworks } from './match-list.ts';
export { parseSocketAddress, type SocketAddress } from './network/socket-pool.ts';
export { openMaps, openTable } from './open.ts';
export { tableOptions } from './options.ts';
export type { LookupOptions, LookupResult, Table, TableOptions } from './table.ts';
export { withoutEntries } from './without-entries.ts';
