/**
 * TLS policy per destination from tables: `smtp_tls_policy_maps`, and the obsolete `smtp_tls_per_site` when there are none
 * (TLS_README, "TLS policy table").
 *
 * A mistake in an entry makes the policy invalid, never weaker: the server is left out and the mail waits.
 */
import type { Config } from '@mailfleet/config';
import { openMaps, type Table, tableOptions } from '@mailfleet/lookup';
import type { DaneDns } from './dane/find-tlsa.ts';
import { type Dane, openDane, type ServerFacts } from './dane/open-dane.ts';
import { globalLevel, type TlsLevel } from './level.ts';
import { applyPolicy, mayApply, type RuledOut } from './mta-sts/apply.ts';
import type { MtaSts } from './mta-sts/mta-sts.ts';
import { isHostName } from './names.ts';
import { type InvalidPolicy, invalidPolicy, type TlsPolicy, tlsPolicy } from './policy.ts';
import { type EntryResult, type PolicyEntry, parsePolicyEntry } from './policy-entry.ts';

export interface TlsPolicies {
  /**
   * @param destination as routed, brackets and port included; the path of a UNIX-domain socket
   * @param host the server's name after MX lookup
   * @param server what DANE needs to know of it; absent for a UNIX-domain socket
   */
  policyFor(
    destination: string,
    host: string,
    server?: ServerFacts,
    wishes?: TlsWishes,
  ): Promise<TlsPolicy | InvalidPolicy>;
}

/** What a message itself says of TLS. */
interface TlsWishes {
  /** `TLS-Required: No` (RFC 8689 section 3): no table counts, and opportunistic TLS is the most that main.cf may ask for. */
  readonly optional?: boolean;
  /** Its recipients' domain, when it is routed by that domain's MX records alone: whose MTA-STS policy counts. */
  readonly domain?: string | undefined;
}

/** Keys to ask for, in order: the destination as written, then `.parent` forms of a plain domain name. */
export const policyKeys = (destination: string): string[] => {
  if (!isHostName(destination)) return [destination];
  const keys = [destination];
  for (let dot = destination.indexOf('.'); dot >= 0; dot = destination.indexOf('.', dot + 1)) {
    keys.push(destination.slice(dot));
  }
  return keys;
};

const perSiteLevels: Readonly<Record<string, TlsLevel>> = {
  NONE: 'none',
  MAY: 'may',
  MUST_NOPEERMATCH: 'encrypt',
  MUST: 'verify',
};

/** Combines what the per-site table says of destination and host, in any order; `global` where it says nothing. */
export const combinePerSite = (words: readonly string[], global: TlsLevel): TlsLevel | { error: string } => {
  const found: TlsLevel[] = [];
  for (const word of words) {
    const level = perSiteLevels[word.toUpperCase()];
    if (level === undefined) return { error: `unknown TLS policy "${word}"` };
    found.push(level);
  }
  for (const level of ['verify', 'encrypt', 'none'] as const) if (found.includes(level)) return level;
  if (!found.includes('may')) return global;
  return global === 'none' ? 'may' : global;
};

export interface TlsPolicyOptions {
  /** Is told once what is wrong with the tables as a whole. */
  readonly warn?: (text: string) => void;
  /** For DANE; absent: nobody can ask for TLSA records. */
  readonly dns?: DaneDns | undefined;
  /** Absent: no MTA-STS. */
  readonly mtaSts?: MtaSts | undefined;
}

export const openTlsPolicies = (
  config: Config,
  protocol: 'smtp' | 'lmtp',
  { warn, dns, mtaSts }: TlsPolicyOptions = {},
): TlsPolicies => {
  const policySpecs = config.getFor(protocol, 'smtp_tls_policy_maps');
  const siteSpecs = config.getFor(protocol, 'smtp_tls_per_site');
  const global = globalLevel(config, protocol);
  const mainCf: PolicyEntry = { level: global };
  const dane = openDane(config, protocol, dns);
  const resolve = async (
    destination: string,
    host: string,
    entry: EntryResult,
    server: ServerFacts | undefined,
    wishes?: TlsWishes,
  ): Promise<TlsPolicy | InvalidPolicy> => {
    if ('error' in entry) return invalidPolicy(destination, host, entry.error);
    let resolved = await withDane(entry, dane, destination, server);
    // What a table says of a destination is the operator's last word.
    const domain = entry === mainCf ? wishes?.domain : undefined;
    if (mtaSts !== undefined && domain !== undefined && !('error' in resolved) && mayApply(resolved)) {
      const published = await mtaSts.policyFor(domain);
      if (published !== undefined) {
        resolved =
          'failure' in published
            ? { ...resolved, failure: published.failure }
            : applyPolicy(resolved, published, { domain, host, enforce });
      }
    }
    if (!('error' in resolved)) return tlsPolicy(config, protocol, destination, host, resolved);
    const { error, reason, ...forReport } = resolved;
    return { ...invalidPolicy(destination, host, error, [], reason), ...forReport };
  };
  const enforce = config.get('smtp_tls_mta_sts') === 'enforce';
  const wrapped = config.getFor(protocol, 'smtp_tls_wrappermode');
  /** For mail that puts delivery above TLS. */
  const withoutTable = (
    destination: string,
    host: string,
    { optional = false }: TlsWishes = {},
  ): TlsPolicy | InvalidPolicy | undefined => {
    const level = global === 'none' ? global : wrapped ? 'encrypt' : 'may';
    return optional ? tlsPolicy(config, protocol, destination, host, { level }) : undefined;
  };
  if (policySpecs.length > 0) {
    if (siteSpecs.length > 0) {
      warn?.(`${protocol}_tls_per_site is ignored, since ${protocol}_tls_policy_maps is set`);
    }
    const table = openMaps(policySpecs, tableOptions(config));
    return {
      policyFor: async (destination, host, server, wishes) =>
        withoutTable(destination, host, wishes) ??
        resolve(destination, host, (await findPolicy(table, destination)) ?? mainCf, server, wishes),
    };
  }
  if (siteSpecs.length > 0) {
    const table = openMaps(siteSpecs, tableOptions(config));
    return {
      policyFor: async (destination, host, server, wishes) => {
        const optional = withoutTable(destination, host, wishes);
        if (optional !== undefined) return optional;
        const level = await findSite(table, destination, host, global);
        if (typeof level === 'string') return resolve(destination, host, { level }, server);
        const invalid = invalidPolicy(destination, host, level.error);
        return level.lookup === true
          ? { ...invalid, status: '4.3.0', reason: 'Temporary lookup error' }
          : invalid;
      },
    };
  }
  return {
    policyFor: async (destination, host, server, wishes) =>
      withoutTable(destination, host, wishes) ?? resolve(destination, host, mainCf, server, wishes),
  };
};

/** The entry as DNS makes it. */
const withDane = async (
  entry: PolicyEntry,
  dane: Dane,
  destination: string,
  server: ServerFacts | undefined,
): Promise<PolicyEntry | RuledOut> => {
  if (entry.level !== 'dane' && entry.level !== 'dane-only') return entry;
  const outcome = await dane.resolve(entry.level, server);
  const { misconfigured } = outcome;
  switch (outcome.kind) {
    case 'matched':
      return { ...entry, level: outcome.level, tlsa: outcome.tlsa };
    case 'lowered':
      if (misconfigured === undefined) return { ...entry, level: outcome.level };
      return {
        ...entry,
        level: outcome.level,
        warnings: [`${destination}: ${misconfigured}; using level ${outcome.level}`],
      };
    case 'invalid':
      if (misconfigured !== undefined) return { error: misconfigured };
      return {
        error: outcome.reason,
        reason: outcome.reason,
        ...(outcome.failure === undefined
          ? {}
          : { failure: { type: outcome.failure, reason: outcome.reason } }),
      };
  }
};

const findPolicy = async (table: Table, destination: string): Promise<EntryResult | undefined> => {
  for (const key of policyKeys(destination)) {
    const result = await table.lookup(key);
    if (result.kind === 'error') return { error: result.reason };
    if (result.kind === 'found') return parsePolicyEntry(result.value);
  }
  return undefined;
};

const findSite = async (
  table: Table,
  destination: string,
  host: string,
  global: TlsLevel,
): Promise<TlsLevel | { readonly error: string; readonly lookup?: true }> => {
  const words: string[] = [];
  for (const key of destination.toLowerCase() === host.toLowerCase() ? [destination] : [destination, host]) {
    const result = await table.lookup(key);
    if (result.kind === 'error') return { error: result.reason, lookup: true };
    if (result.kind === 'found') words.push(result.value);
  }
  return combinePerSite(words, global);
};
