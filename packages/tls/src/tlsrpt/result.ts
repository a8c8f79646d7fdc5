/**
 * What one TLS handshake comes to in a report (RFC 8460 section 4): under which policy it stood, and how it ended. Handshakes that say the
 * same have the same text, so that they can be counted.
 */
import { createHash } from 'node:crypto';
import { recordText } from '../dane/tlsa.ts';
import type { TlsPolicy } from '../policy.ts';
import type { FailureType, PolicyFailure } from './failure-type.ts';

export interface ReportedPolicy {
  readonly type: 'tlsa' | 'sts' | 'no-policy-found';
  readonly domain: string;
  readonly strings: readonly string[];
  readonly mxHosts: readonly string[];
}

export interface ReportedFailure {
  readonly type: FailureType;
  /** One word, for people. */
  readonly reason?: string;
  readonly sendingMtaIp?: string;
  readonly receivingMxHostname?: string;
  readonly receivingIp?: string;
}

export interface TlsResult {
  readonly policy: ReportedPolicy;
  /** Absent: the session was as the policy wants it. */
  readonly failure?: ReportedFailure;
}

/** @param domain the recipients' */
export const reportedPolicy = (
  { tlsa, published }: Pick<TlsPolicy, 'tlsa' | 'published'>,
  domain: string,
  host: string,
): ReportedPolicy => {
  if (tlsa !== undefined) {
    return { type: 'tlsa', domain: tlsa.base, strings: tlsa.records.map(recordText), mxHosts: [host] };
  }
  if (published?.type === 'sts') {
    const { strings, mxHostPatterns } = published;
    return { type: 'sts', domain: published.domain ?? domain, strings, mxHosts: mxHostPatterns };
  }
  return { type: 'no-policy-found', domain: published?.domain ?? domain, strings: [], mxHosts: [] };
};

/** A policy that could not be had has its kind alone to tell. @param published the one that stands in the way, if it is known */
export const policyFailureResult = (
  { type, reason }: PolicyFailure,
  published: TlsPolicy['published'],
  domain: string,
  host: string,
): Required<TlsResult> => {
  const unknown: ReportedPolicy = type.startsWith('sts-')
    ? { type: 'sts', domain, strings: [], mxHosts: [] }
    : { type: 'tlsa', domain: host, strings: [], mxHosts: [host] };
  return {
    policy: published === undefined ? unknown : reportedPolicy({ published }, domain, host),
    failure: failureOf(type, reason),
  };
};

/** The reason of a refused certificate, in the report's terms. @param distrust absent: trusted, but the name is another's */
export const failureTypeOf = ({ tlsa }: TlsPolicy, distrust: string | undefined): FailureType => {
  if (distrust === undefined || /has none of the names/.test(distrust)) return 'certificate-host-mismatch';
  if (/expired/i.test(distrust)) return 'certificate-expired';
  return tlsa === undefined ? 'certificate-not-trusted' : 'tlsa-invalid';
};

const reasonWord = (text: string): string => text.replace(/[^\x21-\x7e]+/g, '_').slice(0, 200);

export const failureOf = (type: FailureType, text?: string): ReportedFailure => ({
  type,
  ...(text === undefined ? {} : { reason: reasonWord(text) }),
});

/** The same text for results that count as one; hosts and addresses left out with `coarse`. */
export const resultKey = ({ policy, failure }: TlsResult, coarse = false): string =>
  JSON.stringify({
    policy,
    ...(failure === undefined ? {} : { failure: coarse ? { type: failure.type } : failure }),
  });

/** When the report of a day is due: spread over some hours after the day, the same for all who count (RFC 8460 section 4.1). */
export const reportDueMs = (day: string, domain: string): number => {
  const spread = createHash('sha256').update(domain).digest().readUInt32BE() / 2 ** 32;
  return Date.parse(`${day}T00:00:00Z`) + DAY_MS + GRACE_MS + Math.floor(spread * SPREAD_MS);
};

const DAY_MS = 86_400_000;
/** Workers tell of their handshakes with some delay. */
const GRACE_MS = 10 * 60_000;
const SPREAD_MS = 4 * 3_600_000;

/** UTC day of an instant, `2026-11-26`. */
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
