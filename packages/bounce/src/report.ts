/**
 * The notice itself: a complete message, multipart/report with a text for people, the delivery status for programs
 * and the original or its headers (RFC 3462, RFC 3464; RFC 6533 for SMTPUTF8 mail; RFC 3834 for Auto-Submitted).
 *
 * Pure: facts in, bytes out. The original's content is passed through as it comes, never gathered, so a notice costs
 * the same memory whatever it quotes. The original is quoted whole or by its headers, never cut.
 */
import { dateDigits, mailDate, receivedHeader } from '@mailfleet/mime';
import type { Envelope } from '@mailfleet/smtp';
import { printable } from '@mailfleet/telemetry';
import { deliveryStatus, originalAddress, reasonOf, shownSender } from './delivery-status.ts';
import { headerValue, type Original } from './original.ts';
import type { NoticeEntry, PlannedNotice } from './plan.ts';
import type { NoticeSettings } from './settings.ts';
import type { NoticeTemplate } from './template.ts';
import { fold, hasNonAscii, shownAddress } from './text.ts';

export interface ReportInput {
  /** Queue id of the notice, for its Received and Message-ID. */
  readonly queueId: string;
  /** When the notice is made. */
  readonly nowMs: number;
  readonly notice: PlannedNotice;
  readonly template: NoticeTemplate;
  /** Envelope of the message that the notice is about. */
  readonly envelope: Envelope;
  /** Undefined: its content is gone. */
  readonly original: Original | undefined;
  readonly settings: NoticeSettings;
}

export interface Report {
  readonly messageId: string;
  readonly encoding: '7bit' | '8bit' | undefined;
  readonly bytes: AsyncIterable<Uint8Array>;
}

export function writeReport(input: ReportInput): Report {
  const { envelope, notice, original, settings } = input;
  const encoding = encodingOf(input);
  const messageId = `<${dateDigits(input.nowMs)}.${input.queueId}@${settings.myhostname}>`;
  // 70 characters are what RFC 2046 section 5.1.1 allows.
  const boundary = `${envelope.queueId}.${Math.floor(input.nowMs / 1000)}/${settings.myhostname}`.slice(
    0,
    70,
  );
  const redacted = envelope.requireTls === true && settings.requireTlsRedact;
  const full = notice.full && envelope.sizeBytes <= settings.bounceSizeLimit && !redacted;

  const before = [
    ...headerLines(input, messageId, boundary, encoding),
    '',
    'This is a message in several parts, in MIME format.',
    '',
    ...textPartHeader(input, boundary, encoding),
  ];
  const { template } = input;
  const after = [
    ...notice.entries.flatMap((entry) => ['', ...paragraph(entry)]),
    '',
    ...statusPart(input, boundary),
    ...originalPartHeader(input, boundary, encoding, full),
    `Return-Path: <${shownAddress(shownSender(envelope, settings))}>`,
  ];
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield lines(before);
    if (!isPostmasterForm(notice)) yield lines(template.lines, template.bytes);
    yield lines(after);
    let last = 0x0a;
    if (original === undefined) {
      yield lines(['', 'The original message is not available.']);
    } else {
      for await (const chunk of full ? original.content() : [original.headers]) {
        last = chunk.at(-1) ?? last;
        yield chunk;
      }
    }
    yield Buffer.from(`${last === 0x0a ? '' : '\r\n'}\r\n--${boundary}--\r\n`);
  }
  return { messageId, encoding, bytes: bytes() };
}

function headerLines(
  { envelope, notice, nowMs, original, queueId, settings, template }: ReportInput,
  messageId: string,
  boundary: string,
  encoding: Report['encoding'],
): string[] {
  const subject = isPostmasterForm(notice)
    ? (template.postmasterSubject ?? template.subject)
    : template.subject;
  const headers = [
    receivedHeader({ by: settings.myhostname, software: settings.mailName, queueId, timeMs: nowMs })
      .toString()
      .trimEnd(),
    `Date: ${mailDate(nowMs)}`,
    `From: ${template.from === undefined ? ourFrom(settings) : qualified(template.from, settings.myorigin)}`,
    `Subject: ${subject}`,
    `To: ${shownAddress(notice.recipient)}`,
  ];
  const originalId = printable(
    envelope.messageId ?? (original && headerValue(original.headers, 'message-id')) ?? '',
  );
  if (settings.threaded && originalId !== '') {
    headers.push(`References: ${originalId}`, `In-Reply-To: ${originalId}`);
  }
  // RFC 8689 section 4.1: what asked for delivery without TLS also wants its notice so. REQUIRETLS overrules it.
  const tlsRequired = original && headerValue(original.headers, 'tls-required');
  if (tlsRequired?.toLowerCase() === 'no' && envelope.requireTls !== true) {
    headers.push('TLS-Required: no');
  }
  headers.push(
    `Auto-Submitted: auto-${isPostmasterForm(notice) ? 'generated' : 'replied'}`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status;',
    `\tboundary="${boundary}"`,
  );
  headers.push(...transferEncoding(encoding), `Message-ID: ${messageId}`);
  return headers;
}

/** The postmaster knows what these are, so that there is no opening text; nobody's request is answered by them. */
function isPostmasterForm({ audience, template }: PlannedNotice): boolean {
  return audience === 'postmaster' && template !== 'success';
}

function ourFrom({ headerFromFormat, myorigin }: NoticeSettings): string {
  const address = `MAILER-DAEMON@${myorigin}`;
  const name = 'Mail Delivery System';
  return headerFromFormat === 'obsolete' ? `${address} (${name})` : `${name} <${address}>`;
}

/** The From of a template; its address may lack a domain: `MAILER-DAEMON (Mail Delivery System)`, `System <MAILER-DAEMON>`. */
function qualified(from: string, myorigin: string): string {
  if (from.includes('<')) return from.replace(/<([^@<>]+)>/, `<$1@${myorigin}>`);
  return from.replace(/^([^@\s()"]+)(?=\s*(?:\(|$))/, `$1@${myorigin}`);
}

function textPartHeader({ template }: ReportInput, boundary: string, encoding: Report['encoding']): string[] {
  const charset =
    template.charset.toLowerCase() !== 'us-ascii'
      ? template.charset
      : encoding === '8bit'
        ? 'utf-8'
        : 'us-ascii';
  return [
    `--${boundary}`,
    'Content-Description: Notification',
    `Content-Type: text/plain; charset=${charset}`,
    ...transferEncoding(encoding === '8bit' ? encoding : undefined),
    '',
  ];
}

function paragraph({ recipient, outcome }: NoticeEntry): string[] {
  const original = originalAddress(recipient);
  const expanded = original === undefined ? '' : ` (expanded from <${shownAddress(original)}>)`;
  return fold(`<${shownAddress(recipient.address)}>${expanded}: ${reasonOf(outcome)}`);
}

function statusPart({ envelope, notice, settings }: ReportInput, boundary: string): string[] {
  return [
    `--${boundary}`,
    'Content-Description: Delivery report',
    `Content-Type: message/${envelope.smtputf8 === true ? 'global-delivery-status' : 'delivery-status'}`,
    ...transferEncoding(envelope.smtputf8 === true ? '8bit' : undefined),
    '',
    ...deliveryStatus(envelope, notice, settings),
    '',
  ];
}

function originalPartHeader(
  { envelope, notice }: ReportInput,
  boundary: string,
  encoding: Report['encoding'],
  full: boolean,
): string[] {
  const undelivered = notice.template === 'failure' || notice.template === 'delay' ? 'Undelivered ' : '';
  const global = envelope.smtputf8 === true;
  const type = full
    ? `message/${global ? 'global' : 'rfc822'}`
    : global
      ? 'message/global-headers'
      : 'text/rfc822-headers';
  return [
    `--${boundary}`,
    `Content-Description: ${undelivered}Message${full ? '' : ' Headers'}`,
    `Content-Type: ${type}`,
    ...transferEncoding(encoding === '8bit' ? encoding : undefined),
    '',
  ];
}

function encodingOf({ envelope, notice, settings, template }: ReportInput): Report['encoding'] {
  const eightBit =
    settings.smtputf8Enable ||
    envelope.smtputf8 === true ||
    envelope.encoding === '8bit' ||
    hasNonAscii(template.lines.join('')) ||
    notice.entries.some(({ recipient, outcome }) => hasNonAscii(recipient.address + outcome.reason));
  return eightBit ? '8bit' : envelope.encoding;
}

function transferEncoding(encoding: Report['encoding']): string[] {
  return encoding === undefined ? [] : [`Content-Transfer-Encoding: ${encoding}`];
}

function lines(text: readonly string[], bytes: 'utf8' | 'latin1' = 'utf8'): Buffer {
  return Buffer.from(`${text.join('\r\n')}\r\n`, bytes);
}
