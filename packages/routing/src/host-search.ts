/**
 * What looking for hosts needs besides the destination, and what it answers. The settings are read from main.cf once per
 * delivery agent; everything that touches the network or chance is a function here, so that tests bring their own.
 */
import type { Config } from '@mailfleet/config';
import { openMaps, tableOptions } from '@mailfleet/lookup';
import type { LookupSettings } from './dns-lookup.ts';
import type { DestinationSyntax } from './nexthop.ts';
import type { NativeLookup, OwnAddresses } from './own-addresses.ts';
import type { Resolver } from './resolver.ts';
import { makeServicePorts } from './service-port.ts';

export type AddressFamily = 4 | 6;

/** One address to try. */
export interface HostAddress {
  /** Name for log, SASL and TLS: as the MX record, SRV record or destination has it. */
  readonly host: string;
  readonly address: string;
  readonly port: number;
  /** Of the MX or SRV record; 0 without one. */
  readonly preference: number;
  readonly family: AddressFamily;
  /** Where the address was found in DNS: the end of the name's chain of aliases. */
  readonly canonicalName: string;
  /** The address was validated by DNSSEC (never for numeric and native ones). */
  readonly validated: boolean;
  /** The MX or SRV answer that names the host; absent: the destination does. */
  readonly mx?: MxAnswer;
}

/** An MX or SRV answer as a whole. */
export interface MxAnswer {
  /** The domain that was asked for. */
  readonly name: string;
  /** The end of its chain of aliases. */
  readonly canonicalName: string;
  /** By DNSSEC. */
  readonly validated: boolean;
}

export type HostsResult =
  | {
      readonly kind: 'found';
      /** In the order in which to try them; at least one. The caller applies the address and session limits. */
      readonly hosts: readonly HostAddress[];
      /** Lowest preference among the MX or SRV records; 0 without them. */
      readonly bestPreference: number;
      /** The local host is an MX for the destination: no other destination and no fallback relay may be tried. */
      readonly finalNexthop: boolean;
      /** The MX or SRV answer, or the lack of need for one, was validated by DNSSEC. */
      readonly validated: boolean;
    }
  | {
      readonly kind: 'failed';
      /** DSN status, 4.x.x or 5.x.x. */
      readonly status: string;
      readonly reason: string;
      /** As above; set for mail that would loop. */
      readonly finalNexthop: boolean;
    };

export interface HostSearchSettings {
  readonly protocol: 'smtp' | 'lmtp';
  /** Enabled families, IPv4 first (inet_protocols). */
  readonly families: readonly AddressFamily[];
  /** smtp_host_lookup, without dns when DNS is turned off. */
  readonly dnsLookup: boolean;
  readonly nativeLookup: boolean;
  /** smtp_dns_support_level or disable_dns_lookups: no MX and no SRV lookups when false. */
  readonly dnsEnabled: boolean;
  readonly lookups: LookupSettings;
  readonly ignoreMxLookupError: boolean;
  readonly deferIfNoMxAddressFound: boolean;
  readonly cnameOverridesServername: boolean;
  readonly randomizeAddresses: boolean;
  readonly addressPreference: 'any' | 'ipv4' | 'ipv6';
  readonly balanceProtocols: boolean;
  /** 0: none. */
  readonly addressLimit: number;
  /** Services of use_srv_lookup. */
  readonly srvServices: readonly string[];
  readonly allowSrvLookupFallback: boolean;
  readonly ignoreSrvLookupError: boolean;
}

export interface HostSearch {
  readonly settings: HostSearchSettings;
  readonly resolver: Resolver;
  /** For loop detection; see findOwnAddresses. */
  readonly ownAddresses: OwnAddresses;
  /** Sentences for the log that are not the result. */
  readonly warn?: (sentence: string) => void;
  /** The same where nothing is wrong. */
  readonly note?: (sentence: string) => void;
  /** From 0 up to 1; default Math.random. */
  readonly random?: () => number;
  /** Default: the system's, dns.lookup. */
  readonly lookupNative?: NativeLookup;
}

/** Reads main.cf for one protocol: the lmtp_ forms for LMTP. */
export function readHostSearchSettings(config: Config, protocol: 'smtp' | 'lmtp'): HostSearchSettings {
  const level = config.getFor(protocol, 'smtp_dns_support_level');
  const dnsEnabled = level === '' ? !config.get('disable_dns_lookups') : level !== 'disabled';
  const lookups: readonly string[] = config.getFor(protocol, 'smtp_host_lookup');
  const filter = config.getFor(protocol, 'smtp_dns_reply_filter');
  const options: readonly string[] = config.getFor(protocol, 'smtp_dns_resolver_options');
  return {
    protocol,
    families: readFamilies(config),
    dnsLookup: dnsEnabled && lookups.includes('dns'),
    nativeLookup: !dnsEnabled || lookups.includes('native'),
    dnsEnabled,
    lookups: {
      dnssec: level === 'dnssec',
      localNames: options.includes('res_defnames'),
      searchList: options.includes('res_dnsrch'),
      ...(filter.length === 0 ? {} : { replyFilter: openMaps(filter, tableOptions(config)) }),
    },
    ignoreMxLookupError: config.get('ignore_mx_lookup_error'),
    deferIfNoMxAddressFound: config.getFor(protocol, 'smtp_defer_if_no_mx_address_found'),
    cnameOverridesServername: config.getFor(protocol, 'smtp_cname_overrides_servername'),
    randomizeAddresses: config.getFor(protocol, 'smtp_randomize_addresses'),
    addressPreference: config.getFor(protocol, 'smtp_address_preference'),
    balanceProtocols: config.getFor(protocol, 'smtp_balance_inet_protocols'),
    addressLimit: config.getFor(protocol, 'smtp_mx_address_limit'),
    srvServices: config.get('use_srv_lookup'),
    allowSrvLookupFallback: config.get('allow_srv_lookup_fallback'),
    ignoreSrvLookupError: config.get('ignore_srv_lookup_error'),
  };
}

/** inet_protocols as families, IPv4 first. */
function readFamilies(config: Config): readonly AddressFamily[] {
  const protocols: readonly string[] = config.get('inet_protocols');
  const all: readonly (readonly [string, AddressFamily])[] = [
    ['ipv4', 4],
    ['ipv6', 6],
  ];
  return all
    .filter(([name]) => protocols.includes(name) || protocols.includes('all'))
    .map(([, family]) => family);
}

/** How destinations of one protocol are parsed. */
export function readDestinationSyntax(config: Config, protocol: 'smtp' | 'lmtp'): DestinationSyntax {
  return {
    defaultService: config.getFor(protocol, 'smtp_tcp_port'),
    servicePorts: makeServicePorts(config.get('known_tcp_ports')),
    utf8Names: config.get('smtputf8_enable'),
    transitionalNames: config.get('enable_idna2003_compatibility'),
  };
}
