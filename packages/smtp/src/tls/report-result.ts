/**
 * Tells TLS results to whoever reports them (RFC 8460): one for each new connection to a mail host of the recipients' domain, one for each
 * mail host that a message had to leave out, and none for what main.cf or this machine is to blame for.
 */
import {
  failureOf,
  failureTypeOf,
  type InvalidPolicy,
  type PeerVerdict,
  policyFailureResult,
  type ReportedFailure,
  reportedPolicy,
  type TlsPolicy,
  type TlsResult,
} from '@mailfleet/tls';
import type { Host } from '../hosts.ts';

/** What the handshake found. */
export type TlsFinding =
  | { readonly kind: 'success'; readonly resumed: boolean }
  | { readonly kind: 'failure'; readonly failure: ReportedFailure };

export interface TlsReports {
  /** Neither waits nor fails. @param domain the recipients', in A-labels */
  add(domain: string, result: TlsResult): void;
}

export const startTlsMissing: TlsFinding = { kind: 'failure', failure: failureOf('starttls-not-supported') };

export const handshakeFailed = (text: string): TlsFinding => ({
  kind: 'failure',
  failure: failureOf('validation-failure', text),
});

/** @param verdict under a policy that it does not satisfy */
export const certificateRefused = (policy: TlsPolicy, { distrust }: PeerVerdict): TlsFinding => ({
  kind: 'failure',
  failure: failureOf(failureTypeOf(policy, distrust), distrust),
});

export interface ReportContext {
  readonly reports: TlsReports;
  readonly domain: string;
  readonly host: Host;
  readonly policy: TlsPolicy;
  /** Our end of the connection. */
  readonly localAddress: string | undefined;
}

export const reportFinding = (
  finding: TlsFinding,
  { reports, domain, host, policy, localAddress }: ReportContext,
): void => {
  const reported = reportedPolicy(policy, domain, host.host);
  if (finding.kind === 'success') {
    reports.add(domain, { policy: reported });
    return;
  }
  reports.add(domain, {
    policy: reported,
    failure: {
      ...finding.failure,
      ...(localAddress === undefined ? {} : { sendingMtaIp: localAddress }),
      receivingMxHostname: host.host,
      receivingIp: host.address,
    },
  });
};

/** A policy that nobody could have, or that leaves a host out. @param skipped the host that was left out, if it was */
export const reportPolicyFailure = (
  { failure, published }: Pick<InvalidPolicy, 'failure' | 'published'>,
  { reports, domain, host }: Pick<ReportContext, 'reports' | 'domain' | 'host'>,
  skipped: boolean,
): void => {
  if (failure === undefined) return;
  const result = policyFailureResult(failure, published, domain, host.host);
  reports.add(
    domain,
    skipped ? { ...result, failure: { ...result.failure, receivingMxHostname: host.host } } : result,
  );
};
