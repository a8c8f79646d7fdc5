/**
 * The addresses of one host name: numeric, from DNS, from the system, and the DSN status of having none.
 *
 * A temporary failure is sticky: once one host of a list could not be looked up for now, a later host that does not exist
 * makes the whole list no more permanent than that. The text is always that of the last failing host.
 */

import type { LookupFailure } from './dns-lookup.ts';
import type { AddressFamily, HostAddress, HostSearch } from './host-search.ts';
import { isIPv4Address, isIPv6Address, toALabel } from './hostname.ts';
import { lookupSystem } from './own-addresses.ts';

export interface AddressFailure {
  readonly status: string;
  readonly reason: string;
}

type FoundAddress = Omit<HostAddress, 'port' | 'preference' | 'mx'>;

export type AddressResult =
  | { readonly ok: true; readonly addresses: readonly FoundAddress[] }
  | ({ readonly ok: false } & AddressFailure);

const STATUS: Readonly<Record<LookupFailure, readonly [hard: string, soft: string]>> = {
  retry: ['4.4.3', '4.4.3'],
  fail: ['5.4.3', '4.4.3'],
  invalid: ['5.4.4', '4.4.4'],
  null: ['5.4.4', '4.4.4'],
  notfound: ['5.4.4', '4.4.4'],
  policy: ['4.7.0', '4.7.0'],
};
/** Which of two failures of one name counts: the more hopeful one. */
const RANK: readonly LookupFailure[] = ['notfound', 'null', 'fail', 'invalid', 'retry', 'policy'];

/** `earlier` is the failure that an earlier host of the same list left behind. */
export async function findHostAddresses(
  host: string,
  search: HostSearch,
  earlier?: AddressFailure,
): Promise<AddressResult> {
  const { settings } = search;
  const soft = earlier?.status.startsWith('4') ?? false;
  const family = isIPv4Address(host) ? 4 : isIPv6Address(host) ? 6 : undefined;
  if (family !== undefined && settings.families.includes(family)) {
    return { ok: true, addresses: [{ host, canonicalName: host, address: host, family, validated: false }] };
  }
  if (settings.families.length === 0) {
    return { ok: false, status: '4.4.4', reason: 'all network protocols are disabled' };
  }
  if (settings.dnsLookup) {
    const result = await lookUpInDns(host, search, soft);
    if (result.ok || result.failure !== 'notfound' || !settings.nativeLookup) return result;
  }
  return lookUpNatively(host, search, soft);
}

/** What a lookup has for the log. */
export function tell(
  { warnings, notes }: { readonly warnings: readonly string[]; readonly notes: readonly string[] },
  search: Pick<HostSearch, 'warn' | 'note'>,
): void {
  for (const warning of warnings) search.warn?.(warning);
  for (const note of notes) search.note?.(note);
}

async function lookUpInDns(
  host: string,
  search: HostSearch,
  soft: boolean,
): Promise<AddressResult & { failure?: LookupFailure }> {
  const addresses: FoundAddress[] = [];
  let failure: { kind: LookupFailure; reason: string } | undefined;
  // Side by side: a slow AAAA answer must not wait for the A answer.
  const results = await Promise.all(
    search.settings.families.map(async (family) => ({
      family,
      result: await search.resolver.lookup(host, family === 4 ? 'A' : 'AAAA', search.settings.lookups),
    })),
  );
  for (const { family, result } of results) {
    tell(result, search);
    if (result.kind !== 'ok') {
      // On a tie the last one is reported.
      if (failure === undefined || RANK.indexOf(result.kind) >= RANK.indexOf(failure.kind)) failure = result;
      continue;
    }
    const name = search.settings.cnameOverridesServername ? result.canonicalName : host;
    for (const address of result.records) {
      const { canonicalName, validated } = result;
      addresses.push({ host: name, canonicalName, address, family, validated });
    }
  }
  if (addresses.length > 0 || failure === undefined) return { ok: true, addresses };
  const status = STATUS[failure.kind][soft ? 1 : 0];
  return { ok: false, status, reason: failure.reason, failure: failure.kind };
}

const SYSTEM_TEXT: Readonly<Record<string, string>> = {
  ENOTFOUND: 'Name or service not known',
  ENODATA: 'No address associated with hostname',
  EAI_AGAIN: 'Temporary failure in name resolution',
  EAI_MEMORY: 'Memory allocation failure',
  EAI_SYSTEM: 'System error',
  EAI_FAIL: 'Non-recoverable failure in name resolution',
};

async function lookUpNatively(host: string, search: HostSearch, soft: boolean): Promise<AddressResult> {
  const failed = (hard: string, reason: string): AddressResult => ({
    ok: false,
    status: soft && hard.startsWith('5') ? `4${hard.slice(1)}` : hard,
    reason,
  });
  let found: readonly { address: string; family: number }[];
  try {
    found = await (search.lookupNative ?? lookupSystem)(toALabel(host) ?? host);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const reason = `unable to look up host ${host}: ${SYSTEM_TEXT[code] ?? (error instanceof Error ? error.message : String(error))}`;
    if (code === 'EAI_AGAIN') return failed('4.4.4', reason);
    if (code === 'EAI_MEMORY' || code === 'EAI_SYSTEM' || code === 'ENOMEM') return failed('4.3.0', reason);
    if (code === 'ENOTFOUND' || code === 'ENODATA') return failed('5.4.4', reason);
    return failed('5.3.0', reason);
  }
  const addresses = found.flatMap(({ address, family: number }) => {
    const family: AddressFamily = number === 6 ? 6 : 4;
    return search.settings.families.includes(family)
      ? [{ host, canonicalName: host, address, family, validated: false }]
      : [];
  });
  if (addresses.length === 0) return failed('5.4.4', `${host}: host not found`);
  return { ok: true, addresses };
}
