/**
 * The TLS policy for one server of one destination: level, names to match, protocols and ciphers.
 *
 * Pure: reads parameters only. DANE needs a validating resolver; without one `dane` becomes `may` and
 * `dane-only` cannot be met, as in Postfix. An invalid policy means: do not use this server, never "in clear".
 */
import type { Config } from '@mailfleet/config';
import { globalLevel, requiresMatch, requiresTls, type TlsLevel } from './level.ts';

export interface TlsPolicy {
  readonly kind: 'policy';
  readonly level: TlsLevel;
  /** Names to match, or digests at level fingerprint; a leading dot stands for any name below. */
  readonly match: readonly string[];
  /** e.g. `>=TLSv1.2`, `!TLSv1`. */
  readonly protocols: readonly string[];
  readonly ciphers: 'high' | 'medium' | 'low' | 'export' | 'null';
  readonly excludeCiphers: readonly string[];
  /** Server name indication; empty for none. */
  readonly serverName: string;
  /** A session may serve further batches under this policy. */
  readonly connectionReuse: boolean;
  /** Worth a line in the log. */
  readonly warning?: string;
}

/** What a table says of a destination; what it leaves out comes from main.cf. */
export interface PolicyEntry {
  readonly level: TlsLevel;
  readonly match?: readonly string[];
  readonly protocols?: readonly string[];
  readonly ciphers?: TlsPolicy['ciphers'];
  /** Replaces all exclusions of main.cf. */
  readonly exclude?: readonly string[];
  readonly serverName?: string;
  readonly connectionReuse?: boolean;
}

export interface InvalidPolicy {
  readonly kind: 'invalid';
  readonly status: string;
  readonly reason: string;
  /** What the operator should look at. */
  readonly warning: string;
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
    .filter((word) => word !== '' && word !== '.')
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
  let { level } = entry;
  let warning: string | undefined;
  if (level === 'dane-only') {
    return {
      kind: 'invalid',
      status: '4.7.5',
      reason: 'client TLS configuration problem',
      warning: `TLS policy lookup for ${destination}/${host}: dane-only needs a validating resolver`,
    };
  }
  if (level === 'dane') {
    level = 'may';
    warning = `${destination}: dane configured, but no validating resolver is in use; using level may`;
  }
  const mandatory = requiresTls(level);
  const wantedMatch =
    entry.match !== undefined
      ? entry.match
      : level === 'secure'
        ? config.getFor(protocol, 'smtp_tls_secure_cert_match')
        : level === 'verify'
          ? config.getFor(protocol, 'smtp_tls_verify_cert_match')
          : [];
  const digests =
    level === 'fingerprint'
      ? (entry.match ?? config.getFor(protocol, 'smtp_tls_fingerprint_cert_match'))
      : undefined;
  if (digests?.length === 0) {
    return {
      kind: 'invalid',
      status: '4.7.5',
      reason: 'client TLS configuration problem',
      warning: `TLS policy lookup for ${destination}/${host}: level fingerprint without a digest to match; set smtp_tls_fingerprint_cert_match`,
    };
  }
  const name = entry.serverName ?? config.getFor(protocol, 'smtp_tls_servername');
  return {
    kind: 'policy',
    level,
    match: digests ?? expandMatch(wantedMatch, destination, host),
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
    serverName: expandMatch([name], destination, host)[0] ?? '',
    connectionReuse: entry.connectionReuse ?? config.getFor(protocol, 'smtp_tls_connection_reuse'),
    ...(warning === undefined ? {} : { warning }),
  };
};
