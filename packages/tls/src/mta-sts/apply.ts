/**
 * What an MTA-STS policy makes of the TLS policy for one of the domain's mail hosts (RFC 8461 sections 4 and 5). Pure.
 *
 * Only raises: opportunistic TLS becomes the demand for a certificate that holds the host's name. DANE comes before it (section 2), and
 * so does what the operator wrote about the destination.
 */
import { matchesMxPattern } from '../names.ts';
import type { PublishedPolicy } from '../policy.ts';
import type { PolicyEntry } from '../policy-entry.ts';
import { outsidePolicy, type PolicyFailure } from '../tlsrpt/failure-type.ts';
import { policyStrings, type StsPolicy } from './policy-file.ts';

/** Whether MTA-STS has a say for an entry that main.cf alone made, after DANE. */
export const mayApply = ({ level, tlsa }: PolicyEntry): boolean =>
  tlsa === undefined && (level === 'may' || level === 'encrypt');

/** No server under this name may be used. error: for the log; reason: for the sender, when main.cf is not to blame. */
export interface RuledOut {
  readonly error: string;
  readonly reason?: string;
  /** For the domain's report. */
  readonly failure?: PolicyFailure;
  readonly published?: PublishedPolicy;
}

/** @param enforce false: `smtp_tls_mta_sts = testing`, policies are reported on and not enforced */
export const applyPolicy = (
  entry: PolicyEntry,
  policy: StsPolicy,
  { domain, host, enforce }: { readonly domain: string; readonly host: string; readonly enforce: boolean },
): PolicyEntry | RuledOut => {
  if (policy.mode === 'none') return entry;
  const published = {
    type: 'sts',
    domain,
    ttlSeconds: policy.maxAgeSeconds,
    strings: policyStrings(policy),
    mxHostPatterns: policy.mx,
  } as const;
  // The server may have a certificate for each of its names (section 4.2).
  const seen: PolicyEntry = { ...entry, serverName: 'hostname', published };
  if (policy.mode !== 'enforce' || !enforce) return seen;
  if (!policy.mx.some((pattern) => matchesMxPattern(host, pattern))) {
    const reason = `host ${host} is none of the mail hosts that the MTA-STS policy of ${domain} names`;
    return { error: `${reason} (${policy.mx.join(', ')})`, reason, failure: outsidePolicy, published };
  }
  return { ...seen, level: 'secure', match: ['hostname'] };
};
