/** Joins the client's question, where does this destination's mail go, to routing's answer. */
import type { Config } from '@mailfleet/config';
import {
  findHosts,
  type OwnAddresses,
  parseDestination,
  type Resolver,
  readDestinationSyntax,
  readHostSearchSettings,
} from '@mailfleet/routing';
import type { FindHosts, Protocol } from '@mailfleet/smtp';

export interface FindHostsOptions {
  readonly config: Config;
  readonly protocol: Protocol;
  readonly resolver: Resolver;
  readonly ownAddresses: OwnAddresses;
  /** Sentences for the log that are not the result. */
  readonly warn: (sentence: string) => void;
}

/** Reads main.cf once, for all destinations of an agent. */
export function makeFindHosts(options: FindHostsOptions): FindHosts {
  const { config, protocol, warn } = options;
  const syntax = readDestinationSyntax(config, protocol);
  const search = { ...options, settings: readHostSearchSettings(config, protocol) };
  return async (text) => {
    const parsed = parseDestination(text, syntax);
    if (parsed.ok) return findHosts(parsed.destination, search);
    // smtp(8) would die of it, and qmgr(8) defer the mail: a mistake in main.cf or a table, so soft.
    warn(parsed.reason);
    return { kind: 'failed', status: '4.3.0', reason: parsed.reason };
  };
}
