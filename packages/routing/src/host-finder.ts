/**
 * The host search of one protocol as one function of a destination's text, which is how delivery agents use it: main.cf is read,
 * and the own addresses are collected, once.
 */
import type { Config } from '@mailfleet/config';
import { findHosts } from './find-hosts.ts';
import { type HostsResult, readDestinationSyntax, readHostSearchSettings } from './host-search.ts';
import { parseDestination } from './nexthop.ts';
import { findOwnAddresses, type NativeLookup, type OwnAddresses } from './own-addresses.ts';
import type { Resolver } from './resolver.ts';

export interface HostFinderOptions {
  readonly config: Config;
  readonly protocol: 'smtp' | 'lmtp';
  readonly resolver: Resolver;
  /** Sentences for the log that are not the result. */
  readonly warn?: (sentence: string) => void;
  /** The same where nothing is wrong. */
  readonly note?: (sentence: string) => void;
  /** From 0 up to 1; default Math.random. */
  readonly random?: () => number;
  readonly lookupNative?: NativeLookup;
}

/** `name`, `name:port`, `[name]`, `[address]:port`, …; never rejects. A text that is no destination fails with 4.3.0. */
export type HostFinder = (destination: string) => Promise<HostsResult>;

export function createHostFinder(options: HostFinderOptions): HostFinder {
  const { config, protocol } = options;
  const syntax = readDestinationSyntax(config, protocol);
  const settings = readHostSearchSettings(config, protocol);
  let own: Promise<OwnAddresses> | undefined;
  return async (text) => {
    const parsed = parseDestination(text, syntax);
    if (!parsed.ok) return { kind: 'failed', status: '4.3.0', reason: parsed.reason, finalNexthop: false };
    own ??= findOwnAddresses(config, options);
    return findHosts(parsed.destination, { ...options, settings, ownAddresses: await own });
  };
}
