/**
 * Sends the TLS reports that are due (RFC 8460), domain by domain: by mail through our own queue, or over HTTPS.
 *
 * A report is taken for a time and stays on the list until it is out, so that a process that dies leaves it to another. Sending twice is
 * harmless: mail goes under a queue id that the first attempt claimed, and collectors know a report by its id.
 */
import { gzipSync } from 'node:zlib';
import type { Config } from '@mailfleet/config';
import type { IntakePort } from '@mailfleet/queue';
import type { Router } from '@mailfleet/routing';
import { BUCKETS, type ReportStore, type ReportSubject } from '@mailfleet/scache';
import {
  buildReport,
  type OutsideOptions,
  type ReportFacts,
  type ReportWish,
  readReportWish,
  requestOutside,
  type TlsReport,
} from '@mailfleet/tls';
import { writeReportMail } from './report-mail.ts';

export interface ReportSenderOptions {
  readonly config: Config;
  readonly store: ReportStore;
  readonly queue: Pick<IntakePort, 'accept' | 'spoolContent' | 'newQueueId' | 'claimIdempotencyKey'>;
  readonly router: Pick<Router, 'route'>;
  /** TXT records of a name; empty when there are none; rejects when nobody knows. */
  readonly txt: (name: string) => Promise<readonly string[]>;
  readonly outside: OutsideOptions;
  /** Sentences for the log. */
  readonly note: (text: string) => void;
  readonly now?: () => number;
}

/** How long nobody else gets a report: sending takes seconds. A failed one is tried again after that. */
const LEASE_MS = 15 * 60_000;
const REMEMBER_MS = 3 * 86_400_000;

/** What goes into every report of this fleet. */
export const reportFacts = (config: Config, { day, domain }: ReportSubject): ReportFacts => ({
  organization: config.get('mydomain'),
  contact: config.get('tlsrpt_contact_address'),
  submitter: config.get('mydomain'),
  domain,
  day,
});

/** Sends all that are due; resolves with how many went out. Rejects when Redis is away. */
export const sendDueReports = async (options: ReportSenderOptions, signal: AbortSignal): Promise<number> => {
  let sent = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    while (!signal.aborted) {
      const subject = await options.store.take(bucket, LEASE_MS);
      if (subject === undefined) break;
      if (await sendReport(options, subject)) sent++;
    }
  }
  return sent;
};

const sendReport = async (options: ReportSenderOptions, subject: ReportSubject): Promise<boolean> => {
  const { store, txt, note, config } = options;
  const { day, domain } = subject;
  const counted = await store.read(subject);
  let wish: ReportWish | undefined;
  try {
    wish = readReportWish(await txt(`_smtp._tls.${domain}`));
  } catch (error) {
    note(`the TLS report of ${day} for ${domain} waits: ${textOf(error)}`);
    return false;
  }
  // Counts that are gone were kept for days in vain; a domain that withdrew its record gets nothing.
  if (counted.length === 0 || wish === undefined) {
    await store.done(subject);
    return false;
  }
  const facts = reportFacts(config, subject);
  const report = buildReport(facts, counted);
  const compressed = gzipSync(JSON.stringify(report));
  let out = 0;
  for (const destination of wish.destinations) {
    try {
      if (/^https:/i.test(destination)) await post(options, destination, compressed);
      else await mail(options, destination, facts, report, compressed);
      out++;
    } catch (error) {
      note(`the TLS report of ${day} for ${domain} does not go to ${destination}: ${textOf(error)}`);
    }
  }
  if (out === 0) return false;
  await store.done(subject);
  note(`the TLS report of ${day} for ${domain} is out`);
  return true;
};

const post = async ({ outside }: ReportSenderOptions, destination: string, body: Buffer): Promise<void> => {
  const { status } = await requestOutside(
    {
      url: new URL(destination),
      method: 'POST',
      headers: { 'content-type': 'application/tlsrpt+gzip', 'content-length': String(body.length) },
      body,
      mostBytes: 65_536,
    },
    outside,
  );
  if (status < 200 || status > 299) throw new Error(`status ${status}`);
};

const mail = async (
  { queue, router, now = Date.now }: ReportSenderOptions,
  destination: string,
  facts: ReportFacts,
  report: TlsReport,
  compressed: Buffer,
): Promise<void> => {
  const recipient = decodeURIComponent(destination.slice('mailto:'.length).replace(/\?.*$/, ''));
  if (!/^[\x21-\x7e]+@[a-z0-9.-]+$/i.test(recipient) || /[<>(),;:"\\]/.test(recipient)) {
    throw new Error('no plain address');
  }
  // Nobody is told when a report cannot be delivered.
  const route = await router.route(recipient, '');
  if (route.kind === 'error') throw new Error(route.reason);
  const key = `tlsrpt ${facts.day} ${facts.domain} ${recipient}`;
  const queueId = await queue.claimIdempotencyKey(key, queue.newQueueId(), REMEMBER_MS);
  const nowMs = now();
  const bytes = writeReportMail({ facts, report, compressed, recipient, queueId, nowMs });
  const content = await queue.spoolContent(once(bytes));
  const { address, transport, nexthop } = route;
  await queue.accept({
    envelope: {
      queueId,
      sender: '',
      sizeBytes: content.kind === 'inline' ? content.bytes.length : content.sizeBytes,
      tlsOptional: true,
      arrivalMs: nowMs,
      createdMs: nowMs,
    },
    recipients: [{ index: 0, address, transport, nexthop }],
    content,
    rememberMs: REMEMBER_MS,
  });
};

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
