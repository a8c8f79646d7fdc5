/** Transports, next hops, DNS and MX choice: from a recipient to the addresses that its mail is to be tried at. */
export { lookupKeys, senderKeys } from './address-keys.ts';
export type { LookupFailure, LookupResult, LookupSettings } from './dns-lookup.ts';
export type { LookupType, RecordData } from './dns-message.ts';
export { type DnssecProbe, parseDnssecProbe } from './dnssec-probe.ts';
export { findHosts } from './find-hosts.ts';
export { createHostFinder, type HostFinder, type HostFinderOptions } from './host-finder.ts';
export {
  type AddressFamily,
  type HostAddress,
  type HostSearch,
  type HostSearchSettings,
  type HostsResult,
  type MxAnswer,
  readDestinationSyntax,
  readHostSearchSettings,
} from './host-search.ts';
export {
  type Destination,
  type DestinationSyntax,
  type Nexthop,
  type ParsedDestination,
  parseDestination,
  parseNexthop,
  splitDestinations,
} from './nexthop.ts';
export {
  findOwnAddresses,
  findSourceAddresses,
  type NativeLookup,
  type OwnAddresses,
  type SourceAddresses,
} from './own-addresses.ts';
export { createResolver, type Resolver, type ResolverOptions } from './resolver.ts';
export { createRouter, type Route, type Router, type RouterOptions } from './router.ts';
export { type TransportAgent, transportAgent } from './transport.ts';
