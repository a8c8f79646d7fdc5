/**
 * From a destination to the addresses to try: MX lookup (RFC 5321 section 5), SRV lookup where asked for, addresses of each host,
 * loop detection and order. A destination without hosts is a value with Postfix's DSN status and words.
 */
import { orderAddresses } from './address-order.ts';
import type { LookupFailure } from './dns-lookup.ts';
import { type AddressFailure, findHostAddresses, tell } from './host-addresses.ts';
import type { HostAddress, HostSearch, HostsResult, MxAnswer } from './host-search.ts';
import { isNumericAddress, normalizeAddress } from './hostname.ts';
import type { Destination } from './nexthop.ts';
import { orderSrvRecords } from './srv-order.ts';

const SMTP_PORT = 25;

/** A host that a record names, with where to connect. */
interface Target {
  readonly host: string;
  readonly port: number;
  readonly preference: number;
}

export async function findHosts(destination: Destination, search: HostSearch): Promise<HostsResult> {
  const { settings } = search;
  if (destination.bracketed || !settings.dnsEnabled || isNumericAddress(destination.host)) {
    return findHost(destination, search);
  }
  if (settings.srvServices.includes(destination.service)) {
    const found = await findSrvHosts(destination, search);
    if (found !== undefined) return found;
  }
  return settings.protocol === 'smtp' ? findMxHosts(destination, search) : findHost(destination, search);
}

/** The destination is a host itself. */
async function findHost(destination: Destination, search: HostSearch): Promise<HostsResult> {
  const result = await findHostAddresses(destination.host, search);
  if (!result.ok) return notFound(result);
  const addresses = result.addresses.map((item) => ({ ...item, port: destination.port, preference: 0 }));
  if (addresses.some((item) => isOwn(item, search))) return loop(destination.host);
  return {
    kind: 'found',
    hosts: orderAddresses(addresses, search.settings, search.random ?? Math.random),
    bestPreference: 0,
    finalNexthop: false,
    validated: true,
  };
}

/** The destination is a domain with MX records, or without. */
async function findMxHosts(destination: Destination, search: HostSearch): Promise<HostsResult> {
  const { host: domain, port } = destination;
  const result = await search.resolver.lookup(domain, 'MX', search.settings.lookups);
  tell(result, search);
  if (result.kind === 'ok') {
    const targets = result.records
      .map((record) => ({ host: record.exchange, port, preference: record.preference }))
      .sort((a, b) => a.preference - b.preference);
    const { canonicalName, validated } = result;
    return findTargets(domain, targets, { name: domain, canonicalName, validated }, search, 'MX');
  }
  if (result.kind === 'notfound') return findHost(destination, search);
  const trouble = result.kind === 'retry' || result.kind === 'invalid' || result.kind === 'fail';
  if (trouble && search.settings.ignoreMxLookupError) return findHost(destination, search);
  return notFound({ status: MX_STATUS[result.kind], reason: result.reason });
}

const MX_STATUS: Readonly<Record<LookupFailure, string>> = {
  notfound: '5.4.4',
  null: '5.1.0',
  retry: '4.4.3',
  invalid: '5.4.4',
  fail: '5.4.3',
  policy: '4.7.0',
};

/** RFC 2782. Undefined: go on without SRV records. */
async function findSrvHosts(destination: Destination, search: HostSearch): Promise<HostsResult | undefined> {
  const name = `_${destination.service}._tcp.${destination.host}`;
  const result = await search.resolver.lookup(name, 'SRV', search.settings.lookups);
  tell(result, search);
  let found: HostsResult;
  if (result.kind === 'ok') {
    const targets = orderSrvRecords(result.records, search.random ?? Math.random).map((record) => ({
      host: record.target,
      port: record.port,
      preference: record.priority,
    }));
    // Certificates name the domain, not the service (RFC 7673 section 5).
    const mx = { name: destination.host, canonicalName: destination.host, validated: result.validated };
    found = await findTargets(name, targets, mx, search, 'SRV');
  } else {
    found = notFound({ status: MX_STATUS[result.kind], reason: result.reason });
  }
  if (found.kind === 'found') return found;
  const { allowSrvLookupFallback, ignoreSrvLookupError } = search.settings;
  const trouble = result.kind === 'retry' || result.kind === 'invalid' || result.kind === 'fail';
  if (!allowSrvLookupFallback && !(ignoreSrvLookupError && trouble)) return found;
  search.note?.(`skipping SRV lookup for ${name}: ${found.reason}`);
  return undefined;
}

/** Addresses of all hosts of a list that is sorted by preference; `name` is what the texts are about. */
async function findTargets(
  name: string,
  targets: readonly Target[],
  mx: MxAnswer,
  search: HostSearch,
  type: 'MX' | 'SRV',
): Promise<HostsResult> {
  const addresses: HostAddress[] = [];
  let failure: AddressFailure | undefined;
  for (const { host, port, preference } of targets) {
    const result = await findHostAddresses(host, search, failure);
    if (!result.ok) failure = result;
    else addresses.push(...result.addresses.map((item) => ({ ...item, port, preference, mx })));
  }
  const bestPreference = targets[0]?.preference ?? 0;
  if (addresses.length === 0) {
    search.warn?.(`no ${type} host for ${name} has a valid address record`);
    const { status, reason } = failure ?? { status: '4.3.0', reason: `${name} has no hosts` };
    const soft = search.settings.deferIfNoMxAddressFound && status.startsWith('5');
    return notFound({ status: soft ? `4${status.slice(1)}` : status, reason });
  }
  const self = addresses.find((item) => isOwn(item, search));
  const better =
    self === undefined ? addresses : addresses.filter((item) => item.preference < self.preference);
  if (better.length === 0) {
    if (addresses[0]?.preference === bestPreference) return loop(name);
    return {
      kind: 'failed',
      status: '4.4.4',
      reason: `unable to find primary relay for ${name}`,
      finalNexthop: true,
    };
  }
  const random = search.random ?? Math.random;
  // SRV records carry their own order: weights, no families.
  const settings =
    type === 'MX'
      ? search.settings
      : { ...search.settings, randomizeAddresses: false, addressPreference: 'any' as const };
  return {
    kind: 'found',
    hosts: orderAddresses(better, settings, random),
    bestPreference,
    finalNexthop: self !== undefined,
    validated: mx.validated,
  };
}

/** Only SMTP to port 25 comes back to where we receive; any other port is somebody else's service. */
function isOwn(item: HostAddress, search: HostSearch): boolean {
  return (
    search.settings.protocol === 'smtp' &&
    item.port === SMTP_PORT &&
    search.ownAddresses.has(normalizeAddress(item.address))
  );
}

function loop(name: string): HostsResult {
  return {
    kind: 'failed',
    status: '5.4.6',
    reason: `mail for ${name} loops back to myself`,
    finalNexthop: true,
  };
}

function notFound({ status, reason }: AddressFailure): HostsResult {
  return { kind: 'failed', status, reason, finalNexthop: false };
}
