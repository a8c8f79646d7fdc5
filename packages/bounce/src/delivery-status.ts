/**
 * The machine-readable part of a notice: message/delivery-status, or message/global-delivery-status for SMTPUTF8
 * mail (RFC 3464 sections 2.2 and 2.3, RFC 6533 section 4).
 *
 * Fields stand in the order of the reference. Remote-MTA and Diagnostic-Code are folded, the others are not.
 */
import { mailDate } from '@mailfleet/mime';
import type { Envelope } from '@mailfleet/smtp';
import { printable } from '@mailfleet/telemetry';
import type { NoticeEntry, PlannedNotice } from './plan.ts';
import type { NoticeSettings } from './settings.ts';
import { fold, hasNonAscii, shownAddress } from './text.ts';

/** The lines of the part's body, without line ends. */
export function deliveryStatus(
  envelope: Envelope,
  notice: Pick<PlannedNotice, 'entries' | 'template'>,
  settings: NoticeSettings,
): string[] {
  const product = settings.productName;
  const lines = [`Reporting-MTA: dns; ${settings.myhostname}`];
  if (envelope.envid !== undefined) {
    lines.push(`Original-Envelope-Id: ${printable(envelope.envid)}`);
  }
  lines.push(
    `X-${product}-Queue-ID: ${envelope.queueId}`,
    `X-${product}-Sender: ${typedAddress(shownSender(envelope, settings), envelope)}`,
    `Arrival-Date: ${mailDate(envelope.arrivalMs)}`,
  );
  for (const entry of notice.entries) {
    lines.push('', ...recipientFields(envelope, entry, notice, settings));
  }
  // RFC 3464 section 2: this type is US-ASCII only; RFC 6533 made another for the rest.
  return envelope.smtputf8 === true ? lines : lines.map((line) => line.replace(/[^\x20-\x7e]/gu, '?'));
}

function recipientFields(
  envelope: Envelope,
  { recipient, outcome }: NoticeEntry,
  notice: Pick<PlannedNotice, 'template'>,
  settings: NoticeSettings,
): string[] {
  const lines = [`Final-Recipient: ${typedAddress(recipient.address, envelope)}`];
  const original = originalAddress(recipient);
  if (recipient.orcpt !== undefined) {
    lines.push(`Original-Recipient: ${printable(recipient.orcpt)}`);
  } else if (original !== undefined) {
    lines.push(`Original-Recipient: ${typedAddress(original, envelope)}`);
  }
  // Expired recipients were recorded as delayed, and keep their 4.x.x status.
  lines.push(
    `Action: ${notice.template === 'failure' ? 'failed' : outcome.action}`,
    `Status: ${outcome.status}`,
  );
  if (outcome.remoteMta !== undefined) {
    lines.push(...fold(`Remote-MTA: dns; ${outcome.remoteMta}`));
  }
  lines.push(
    ...fold(
      outcome.reply === undefined
        ? `Diagnostic-Code: X-${settings.productName}; ${reasonOf(outcome)}`
        : `Diagnostic-Code: smtp; ${outcome.reply}`,
    ),
  );
  if (notice.template === 'delay') {
    lines.push(`Will-Retry-Until: ${mailDate(envelope.arrivalMs + settings.maximalQueueLifetimeMs)}`);
  }
  return lines;
}

/** A success says whom it was handed to. */
export function reasonOf({ kind, reason, relay }: NoticeEntry['outcome']): string {
  return kind === 'delivered' && relay !== 'none' ? `delivery via ${relay}: ${reason}` : reason;
}

/** The address as first given, when it differs from the final one by more than case. */
export function originalAddress(recipient: NoticeEntry['recipient']): string | undefined {
  const { address, originalAddress: original } = recipient;
  return original === undefined || original.toLowerCase() === address.toLowerCase() ? undefined : original;
}

/** The original's sender as a notice shows it: MAILER-DAEMON of this host for the null sender. */
export function shownSender(envelope: Envelope, settings: NoticeSettings): string {
  return envelope.sender === '' ? `MAILER-DAEMON@${settings.myhostname}` : envelope.sender;
}

function typedAddress(address: string, envelope: Envelope): string {
  const type = envelope.smtputf8 === true && hasNonAscii(address) ? 'utf-8' : 'rfc822';
  return `${type}; ${shownAddress(address)}`;
}
