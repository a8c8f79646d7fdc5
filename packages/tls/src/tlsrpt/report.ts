/** The report of one domain and day as RFC 8460 section 4 has it. Pure. */
import type { ReportedPolicy, TlsResult } from './result.ts';

export interface CountedResult {
  readonly result: TlsResult;
  readonly count: number;
}

export interface ReportFacts {
  readonly organization: string;
  readonly contact: string;
  /** Host name of the sending side, for the report's id. */
  readonly submitter: string;
  readonly domain: string;
  /** UTC, `2026-11-26`. */
  readonly day: string;
}

export interface TlsReport {
  readonly 'organization-name': string;
  readonly 'date-range': { readonly 'start-datetime': string; readonly 'end-datetime': string };
  readonly 'contact-info': string;
  readonly 'report-id': string;
  readonly policies: readonly object[];
}

export const reportId = ({ day, domain, submitter }: ReportFacts): string => `${day}.${domain}@${submitter}`;

export const buildReport = (facts: ReportFacts, counted: readonly CountedResult[]): TlsReport => {
  const byPolicy = new Map<string, { policy: ReportedPolicy; results: CountedResult[] }>();
  for (const each of counted) {
    const key = JSON.stringify(each.result.policy);
    const group = byPolicy.get(key) ?? { policy: each.result.policy, results: [] };
    group.results.push(each);
    byPolicy.set(key, group);
  }
  return {
    'organization-name': facts.organization,
    'date-range': {
      'start-datetime': `${facts.day}T00:00:00Z`,
      'end-datetime': `${facts.day}T23:59:59Z`,
    },
    'contact-info': facts.contact,
    'report-id': reportId(facts),
    policies: [...byPolicy.values()].map(({ policy, results }) => policySection(policy, results)),
  };
};

const policySection = (policy: ReportedPolicy, results: readonly CountedResult[]): object => {
  const sum = (some: readonly CountedResult[]): number => some.reduce((total, { count }) => total + count, 0);
  const failures = results.filter(({ result }) => result.failure !== undefined);
  return {
    policy: {
      'policy-type': policy.type,
      ...(policy.strings.length === 0 ? {} : { 'policy-string': policy.strings }),
      'policy-domain': policy.domain,
      ...(policy.mxHosts.length === 0 ? {} : { 'mx-host': policy.mxHosts }),
    },
    summary: {
      'total-successful-session-count': sum(results.filter(({ result }) => result.failure === undefined)),
      'total-failure-session-count': sum(failures),
    },
    ...(failures.length === 0 ? {} : { 'failure-details': failures.map(detail) }),
  };
};

const detail = ({ result: { failure }, count }: CountedResult): object => ({
  'result-type': failure?.type,
  ...(failure?.sendingMtaIp === undefined ? {} : { 'sending-mta-ip': failure.sendingMtaIp }),
  ...(failure?.receivingMxHostname === undefined
    ? {}
    : { 'receiving-mx-hostname': failure.receivingMxHostname }),
  ...(failure?.receivingIp === undefined ? {} : { 'receiving-ip': failure.receivingIp }),
  'failed-session-count': count,
  ...(failure?.reason === undefined ? {} : { 'failure-reason-code': failure.reason }),
});

/** `!`-separated name of the report's file (RFC 8460 section 5.1). */
export const reportFileName = ({ submitter, domain, day }: ReportFacts): string => {
  const startSeconds = Date.parse(`${day}T00:00:00Z`) / 1000;
  return `${submitter}!${domain}!${startSeconds}!${startSeconds + 86_399}.json.gz`;
};
