/**
 * A report that came back from elsewhere, read into the words of our own outcomes: delivery status notifications (RFC 3464, RFC 6533)
 * and complaints in the Abuse Reporting Format (RFC 5965). Nothing in it is proven: anybody can write such mail, so whoever acts on
 * it first makes sure that the message was his (an envelope id, a VERP address, a Message-ID that he knows).
 */
import type { Outcome } from '@mailfleet/smtp';
import { outcomeClass, printable } from '@mailfleet/telemetry';
import { type Fields, type Part, parseFields, parseMessage, splitBlock } from './mime-parts.ts';

/** What one recipient block says, with the fields of an outcome that a report can tell. */
export type ReportedOutcome = Pick<
  Outcome,
  'address' | 'kind' | 'status' | 'reason' | 'action' | 'remoteMta' | 'reply' | 'class'
> & { readonly originalRecipient?: string };

interface OriginalMessage {
  readonly messageId?: string;
  readonly from?: string;
  readonly subject?: string;
}

export type InboundReport =
  | {
      readonly kind: 'dsn';
      readonly reportingMta?: string;
      readonly envelopeId?: string;
      readonly arrivalDate?: string;
      readonly outcomes: readonly ReportedOutcome[];
      readonly original: OriginalMessage;
    }
  | {
      readonly kind: 'complaint';
      /** abuse, fraud, virus, not-spam, other … */
      readonly feedbackType: string;
      readonly userAgent?: string;
      readonly sourceIp?: string;
      readonly mailFrom?: string;
      readonly envelopeId?: string;
      readonly recipients: readonly string[];
      readonly original: OriginalMessage;
    }
  /** Neither; the sentence says what is missing. */
  | { readonly kind: 'unknown'; readonly reason: string };

/** Bytes of a report that are looked at: status and headers come first, and who needs more sends too much. */
export const REPORT_BYTES = 10 * 1024 * 1024;
const MOST_RECIPIENTS = 1_000;

export function parseReport(bytes: Buffer): InboundReport {
  const { parts } = parseMessage(bytes.subarray(0, REPORT_BYTES));
  const status = parts.find(({ type }) => /^message\/(?:global-)?delivery-status$/.test(type));
  if (status !== undefined) return parseDsn(status, parts);
  const feedback = parts.find(({ type }) => type === 'message/feedback-report');
  if (feedback !== undefined) return parseComplaint(feedback, parts);
  return {
    kind: 'unknown',
    reason:
      'it is no report: there is no part of type message/delivery-status, message/global-delivery-status or message/feedback-report',
  };
}

function parseDsn(status: Part, parts: readonly Part[]): InboundReport {
  const [head = '', ...blocks] = status.body.trim().split(/\r?\n[ \t]*\r?\n(?:[ \t]*\r?\n)*/);
  const message = parseFields(head);
  const outcomes = blocks
    .slice(0, MOST_RECIPIENTS)
    .map(parseFields)
    .flatMap((fields) => reportedOutcome(fields) ?? []);
  if (outcomes.length === 0) {
    return {
      kind: 'unknown',
      reason: 'its delivery status names no recipient (Final-Recipient, Action and Status)',
    };
  }
  return {
    kind: 'dsn',
    ...optional('reportingMta', typed(message.get('reporting-mta'))),
    ...optional('envelopeId', message.get('original-envelope-id')),
    ...optional('arrivalDate', message.get('arrival-date')),
    outcomes,
    original: originalOf(parts),
  };
}

const KINDS: Readonly<Record<string, readonly [Outcome['kind'], Outcome['action']]>> = {
  failed: ['bounced', 'failed'],
  delayed: ['deferred', 'delayed'],
  delivered: ['delivered', 'delivered'],
  relayed: ['delivered', 'relayed'],
  expanded: ['delivered', 'relayed'],
};

function reportedOutcome(fields: Fields): ReportedOutcome | undefined {
  const originalRecipient = typed(fields.get('original-recipient'));
  const address = typed(fields.get('final-recipient')) ?? originalRecipient;
  const [kind, action] = KINDS[fields.get('action')?.toLowerCase().split(/[ (]/)[0] ?? ''] ?? [];
  if (address === undefined || kind === undefined || action === undefined) return undefined;
  const digit = { bounced: '5', deferred: '4', delivered: '2' }[kind];
  const status = /^[245]\.\d{1,3}\.\d{1,3}/.exec(fields.get('status') ?? '')?.[0] ?? `${digit}.0.0`;
  const [, type = '', text = ''] = /^([^;]*);\s*(.*)$/s.exec(fields.get('diagnostic-code') ?? '') ?? [];
  const reason = shown(text === '' ? 'no reason given' : text);
  const said = type.trim().toLowerCase() === 'smtp' && text !== '' ? { reply: reason } : {};
  const found = outcomeClass({ kind, status, reason, ...said });
  return {
    address,
    ...optional('originalRecipient', originalRecipient),
    kind,
    status,
    reason,
    action,
    ...optional('remoteMta', typed(fields.get('remote-mta'))),
    ...said,
    ...(found === undefined ? {} : { class: found }),
  };
}

function parseComplaint(feedback: Part, parts: readonly Part[]): InboundReport {
  const fields = parseFields(feedback.body.trim());
  const original = originalHeaders(parts);
  const recipients = [...feedback.body.matchAll(/^Original-Rcpt-To:[ \t]*(.+)$/gim)]
    .slice(0, MOST_RECIPIENTS)
    .map(([, address = '']) => shown(address.trim().replace(/^<(.*)>$/, '$1')));
  return {
    kind: 'complaint',
    feedbackType: shown(fields.get('feedback-type')?.toLowerCase() ?? 'other'),
    ...optional('userAgent', fields.get('user-agent')),
    ...optional('sourceIp', fields.get('source-ip')),
    ...optional('mailFrom', fields.get('original-mail-from')?.replace(/^<(.*)>$/, '$1')),
    ...optional('envelopeId', fields.get('original-envelope-id')),
    recipients: recipients.length > 0 ? recipients : addressesIn(original.get('to')),
    original: originalOf(parts),
  };
}

function originalHeaders(parts: readonly Part[]): Fields {
  const part = parts.find(({ type }) =>
    /^(?:message\/(?:rfc822|global|global-headers|rfc822-headers)|text\/rfc822-headers)$/.test(type),
  );
  return part === undefined ? new Map() : splitBlock(part.body.trimStart()).fields;
}

function originalOf(parts: readonly Part[]): OriginalMessage {
  const headers = originalHeaders(parts);
  return {
    ...optional('messageId', headers.get('message-id')),
    ...optional('from', headers.get('from')),
    ...optional('subject', headers.get('subject')),
  };
}

function addressesIn(to: string | undefined): string[] {
  return [...(to ?? '').slice(0, 100_000).matchAll(/[^\s<>,;"]+@[^\s<>,;"]+/g)].map(([address]) =>
    shown(address),
  );
}

/** The value behind `rfc822;`, `utf-8;`, `dns;` and their kin. */
function typed(value: string | undefined): string | undefined {
  const text = value?.replace(/^[^;]*;/, '').trim();
  return text === undefined || text === '' ? undefined : shown(text.replace(/^<(.*)>$/, '$1'));
}

function optional<K extends string>(name: K, value: string | undefined): { [P in K]?: string } {
  return value === undefined || value === '' ? {} : ({ [name]: shown(value) } as { [P in K]: string });
}

/** Fit for a terminal and a log; nobody needs more of it. */
function shown(text: string): string {
  return printable(text.slice(0, 2_000));
}
