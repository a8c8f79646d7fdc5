/**
 * TLS results of the fleet (RFC 8460) in Redis, counted by domain and UTC day until their report is out. Domains are spread over buckets,
 * each with a hash tag of its own; both results per domain and domains per bucket are bounded. Counts that get lost make a report poorer.
 */
import { createHash } from 'node:crypto';
import type { ScriptPort } from '@mailfleet/queue';
import { type CountedResult, reportDueMs, resultKey, type TlsResult } from '@mailfleet/tls';
import { tlsrptKeys } from './keys.ts';
import {
  tlsrptCount,
  tlsrptDone,
  tlsrptHurry,
  tlsrptPage,
  tlsrptRead,
  tlsrptScripts,
  tlsrptTake,
} from './tlsrpt-scripts.ts';

/** Beyond it results count without host and address. */
const MOST_RESULTS = 500;
const MOST_REPORTS_PER_BUCKET = 10_000;
/** A report that could not be sent for so long is given up. */
const LIFE_MS = 3 * 86_400_000;
export const BUCKETS = 16;

/** Of one domain and one UTC day. */
export interface ReportSubject {
  readonly day: string;
  readonly domain: string;
}

export interface ReportStore {
  /** Rejects when it may not have been counted. */
  count(subject: ReportSubject, results: readonly CountedResult[]): Promise<void>;
  /** A report that is due; nobody else gets it for `leaseMs`. @param bucket from 0 to BUCKETS - 1 */
  take(bucket: number, leaseMs: number): Promise<ReportSubject | undefined>;
  read(subject: ReportSubject): Promise<readonly CountedResult[]>;
  done(subject: ReportSubject): Promise<void>;
  /** Makes it due now; false: it is not on the list. */
  hurry(subject: ReportSubject): Promise<boolean>;
  page(
    bucket: number,
    from: number,
    count: number,
  ): Promise<readonly { readonly subject: ReportSubject; readonly dueMs: number }[]>;
}

export function openReportStore(queue: Pick<ScriptPort, 'openScripts'>): ReportStore {
  const run = queue.openScripts(tlsrptScripts);
  const place = ({ day, domain }: ReportSubject) => ({
    ...tlsrptKeys(bucketOf(domain), day, domain),
    member: `${day} ${domain}`,
  });
  return {
    async count(subject, results) {
      const { counts, due, member } = place(subject);
      const dueMs = reportDueMs(subject.day, subject.domain);
      const words = results.flatMap(({ result, count }) => [
        resultKey(result),
        resultKey(result, true),
        count,
      ]);
      await run(
        tlsrptCount,
        [counts, due],
        [member, dueMs, MOST_RESULTS, MOST_REPORTS_PER_BUCKET, LIFE_MS, ...words],
      );
    },
    async take(bucket, leaseMs) {
      const member = await run(tlsrptTake, [tlsrptKeys(bucket.toString(16), '', '').due], [leaseMs]);
      return typeof member === 'string' ? subjectOf(member) : undefined;
    },
    async read(subject) {
      const words = (await run(tlsrptRead, [place(subject).counts], [])) as string[];
      const counted: CountedResult[] = [];
      for (let i = 0; i + 1 < words.length; i += 2) {
        counted.push({ result: JSON.parse(words[i] ?? '') as TlsResult, count: Number(words[i + 1]) });
      }
      return counted;
    },
    async done(subject) {
      const { counts, due, member } = place(subject);
      await run(tlsrptDone, [counts, due], [member]);
    },
    async hurry(subject) {
      const { due, member } = place(subject);
      return (await run(tlsrptHurry, [due], [member])) === 1;
    },
    async page(bucket, from, count) {
      const keys = tlsrptKeys(bucket.toString(16), '', '');
      const words = (await run(tlsrptPage, [keys.due], [from, from + count - 1])) as string[];
      return words.flatMap((word, i) =>
        i % 2 === 0 ? [{ subject: subjectOf(word), dueMs: Number(words[i + 1]) }] : [],
      );
    },
  };
}

const bucketOf = (domain: string): string => createHash('sha256').update(domain).digest('hex').slice(0, 1);

const subjectOf = (member: string): ReportSubject => {
  const [day = '', domain = ''] = member.split(' ');
  return { day, domain };
};
