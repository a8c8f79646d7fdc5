/**
 * One entry of a TLS policy table: `level [name=value | { name = value }] …`, separated by blanks or commas (TLS_README, "TLS policy
 * table"). Inside braces a value may hold blanks and commas.
 *
 * Whatever is wrong with an entry makes it an error as a whole: an attribute that was left out over a typing mistake could be the one
 * that made the destination safe. Only at level none, where no attribute means anything, are they left out with a warning.
 */
import type { TlsaPolicy } from './dane/decide.ts';
import { parseLevel, type TlsLevel } from './level.ts';
import { isHostName } from './names.ts';
import type { CipherGrade, PublishedPolicy } from './policy.ts';
import type { PolicyFailure } from './tlsrpt/failure-type.ts';

/** What a table says of a destination; what it leaves out comes from main.cf. */
export interface PolicyEntry {
  readonly level: TlsLevel;
  readonly match?: readonly string[];
  readonly protocols?: readonly string[];
  readonly ciphers?: CipherGrade;
  /** Replaces all exclusions of main.cf. */
  readonly exclude?: readonly string[];
  readonly serverName?: string;
  readonly connectionReuse?: boolean;
  readonly trustAnchorFiles?: readonly string[];
  /** What DNS says of the server; no table says it. */
  readonly tlsa?: TlsaPolicy;
  readonly published?: PublishedPolicy;
  /** Why there is no published policy, although the domain says so; no table says it. */
  readonly failure?: PolicyFailure;
  readonly warnings?: readonly string[];
}

export type EntryResult = PolicyEntry | { readonly error: string };

/** Given twice these are a mistake; of the others the last counts, or all do. */
const once = new Set([
  'ciphers',
  'protocols',
  'exclude',
  'servername',
  'policy_ttl',
  'policy_type',
  'policy_domain',
  'policy_failure',
]);

const grades: readonly CipherGrade[] = ['high', 'medium', 'low', 'export', 'null'];

type Draft = { -readonly [K in keyof PolicyEntry]: PolicyEntry[K] };
type PublishedDraft = { -readonly [K in keyof PublishedPolicy]?: PublishedPolicy[K] };

export const parsePolicyEntry = (text: string): EntryResult => {
  const [levelWord, ...attributes] = text.match(/\{[^{}]*\}|[^\s,]+/g) ?? [];
  if (levelWord === undefined) return { error: 'invalid empty policy' };
  const level = parseLevel(levelWord);
  if (level === undefined) return { error: `invalid security level "${levelWord}"` };
  if (level === 'none') {
    const warnings = attributes.map((attribute) => `ignoring attribute "${attribute}" with TLS disabled`);
    return warnings.length === 0 ? { level } : { level, warnings };
  }
  const entry: Draft = { level };
  const published: PublishedDraft = {};
  const seen = new Set<string>();
  for (const attribute of attributes) {
    const inner = /^\{(.*)\}$/s.exec(attribute)?.[1] ?? attribute;
    const [, name, value = ''] = /^\s*([^\s={}]+)\s*=\s*(.*?)\s*$/s.exec(inner) ?? [];
    if (name === undefined) return { error: `malformed attribute/value pair "${attribute}"` };
    const key = name.toLowerCase();
    if (once.has(key) && seen.has(key)) return { error: `attribute "${key}" is specified multiple times` };
    seen.add(key);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
    const clean = value.replace(/[\x00-\x1f]/g, ' ');
    const error = readAttribute(entry, published, key, clean);
    if (error !== undefined) return { error };
  }
  if (Object.keys(published).length === 0) return entry;
  const { type, strings = [], mxHostPatterns = [], ...rest } = published;
  if (type === undefined) return { error: 'attributes of a published policy need "policy_type"' };
  return { ...entry, published: { ...rest, type, strings, mxHostPatterns } };
};

/** Adds one attribute to the entry; what is wrong with it otherwise. */
const readAttribute = (
  entry: Draft,
  published: PublishedDraft,
  key: string,
  value: string,
): string | undefined => {
  const { level } = entry;
  const bad = `attribute "${key}" has bad value: "${value}"`;
  const mayBeEmpty = key === 'exclude' || key === 'policy_string';
  if (value === '' && !mayBeEmpty) return `attribute "${key}" has empty value`;
  switch (key) {
    case 'ciphers': {
      const grade = grades.find((each) => each === value.toLowerCase());
      if (grade === undefined) return bad;
      entry.ciphers = grade;
      return undefined;
    }
    case 'protocols':
      entry.protocols = wordsOf(value, /[:,\s]+/);
      return undefined;
    case 'exclude':
      entry.exclude = wordsOf(value, /[:,\s]+/);
      return undefined;
    case 'servername':
      if (!isHostName(value)) return bad;
      entry.serverName = value;
      return undefined;
    case 'match':
      if (level !== 'verify' && level !== 'secure' && level !== 'fingerprint') return atLevel(key, level);
      entry.match = [...(entry.match ?? []), ...wordsOf(value, level === 'fingerprint' ? /\|/ : /:/)];
      return undefined;
    case 'tafile':
      if (level !== 'verify' && level !== 'secure') return atLevel(key, level);
      entry.trustAnchorFiles = [...(entry.trustAnchorFiles ?? []), value];
      return undefined;
    case 'connection_reuse':
    case 'enable_rpk':
      if (!/^(?:yes|no)$/i.test(value)) return bad;
      // Node cannot ask for raw public keys: `enable_rpk` is read for its mistakes only.
      if (key === 'connection_reuse') entry.connectionReuse = value.toLowerCase() === 'yes';
      return undefined;
    case 'policy_type': {
      const type = value.toLowerCase();
      if (type !== 'sts' && type !== 'no-policy-found') return bad;
      published.type = type;
      return undefined;
    }
    case 'policy_ttl':
      if (!/^\d{1,15}$/.test(value)) return bad;
      published.ttlSeconds = Number(value);
      return undefined;
    case 'policy_domain':
      if (!isHostName(value)) return bad;
      published.domain = value;
      return undefined;
    case 'policy_string':
      published.strings = [...(published.strings ?? []), value];
      return undefined;
    case 'mx_host_pattern':
      published.mxHostPatterns = [...(published.mxHostPatterns ?? []), value];
      return undefined;
    case 'policy_failure':
      published.failure = value;
      return undefined;
    default:
      return `invalid attribute name: "${key}"`;
  }
};

const atLevel = (key: string, level: TlsLevel): string =>
  `attribute "${key}" invalid at security level "${level}"`;

const wordsOf = (text: string, separators: RegExp): string[] =>
  text
    .split(separators)
    .map((word) => word.trim())
    .filter((word) => word !== '');
