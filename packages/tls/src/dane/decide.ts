/**
 * What DANE makes of the levels dane and dane-only for one server (RFC 7672 section 2.2; TLS_README, "DANE TLS authentication").
 * Pure.
 *
 * `dane` promises: as strong as what DNS says, never weaker than opportunistic TLS. So an insecure answer leads to may, while a
 * missing one leads to no delivery. `dane-only` promises DANE or no delivery.
 */

import type { FailureType } from '../tlsrpt/failure-type.ts';
import type { TlsaResult } from './find-tlsa.ts';
import { type DaneDigests, type TlsaRecord, usableRecords, usage } from './tlsa.ts';

/** The MX or SRV answer that named the server. */
export interface MxFacts {
  /** The domain that was asked for. */
  readonly name: string;
  /** The end of its chain of aliases, where the records stand. */
  readonly canonicalName: string;
  readonly validated: boolean;
}

export interface DaneDemand {
  readonly level: 'dane' | 'dane-only';
  /** Absent: the destination is the server itself. */
  readonly mx?: MxFacts;
  /** `smtp_tls_dane_insecure_mx_policy` */
  readonly insecureMxPolicy: 'may' | 'encrypt' | 'dane';
  readonly digests: DaneDigests;
}

/** What the certificate is compared with. */
export interface TlsaPolicy {
  /** TLSA base domain: the server name to send (RFC 7672 section 8.1). */
  readonly base: string;
  /** Usable records only. */
  readonly records: readonly TlsaRecord[];
  /** One of these must be in a certificate that a trust anchor vouches for; end entity records ask for no name. */
  readonly names: readonly string[];
  readonly digests: DaneDigests;
}

export type DaneOutcome =
  | { readonly kind: 'matched'; readonly level: 'halfdane' | 'dane' | 'dane-only'; readonly tlsa: TlsaPolicy }
  | { readonly kind: 'lowered'; readonly level: 'may' | 'encrypt'; readonly reason: string }
  /** @property failure for the domain's report */
  | { readonly kind: 'invalid'; readonly reason: string; readonly failure?: FailureType };

/** The outcome that needs no TLSA lookup; undefined: look them up. */
export const decideByMx = ({ level, mx, insecureMxPolicy }: DaneDemand): DaneOutcome | undefined =>
  mx !== undefined && !mx.validated && (level === 'dane-only' || insecureMxPolicy === 'may')
    ? withoutDane(level, 'non DNSSEC destination')
    : undefined;

export const decideByTlsa = (demand: DaneDemand, found: TlsaResult): DaneOutcome => {
  const { level, mx, insecureMxPolicy, digests } = demand;
  if (found.kind === 'failed') {
    const reason = `TLSA lookup error: ${found.reason}`;
    return { kind: 'invalid', reason, ...(found.local === true ? {} : { failure: 'dnssec-invalid' }) };
  }
  if (found.kind === 'none') return withoutDane(level, found.reason);
  const records = usableRecords(found.records, digests);
  if (records.length === 0) {
    const reason = `TLSA records of ${found.base} are unusable`;
    return level === 'dane'
      ? { kind: 'lowered', level: 'encrypt', reason }
      : { kind: 'invalid', reason, failure: 'tlsa-invalid' };
  }
  const insecureMx = mx !== undefined && !mx.validated;
  if (insecureMx && insecureMxPolicy === 'encrypt') {
    return { kind: 'lowered', level: 'encrypt', reason: 'non DNSSEC destination' };
  }
  return {
    kind: 'matched',
    level: insecureMx ? 'halfdane' : level,
    tlsa: { base: found.base, records, names: namesToMatch(records, found.base, mx), digests },
  };
};

/** DANE cannot be had: opportunistic TLS is all that `dane` promised then, and nothing is what `dane-only` did. */
export const withoutDane = (level: 'dane' | 'dane-only', reason: string): DaneOutcome =>
  level === 'dane'
    ? { kind: 'lowered', level: 'may', reason }
    : { kind: 'invalid', reason, failure: 'dane-required' };

const namesToMatch = (
  records: readonly TlsaRecord[],
  base: string,
  mx: MxFacts | undefined,
): readonly string[] => {
  if (!records.some((record) => record.usage === usage.trustAnchor)) return [];
  const names = mx === undefined ? [base] : [base, mx.name, mx.canonicalName];
  return [...new Set(names.map((name) => name.toLowerCase()))];
};
