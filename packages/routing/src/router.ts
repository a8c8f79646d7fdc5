/**
 * From a recipient and its sender to transport and nexthop, as trivial-rewrite(8) resolves addresses: the class of the
 * domain (local, virtual, relay, other) gives a transport, relayhost a nexthop, and transport(5) overrides both.
 *
 * A table that cannot answer is an error, never a miss: mail must not take another way because of it.
 * The nexthop is in lower case and its domain in A-labels, so that one destination has one spelling.
 */
import type { Config } from '@mailfleet/config';
import { type MatchList, matchDomains, openMaps, type Table, tableOptions } from '@mailfleet/lookup';
import { domainOf, lookupKeys, senderKeys, transportKeys } from './address-keys.ts';
import { isNumericAddress, normalizeAddress, toALabel } from './hostname.ts';
import { findOwnAddresses, type NativeLookup, type OwnAddresses } from './own-addresses.ts';
import { parseTransport, type TransportAgent, transportAgent } from './transport.ts';

export type Route =
  | {
      readonly kind: 'routed';
      readonly transport: string;
      /** Who delivers; with error, retry and discard the nexthop is their text. `none`: no such transport, so mail waits. */
      readonly agent: TransportAgent;
      readonly nexthop: string;
      /** The recipient with its domain; `@$myorigin` is appended to a bare name. */
      readonly address: string;
    }
  /** A table could not answer. */
  | { readonly kind: 'error'; readonly status: '4.3.0'; readonly reason: string; readonly address: string };

export interface Router {
  /** `sender` is empty for the null sender. Never rejects. */
  route(recipient: string, sender: string): Promise<Route>;
}

export interface RouterOptions {
  /** Sentences about tables, for the log. */
  readonly warn?: (sentence: string) => void;
  readonly lookupNative?: NativeLookup;
}

/** Where a class of domains goes; an empty nexthop stands for the recipient's domain. */
interface Way {
  readonly transport: string;
  readonly nexthop: string;
}

/** Ends a route early; caught in `route`, so that each step can be written as if tables always answered. */
class TableTrouble extends Error {}

/** Opens the tables of main.cf that routing needs; they are read when first asked. */
export function createRouter(config: Config, options: RouterOptions = {}): Router {
  const ofTables = {
    ...tableOptions(config),
    ...(options.warn === undefined ? {} : { warn: options.warn }),
  };
  const delimiters = config.get('recipient_delimiter');
  const transitional = config.get('enable_idna2003_compatibility');
  const transportMaps = openOptional(config.get('transport_maps'));
  const parentKeys = config.get('parent_domain_matches_subdomains').includes('transport_maps')
    ? 'bare'
    : 'dotted';
  const senderRelayhosts = openOptional(config.get('sender_dependent_relayhost_maps'));
  const senderTransports = openOptional(config.get('sender_dependent_default_transport_maps'));
  const mydestination = matchDomains(config.get('mydestination'), ofTables);
  const virtualDomains = matchDomains(config.get('virtual_mailbox_domains'), ofTables);
  const relayDomains = matchDomains(config.get('relay_domains'), {
    ...ofTables,
    parentMatchesSubdomains: config.get('parent_domain_matches_subdomains').includes('relay_domains'),
  });
  const relayhost = config.get('relayhost').join(', ');
  const doubleBounce = `${config.get('double_bounce_sender')}@${config.get('myhostname')}`.toLowerCase();
  let own: Promise<OwnAddresses> | undefined;

  function openOptional(specs: readonly string[]): Table | undefined {
    return specs.length === 0 ? undefined : openMaps(specs, ofTables);
  }

  async function isLocal(domain: string): Promise<boolean> {
    const literal = /^\[(?:ipv6:)?(.*)\]$/i.exec(domain)?.[1];
    if (literal !== undefined && isNumericAddress(literal)) {
      own ??= findOwnAddresses(config, options);
      return (await own).has(normalizeAddress(literal));
    }
    return matches(mydestination, domain, 'mydestination');
  }

  /** The way of the domain's class, before transport_maps. */
  async function wayOfClass(domain: string, sender: string): Promise<Way> {
    if (await isLocal(domain)) return parseTransport(config.get('local_transport'));
    if (await matches(virtualDomains, domain, 'virtual_mailbox_domains')) {
      return parseTransport(config.get('virtual_transport'));
    }
    const relay = await matches(relayDomains, domain, 'relay_domains');
    const way = relay ? parseTransport(config.get('relay_transport')) : await defaultWay(sender);
    // A nexthop in the transport parameter overrules relayhost.
    return way.nexthop === '' ? { ...way, nexthop: await relayhostFor(sender) } : way;
  }

  async function defaultWay(sender: string): Promise<Way> {
    const emptyKey = config.get('empty_address_default_transport_maps_lookup_key');
    const entry = await senderEntry(
      senderTransports,
      sender,
      emptyKey,
      'sender_dependent_default_transport_maps',
    );
    return parseTransport(entry ?? config.get('default_transport'));
  }

  async function relayhostFor(sender: string): Promise<string> {
    const emptyKey = config.get('empty_address_relayhost_maps_lookup_key');
    const entry = await senderEntry(senderRelayhosts, sender, emptyKey, 'sender_dependent_relayhost_maps');
    return entry ?? relayhost;
  }

  async function senderEntry(
    table: Table | undefined,
    sender: string,
    emptyKey: string,
    parameter: string,
  ): Promise<string | undefined> {
    if (table === undefined) return undefined;
    const result = await lookupKeys(table, senderKeys(sender === '' ? emptyKey : sender, delimiters));
    if (result.kind === 'error') throw new TableTrouble(`${parameter}: ${result.reason}`);
    // DUNNO ends the search as if there were no table.
    return result.kind === 'miss' || /^dunno$/i.test(result.value) ? undefined : result.value;
  }

  async function resolve(address: string, domain: string, sender: string): Promise<Way> {
    if (transportMaps === undefined) return wayOfClass(domain, sender);
    const result = await lookupKeys(transportMaps, transportKeys(address, delimiters, parentKeys));
    if (result.kind === 'error') throw new TableTrouble(`transport_maps: ${result.reason}`);
    const entry = result.kind === 'found' ? parseTransport(result.value) : { transport: '', nexthop: '' };
    if (entry.transport !== '') return entry;
    const way = await wayOfClass(domain, sender);
    return entry.nexthop === '' ? way : { ...way, nexthop: entry.nexthop };
  }

  return {
    async route(recipient, sender) {
      const address = recipient.includes('@') ? recipient : `${recipient}@${config.get('myorigin')}`;
      const domain = domainOf(address);
      // Nobody reads it: the postmaster could not be told either (qmgr(8)).
      if (address.toLowerCase() === doubleBounce) {
        const nexthop = 'undeliverable postmaster notification discarded';
        return { kind: 'routed', transport: 'discard', agent: 'discard', nexthop, address };
      }
      let way: Way;
      try {
        way = await resolve(address, domain, sender);
      } catch (error) {
        if (!(error instanceof TableTrouble)) throw error;
        return { kind: 'error', status: '4.3.0', reason: `address lookup failed: ${error.message}`, address };
      }
      const { transport } = way;
      const agent = transportAgent(config, transport);
      const nexthop =
        way.nexthop === '' ? (toALabel(domain, transitional) ?? domain) : foldNexthop(way.nexthop, agent);
      return { kind: 'routed', transport, agent, nexthop, address };
    },
  };
}

async function matches(list: MatchList, domain: string, parameter: string): Promise<boolean> {
  const result = await list.match(domain);
  if (result.kind === 'error') throw new TableTrouble(`${parameter}: ${result.reason}`);
  return result.kind === 'match';
}

/** Texts, and the paths of UNIX-domain sockets, keep their case. */
function foldNexthop(nexthop: string, agent: TransportAgent): string {
  if (agent !== 'smtp' && agent !== 'lmtp') return nexthop;
  return agent === 'lmtp' && nexthop.startsWith('unix:') ? nexthop : nexthop.toLowerCase();
}
