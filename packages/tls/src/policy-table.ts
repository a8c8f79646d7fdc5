/**
 * TLS policy per destination from tables: `smtp_tls_policy_maps`, and the obsolete `smtp_tls_per_site` when there are none
 * (TLS_README, "TLS policy table").
 *
 * A mistake in an entry makes the policy invalid, never weaker: the server is left out and the mail waits.
 */
import type { Config } from '@mailfleet/config';
import { openMaps, type Table } from '@mailfleet/lookup';
import { globalLevel, parseLevel, type TlsLevel } from './level.ts';
import { type InvalidPolicy, type PolicyEntry, type TlsPolicy, tlsPolicy } from './policy.ts';

export interface TlsPolicies {
  /**
   * @param destination as routed, brackets and port included; the path of a UNIX-domain socket
   * @param host the server's name after MX lookup
   */
  policyFor(destination: string, host: string): Promise<TlsPolicy | InvalidPolicy>;
}

type Entry = PolicyEntry | { readonly error: string };

const plainName =
  /^(?=.{1,255}$)(?!.*\.\d+$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/i;

/** Keys to ask for, in order: the destination as written, then `.parent` forms of a plain domain name. */
export const policyKeys = (destination: string): string[] => {
  if (!plainName.test(destination)) return [destination];
  const keys = [destination];
  for (let dot = destination.indexOf('.'); dot >= 0; dot = destination.indexOf('.', dot + 1)) {
    keys.push(destination.slice(dot));
  }
  return keys;
};

const ignored = ['enable_rpk', 'policy_ttl', 'policy_type', 'policy_domain', 'policy_string'];

/** Reads `level [name=value | { name = value }] …`. */
export const parsePolicyEntry = (text: string): Entry => {
  const [levelWord = '', ...attributes] = text.match(/\{[^}]*\}|[^\s,]+/g) ?? [];
  const level = parseLevel(levelWord);
  if (level === undefined) return { error: `unknown security level "${levelWord}"` };
  if (level === 'none') return { level };
  const entry: { -readonly [K in keyof PolicyEntry]: PolicyEntry[K] } = { level };
  const seen = new Set<string>();
  for (const attribute of attributes) {
    const [, name = '', value = ''] = /^\{?\s*([^=\s]+)\s*=\s*(.*?)\s*\}?$/.exec(attribute) ?? [];
    const key = name.toLowerCase();
    if (key !== 'match' && key !== 'policy_string' && seen.has(key))
      return { error: `"${key}" is given twice` };
    seen.add(key);
    switch (key) {
      case 'ciphers':
        if (!isGrade(value)) return { error: `unknown cipher grade "${value}"` };
        entry.ciphers = value;
        break;
      case 'protocols':
        entry.protocols = value.split(':').filter((word) => word !== '');
        break;
      case 'exclude':
        entry.exclude = value.split(/[:,\s]+/).filter((word) => word !== '');
        break;
      case 'servername':
        if (value === '') return { error: 'empty servername' };
        entry.serverName = value;
        break;
      case 'connection_reuse':
        if (!/^(yes|no)$/i.test(value)) return { error: `"connection_reuse" is yes or no, not "${value}"` };
        entry.connectionReuse = value.toLowerCase() === 'yes';
        break;
      case 'match':
        if (level !== 'verify' && level !== 'secure' && level !== 'fingerprint') {
          return { error: `"match" has no meaning at level ${level}` };
        }
        entry.match = [...(entry.match ?? []), ...value.split(level === 'fingerprint' ? '|' : ':')];
        break;
      default:
        if (!ignored.includes(key)) return { error: `unknown attribute "${attribute}"` };
    }
  }
  return entry;
};

const isGrade = (word: string): word is TlsPolicy['ciphers'] =>
  ['high', 'medium', 'low', 'export', 'null'].includes(word);

const perSiteLevels: Readonly<Record<string, TlsLevel>> = {
  NONE: 'none',
  MAY: 'may',
  MUST_NOPEERMATCH: 'encrypt',
  MUST: 'verify',
};

/** Combines what the table says of destination and host; the order does not matter. Undefined: the global level. */
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

export const openTlsPolicies = (config: Config, protocol: 'smtp' | 'lmtp'): TlsPolicies => {
  const policySpecs = config.getFor(protocol, 'smtp_tls_policy_maps');
  const siteSpecs = policySpecs.length > 0 ? [] : config.getFor(protocol, 'smtp_tls_per_site');
  if (policySpecs.length === 0 && siteSpecs.length === 0) {
    return { policyFor: async (destination, host) => tlsPolicy(config, protocol, destination, host) };
  }
  const table = openMaps(policySpecs.length > 0 ? policySpecs : siteSpecs);
  const global = globalLevel(config, protocol);
  const find = policySpecs.length > 0 ? findPolicy : findSite;
  return {
    policyFor: async (destination, host) => {
      const entry = await find(table, destination, host, global);
      if ('error' in entry) return invalid(destination, host, entry.error);
      return tlsPolicy(config, protocol, destination, host, entry);
    },
  };
};

const invalid = (destination: string, host: string, reason: string): InvalidPolicy => ({
  kind: 'invalid',
  status: '4.7.5',
  reason: 'client TLS configuration problem',
  warning: `TLS policy lookup for ${destination}/${host}: ${reason}`,
});

const findPolicy = async (
  table: Table,
  destination: string,
  _host: string,
  global: TlsLevel,
): Promise<Entry> => {
  for (const key of policyKeys(destination)) {
    const result = await table.lookup(key);
    if (result.kind === 'error') return { error: result.reason };
    if (result.kind === 'found') return parsePolicyEntry(result.value);
  }
  return { level: global };
};

const findSite = async (
  table: Table,
  destination: string,
  host: string,
  global: TlsLevel,
): Promise<Entry> => {
  const words: string[] = [];
  for (const key of destination.toLowerCase() === host.toLowerCase() ? [destination] : [destination, host]) {
    const result = await table.lookup(key);
    if (result.kind === 'error') return { error: result.reason };
    if (result.kind === 'found') words.push(result.value);
  }
  const level = combinePerSite(words, global);
  return typeof level === 'string' ? { level } : level;
};
