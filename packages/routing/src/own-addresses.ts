/**
 * The addresses that mean "this mail system": where it listens (inet_interfaces) and what stands before it
 * (proxy_interfaces). Mail whose best hosts are among them would come straight back. And the address that mail leaves from.
 */
import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import type { Config } from '@mailfleet/config';
import { isIPv4Address, isIPv6Address, isNumericAddress, normalizeAddress } from './hostname.ts';

/** Normalized addresses; ask with `has(normalizeAddress(...))`. */
export type OwnAddresses = ReadonlySet<string>;

/** System host lookup; rejects as dns.lookup does. */
export type NativeLookup = (name: string) => Promise<readonly { address: string; family: number }[]>;

export const lookupSystem: NativeLookup = (name) => lookup(name, { all: true, order: 'ipv4first' });

interface OwnAddressOptions {
  readonly lookupNative?: NativeLookup;
  readonly warn?: (sentence: string) => void;
}

/**
 * Collects the own addresses. Names are looked up by the system; one that has no address is left out and given to `warn`,
 * since the rest of the list is still worth having.
 */
export async function findOwnAddresses(
  config: Config,
  options: OwnAddressOptions = {},
): Promise<OwnAddresses> {
  const own = new Set<string>();
  for (const parameter of ['inet_interfaces', 'proxy_interfaces'] as const) {
    for (const word of config.get(parameter)) {
      if (parameter === 'inet_interfaces' && word === 'all') {
        for (const address of systemAddresses()) own.add(address);
      } else if (parameter === 'inet_interfaces' && word === 'loopback-only') {
        own.add('127.0.0.1').add('::1');
      } else {
        for (const address of await addressesOf(word, parameter, options)) own.add(address);
      }
    }
  }
  return own;
}

/** Addresses to connect from where main.cf does not name one. */
export interface SourceAddresses {
  readonly ipv4?: string;
  readonly ipv6?: string;
}

/**
 * A virtual host's mail comes from its own address: where inet_interfaces names exactly one address of a family, and it is one of
 * this machine and no loopback address, that is it. `all` leaves the choice to the system.
 */
export async function findSourceAddresses(
  config: Config,
  options: OwnAddressOptions = {},
): Promise<SourceAddresses> {
  const words: readonly string[] = config.get('inet_interfaces');
  if (words.includes('all')) return {};
  const listed = new Set<string>();
  for (const word of words) {
    if (word === 'loopback-only') continue;
    for (const address of await addressesOf(word, 'inet_interfaces', options)) listed.add(address);
  }
  const here = systemAddresses();
  const only = (family: (address: string) => boolean): string | undefined => {
    const [one, ...others] = [...listed].filter(family);
    const usable = one !== undefined && others.length === 0 && here.has(one);
    return usable && !one.startsWith('127.') && one !== '::1' ? one : undefined;
  };
  const [ipv4, ipv6] = [only(isIPv4Address), only(isIPv6Address)];
  return { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) };
}

function systemAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return new Set(all.map(({ address }) => normalizeAddress(address)));
}

/** A numeric address, in brackets or not, or a name that the system knows. */
async function addressesOf(
  word: string,
  parameter: string,
  options: OwnAddressOptions,
): Promise<readonly string[]> {
  const name = word.replace(/^\[(?:ipv6:)?(.*)\]$/i, '$1');
  if (isNumericAddress(name)) return [normalizeAddress(name)];
  try {
    const found = await (options.lookupNative ?? lookupSystem)(name);
    return found.map(({ address }) => normalizeAddress(address));
  } catch (error) {
    options.warn?.(`${parameter}: no address found for ${name}: ${String(error)}`);
    return [];
  }
}
