/**
 * Events as Postfix log lines, byte-compatible with what log parsers (pflogsumm and its kin) read. Each event gives
 * a daemon name, which becomes the program tag, and the text after it. `tls=` stands in a delivery's line only with
 * `smtp_log_tls_feature_status`, which is off by default here: parsers in the field do not know it and would lose the whole line.
 */
import { delaysOf } from './delay.ts';
import type { MailEvent } from './event.ts';
import { printable, quotedAddress } from './printable.ts';

/** What follows the stamp and the host name: `program` goes into the tag. */
export interface MaillogLine {
  readonly program: string;
  readonly text: string;
}

export type DeliveryEvent = Extract<MailEvent, { kind: 'delivered' | 'deferred' | 'bounced' }>;

/** The word of `status=`. */
export function statusWord({
  kind,
  softBounce,
}: DeliveryEvent): 'sent' | 'deferred' | 'bounced' | 'SOFTBOUNCE' {
  if (softBounce === true) return 'SOFTBOUNCE';
  return kind === 'delivered' ? 'sent' : kind;
}

/** How lines are written. */
export interface LineStyle {
  /** delay_logging_resolution_limit */
  readonly resolutionLimit: number;
  /** info_log_address_format: quoted where an address needs it, or as it is inside. */
  readonly addressFormat: 'external' | 'internal';
}

/** Lines of an event; none when Postfix has no such line. `daemon` names the process, for events that do not say. */
export function maillogLines(event: MailEvent, daemon: string, style: LineStyle): readonly MaillogLine[] {
  const bracketed = (address: string): string =>
    `<${style.addressFormat === 'internal' ? address : quotedAddress(address)}>`;
  switch (event.kind) {
    case 'accepted':
      return acceptedLines(event, bracketed);
    case 'activated':
      return line(
        'qmgr',
        `${event.queueId}: from=${bracketed(event.from)}, size=${event.sizeBytes}, nrcpt=${event.nrcpt} (queue active)`,
      );
    case 'batched':
      return [];
    case 'delivered':
    case 'deferred':
    case 'bounced':
      return line(event.program, deliveryText(event, style.resolutionLimit, bracketed));
    case 'notified':
      return line(
        'bounce',
        `${event.queueId}: ${event.audience ?? 'sender'} ${event.notice} notification: ${event.noticeQueueId}`,
      );
    case 'expired':
      return line(
        'qmgr',
        `${event.queueId}: from=${bracketed(event.from)}, status=${event.forced === true ? 'force-expired' : 'expired'}, returned to sender`,
      );
    case 'removed':
      return line('qmgr', `${event.queueId}: removed`);
    case 'held':
      return line('postsuper', `${event.queueId}: placed on hold`);
    case 'released':
      return line('postsuper', `${event.queueId}: released from hold`);
    case 'deleted':
      return line('postsuper', `${event.queueId}: removed`);
    case 'in-doubt':
      return line(
        daemon,
        `warning: ${event.queueId}: in doubt after batch ${event.batchId}: ${event.detail}`,
      );
    case 'corrupt':
      return line(
        event.program,
        `warning: ${event.queueId}: saving corrupt message in the corrupt queue: ${event.why}`,
      );
    case 'remark':
      return line(
        event.program,
        `${event.warning === true ? 'warning: ' : ''}${event.queueId === undefined ? '' : `${event.queueId}: `}${event.text}`,
      );
  }
}

function line(program: string, text: string): readonly MaillogLine[] {
  return [{ program, text: printable(text) }];
}

type Bracketed = (address: string) => string;

type Accepted = Extract<MailEvent, { kind: 'accepted' }>;

/** The line of the daemon that took the message in, and cleanup's; a notice of ours has cleanup's only. */
function acceptedLines(event: Accepted, bracketed: Bracketed): readonly MaillogLine[] {
  const lines: MaillogLine[] = [];
  const { submitter } = event;
  if (submitter !== undefined) {
    lines.push(...line(event.by, `${event.queueId}: uid=${submitter.uid} from=${bracketed(submitter.from)}`));
  } else if (event.clientAddress !== undefined || event.clientName !== undefined) {
    const client = `${event.clientName ?? 'unknown'}[${event.clientAddress ?? 'unknown'}]`;
    const sasl = `${field('sasl_method', event.saslMethod)}${field('sasl_username', event.saslUsername)}`;
    lines.push(...line(event.by, `${event.queueId}: client=${client}${sasl}`));
  }
  if (event.messageId !== undefined)
    lines.push(...line('cleanup', `${event.queueId}: message-id=${event.messageId}`));
  return lines;
}

function field(name: string, value: string | undefined): string {
  return value === undefined ? '' : `, ${name}=${value}`;
}

function deliveryText(event: DeliveryEvent, resolutionLimit: number, bracketed: Bracketed): string {
  const { to, origTo, connUse } = event;
  const moved = origTo !== undefined && origTo !== '' && origTo.toLowerCase() !== to.toLowerCase();
  const { delay, delays } = delaysOf(event.times, resolutionLimit);
  return [
    `${event.queueId}: to=${bracketed(to)}`,
    ...(moved ? [`orig_to=${bracketed(origTo)}`] : []),
    `relay=${event.relay}`,
    ...(connUse !== undefined && connUse > 1 ? [`conn_use=${connUse}`] : []),
    `delay=${delay}`,
    `delays=${delays.join('/')}`,
    ...(event.tlsStatus === undefined ? [] : [`tls=${event.tlsStatus}`]),
    `dsn=${event.dsn}`,
    `status=${statusWord(event)} (${event.reason})`,
  ].join(', ');
}
