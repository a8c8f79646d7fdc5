/** A TLS report as a message (RFC 8460 section 5.3): a sentence for people, and the report, compressed. Pure but for the boundary. */
import { mailDate } from '@mailfleet/mime';
import { type ReportFacts, reportFileName, reportId, type TlsReport } from '@mailfleet/tls';

export interface ReportMail {
  readonly facts: ReportFacts;
  readonly report: TlsReport;
  /** The report's JSON, compressed by gzip. */
  readonly compressed: Buffer;
  readonly recipient: string;
  readonly queueId: string;
  readonly nowMs: number;
}

const LINE = 76;

export const writeReportMail = ({ facts, compressed, recipient, queueId, nowMs }: ReportMail): Buffer => {
  const { domain, submitter, day, contact, organization } = facts;
  const boundary = `tlsrpt-${queueId}`;
  const file = reportFileName(facts);
  const encoded = compressed.toString('base64').match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return Buffer.from(
    [
      `Date: ${mailDate(nowMs)}`,
      `From: ${contact}`,
      `To: ${recipient}`,
      `Subject: Report Domain: ${domain}`,
      ` Submitter: ${submitter}`,
      ` Report-ID: <${reportId(facts)}>`,
      `Message-ID: <${queueId}.tlsrpt@${submitter}>`,
      `TLS-Report-Domain: ${domain}`,
      `TLS-Report-Submitter: ${submitter}`,
      // A report about TLS that fails must not fail over TLS (RFC 8460 section 5.3).
      'TLS-Required: No',
      'Auto-Submitted: auto-generated',
      'MIME-Version: 1.0',
      `Content-Type: multipart/report; report-type="tlsrpt"; boundary="${boundary}"`,
      '',
      `--${boundary}`,
      'Content-Type: text/plain; charset=us-ascii',
      '',
      `This is an aggregate TLS report of ${organization} for ${domain}, for the UTC day ${day}.`,
      '',
      `--${boundary}`,
      'Content-Type: application/tlsrpt+gzip',
      'Content-Transfer-Encoding: base64',
      `Content-Disposition: attachment; filename="${file}"`,
      '',
      ...encoded,
      `--${boundary}--`,
      '',
    ].join('\r\n'),
  );
};
