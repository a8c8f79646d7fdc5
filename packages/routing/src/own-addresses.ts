/**
 * The addresses that mean "this mail system": where it listens (inet_interfaces) and what stands before it
 * (proxy_interfaces). Mail whose best hosts are among them would come straight back.
 */
import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import type { Config } from '@mailfleet/config';
import { isNumericAddress, normalizeAddress } from './hostname.ts';

/** Normalized addresses; ask with `has(normalizeAddress(...))`. */
export type OwnAddresses = ReadonlySet<string>;

/** System host lookup; rejects as dns.lookup does. */
export type NativeLookup = (name: string) => Promise<readonly { address: string; family: number }[]>;

export const lookupSystem: NativeLookup = (name) => lookup(name, { all: true, order: 'ipv4first' });

/**
 * Collects the own addresses. Names are looked up by the system; one that has no address is left out and given to `warn`,
 * since the rest of the list is still worth having.
 */
export async function findOwnAddresses(
  config: Config,
  options: { lookupNative?: NativeLookup; warn?: (sentence: string) => void } = {},
): Promise<OwnAddresses> {
  const own = new Set<string>();
  for (const parameter of ['inet_interfaces', 'proxy_interfaces'] as const) {
    for (const word of config.get(parameter)) {
      if (parameter === 'inet_interfaces' && word === 'all') {
        for (const addresses of Object.values(networkInterfaces())) {
          for (const { address } of addresses ?? []) own.add(normalizeAddress(address));
        }
        continue;
      }
      if (parameter === 'inet_interfaces' && word === 'loopback-only') {
        own.add('127.0.0.1').add('::1');
        continue;
      }
      const name = word.replace(/^\[(?:ipv6:)?(.*)\]$/i, '$1');
      if (isNumericAddress(name)) {
        own.add(normalizeAddress(name));
        continue;
      }
      try {
        for (const { address } of await (options.lookupNative ?? lookupSystem)(name)) {
          own.add(normalizeAddress(address));
        }
      } catch (error) {
        options.warn?.(`${parameter}: no address found for ${name}: ${String(error)}`);
      }
    }
  }
  return own;
}
