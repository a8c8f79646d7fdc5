/**
 * The TLS policy for one server of one destination: level, names to match, protocols and ciphers.
 *
 * Reads parameters, and files of trust anchors; what DNS makes of the levels dane and dane-only is in the entry already
 * (dane/open-dane.ts). An invalid policy means: do not use this server, never "in clear".
 */
import type { Config } from '@mailfleet/config';
import type { TlsaPolicy } from './dane/decide.ts';
import { globalLevel, requiresMatch, requiresTls, type TlsLevel } from './level.ts';
import { asciiName, isHostName, matchesMxPattern } from './names.ts';
import type { PolicyEntry } from './policy-entry.ts';
import { outsidePolicy, type PolicyFailure } from './tlsrpt/failure-type.ts';
import { readTrustAnchors, type TrustAnchors } from './trust-anchors.ts';

export type CipherGrade = 'high' | 'medium' | 'low' | 'export' | 'null';

/**
 * Whatever changes what a session is worth to its user must be in `policyTerms` too: open and resumed sessions are shared by those. A new
 * field is in it unless it is left out there.
 */
export interface TlsPolicy {
  readonly kind: 'policy';
  readonly level: TlsLevel;
  /** Names to match, or digests at level fingerprint; a leading dot stands for any name below. */
  readonly match: readonly string[];
  /** In place of the CA certificates of main.cf. */
  readonly trustAnchors?: TrustAnchors;
  /** e.g. `>=TLSv1.2`, `!TLSv1`. */
  readonly protocols: readonly string[];
  readonly ciphers: CipherGrade;
  readonly excludeCiphers: readonly string[];
  /** Server name indication; empty for none. */
  readonly serverName: string;
  /** A session may serve further batches under this policy. */
  readonly connectionReuse: boolean;
  /** What the certificate must match at the levels halfdane, dane and dane-only. */
  readonly tlsa?: TlsaPolicy;
  /** What the destination publishes, as its table entry tells it; TLSRPT reports it. */
  readonly published?: PublishedPolicy;
  /** The domain says that it has a policy, and there is none to be had: for its report. A session is worth the same. */
  readonly failure?: PolicyFailure;
  /** Worth a line in the log each. */
  readonly warnings?: readonly string[];
}

/** A policy that a destination publishes (MTA-STS), or that it has none: the `policy_…` attributes of a table entry. */
export interface PublishedPolicy {
  readonly type: 'sts' | 'no-policy-found';
  readonly domain?: string;
  readonly ttlSeconds?: number;
  /** Lines of the policy, as reported. */
  readonly strings: readonly string[];
  readonly mxHostPatterns: readonly string[];
  /** Why no certificate can satisfy it. */
  readonly failure?: string;
}

export interface InvalidPolicy {
  readonly kind: 'invalid';
  readonly status: string;
  readonly reason: string;
  /** What the operator should look at. */
  readonly warnings: readonly string[];
  /** For the domain's report; absent: main.cf or a table is to blame. */
  readonly failure?: PolicyFailure;
  /** The policy that stands in the way. */
  readonly published?: PublishedPolicy;
}

/** Destination without brackets, service and port. */
export const nexthopDomain = (destination: string): string => {
  const bracketed = /^\[(?:ipv6:)?([^\]]*)\]/i.exec(destination)?.[1];
  if (bracketed !== undefined) return bracketed;
  const colon = destination.lastIndexOf(':');
  return colon < 0 ? destination : destination.slice(0, colon);
};

/** Replaces the strategies hostname, nexthop and dot-nexthop by names. */
const expandMatch = (words: readonly string[], destination: string, host: string): string[] =>
  words
    .flatMap((word) => word.split(':'))
    .filter((word) => word !== '')
    .map((word) => {
      switch (word.toLowerCase()) {
        case 'hostname':
          return host;
        case 'nexthop':
          return nexthopDomain(destination);
        case 'dot-nexthop':
          return `.${nexthopDomain(destination)}`;
        default:
          return word;
      }
    });

/**
 * @param destination as routed, brackets and port included
 * @param host the server's name after MX lookup
 * @param entry what a policy table says; absent: main.cf alone decides
 */
export const tlsPolicy = (
  config: Config,
  protocol: 'smtp' | 'lmtp',
  destination: string,
  host: string,
  entry: PolicyEntry = { level: globalLevel(config, protocol) },
): TlsPolicy | InvalidPolicy => {
  const { level, tlsa } = entry;
  const warnings = [...(entry.warnings ?? [])];
  const invalid = (why: string): InvalidPolicy => invalidPolicy(destination, host, why, warnings);
  const names = namesToMatch(config, protocol, destination, host, entry, warnings);
  if ('error' in names) {
    const { error, failure } = names;
    const { published } = entry;
    return {
      ...invalid(error),
      ...(failure === undefined || published === undefined ? {} : { failure, published }),
    };
  }
  let trustAnchors: TrustAnchors | undefined;
  if (level === 'verify' || level === 'secure') {
    const file = config.getFor(protocol, 'smtp_tls_trust_anchor_file');
    const files = entry.trustAnchorFiles ?? (file === '' ? [] : [file]);
    try {
      if (files.length > 0) trustAnchors = readTrustAnchors(files);
    } catch (error) {
      return invalid(`trust anchors: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const serverName = tlsa?.base ?? serverNameOf(config, protocol, destination, host, level, entry);
  if (serverName === undefined) return invalid('smtp_tls_servername specifies an invalid hostname');
  const mandatory = requiresTls(level);
  return {
    kind: 'policy',
    level,
    match: names.match,
    ...(trustAnchors === undefined ? {} : { trustAnchors }),
    protocols:
      entry.protocols ??
      config.getFor(protocol, mandatory ? 'smtp_tls_mandatory_protocols' : 'smtp_tls_protocols'),
    ciphers:
      entry.ciphers ?? config.getFor(protocol, mandatory ? 'smtp_tls_mandatory_ciphers' : 'smtp_tls_ciphers'),
    excludeCiphers: [
      ...(entry.exclude ?? [
        ...config.getFor(protocol, 'smtp_tls_exclude_ciphers'),
        ...(mandatory ? config.getFor(protocol, 'smtp_tls_mandatory_exclude_ciphers') : []),
      ]),
      ...(level === 'encrypt' ? ['eNULL'] : requiresMatch(level) ? ['aNULL'] : []),
    ],
    serverName,
    connectionReuse: entry.connectionReuse ?? config.getFor(protocol, 'smtp_tls_connection_reuse'),
    ...(tlsa === undefined ? {} : { tlsa }),
    ...(entry.published === undefined ? {} : { published: entry.published }),
    ...(entry.failure === undefined ? {} : { failure: entry.failure }),
    ...(warnings.length === 0 ? {} : { warnings }),
  };
};

export const invalidPolicy = (
  destination: string,
  host: string,
  why: string,
  warnings: readonly string[] = [],
  reason = 'client TLS configuration problem',
): InvalidPolicy => ({
  kind: 'invalid',
  status: '4.7.5',
  reason,
  warnings: [...warnings, `TLS policy lookup for ${destination}/${host}: ${why}`],
});

/** Names or digests that the server must show; an error when the policy cannot be met by any server. */
const namesToMatch = (
  config: Config,
  protocol: 'smtp' | 'lmtp',
  destination: string,
  host: string,
  { level, match, published }: PolicyEntry,
  warnings: string[],
): { readonly match: readonly string[] } | { readonly error: string; readonly failure?: PolicyFailure } => {
  if (level === 'fingerprint') {
    const wanted = match ?? config.getFor(protocol, 'smtp_tls_fingerprint_cert_match');
    const digests = wanted.filter((digest) => {
      const good = /^(?:[0-9a-f]{2}:?)+$/i.test(digest) && !digest.endsWith(':');
      if (!good) warnings.push(`${destination}: ignoring malformed fingerprint "${digest}"`);
      return good;
    });
    return digests.length > 0
      ? { match: digests }
      : { error: 'level fingerprint without a digest to match; set smtp_tls_fingerprint_cert_match' };
  }
  if (level !== 'verify' && level !== 'secure') return { match: [] };
  const patterns = published?.type === 'sts' && match !== undefined ? published.mxHostPatterns : [];
  if (patterns.length > 0 && config.getFor(protocol, 'smtp_tls_enforce_sts_mx_patterns')) {
    return patterns.some((pattern) => matchesMxPattern(host, pattern))
      ? { match: [asciiName(host) ?? host] }
      : {
          error: `the host matches no MX pattern of the MTA-STS policy (${patterns.join(', ')})`,
          failure: outsidePolicy,
        };
  }
  const wanted =
    match ??
    config.getFor(protocol, level === 'secure' ? 'smtp_tls_secure_cert_match' : 'smtp_tls_verify_cert_match');
  const names = expandMatch(wanted, destination, host).flatMap((name) => {
    const ascii = asciiName(name);
    if (ascii !== undefined && ascii !== '.') return [ascii];
    warnings.push(`${destination}: ignoring invalid match name: "${name}"`);
    return [];
  });
  return { match: names };
};

/** The name that the server is told; undefined: what main.cf says is none. */
const serverNameOf = (
  config: Config,
  protocol: 'smtp' | 'lmtp',
  destination: string,
  host: string,
  level: TlsLevel,
  entry: PolicyEntry,
): string | undefined => {
  const wanted = level === 'none' ? '' : (entry.serverName ?? config.getFor(protocol, 'smtp_tls_servername'));
  if (wanted === '') return '';
  if (!isHostName(wanted)) return undefined;
  const [name = ''] = expandMatch([wanted], destination, host);
  // An address or a path has no name to tell.
  const ascii = asciiName(name);
  return ascii !== undefined && isHostName(ascii) ? ascii : '';
};
