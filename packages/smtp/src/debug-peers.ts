/**
 * `debug_peer_list`: the peers whose dialogue goes to the log, by name, address or nexthop, and how much of it (`debug_peer_level`): from 1
 * on commands and replies, from 2 on also which hosts are tried and which sessions are used again.
 */
import type { Config } from '@mailfleet/config';
import { type MatchResult, matchDomains, matchNetworks } from '@mailfleet/lookup';
import { nexthopDomain } from '@mailfleet/tls';
import type { Endpoint } from './connect.ts';

export interface DebugPeers {
  /** Verbosity for a host that a destination led to; 0 for the usual. */
  levelFor(destination: string, host: Endpoint): Promise<number>;
}

const ADDRESS = /^\[?[0-9a-f:.]+\]?(?:\/\d+)?$/i;

type Pattern = (name: string, address: string) => Promise<MatchResult>;

/** Undefined where the list is empty. @param warn is told, once, of a pattern or table that cannot be used: it matches nothing */
export const openDebugPeers = (config: Config, warn: (text: string) => void): DebugPeers | undefined => {
  const list = config.get('debug_peer_list');
  if (list.length === 0) return undefined;
  const level = config.get('debug_peer_level');
  const parentMatchesSubdomains = config.get('parent_domain_matches_subdomains').includes('debug_peer_list');
  const patterns = list.map((text) => {
    const bare = text.replace(/^!+/, '');
    return {
      matches: patternFor(bare, parentMatchesSubdomains),
      negated: (text.length - bare.length) % 2 === 1,
    };
  });
  let warned = false;

  const isListed = async (name: string, address: string): Promise<boolean> => {
    for (const { matches, negated } of patterns) {
      const result = await matches(name, address);
      if (result.kind === 'match') return !negated;
      if (result.kind === 'error' && !warned) {
        warned = true;
        warn(`debug_peer_list: ${result.reason}`);
      }
    }
    return false;
  };

  return {
    levelFor: async (destination, { host, address }) => {
      const listed = (await isListed(host, address)) || (await isListed(nexthopDomain(destination), ''));
      return listed ? level : 0;
    },
  };
};

/** Tables and files may hold both; a file's names are no fault of its addresses. */
const patternFor = (text: string, parentMatchesSubdomains: boolean): Pattern => {
  const networks = matchNetworks([text]);
  if (ADDRESS.test(text)) return async (_, address) => await networks.match(address);
  const domains = matchDomains([text], { parentMatchesSubdomains });
  return async (name, address) => {
    const byName = await domains.match(name);
    if (byName.kind !== 'miss' || !/^\/|:/.test(text)) return byName;
    const byAddress = await networks.match(address);
    return byAddress.kind === 'match' ? byAddress : byName;
  };
};
