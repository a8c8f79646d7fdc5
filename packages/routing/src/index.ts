/** Transports, next hops, DNS and MX choice: from a recipient to the addresses that its mail is to be tried at. */
export {
  type Destination,
  type DestinationSyntax,
  type Nexthop,
  type ParsedDestination,
  parseDestination,
  parseNexthop,
  splitDestinations,
} from './nexthop.ts';
