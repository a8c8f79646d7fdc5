/**
 * The Received: header that whoever accepts a message puts before it (RFC 5321 section 4.4, RFC 6531 section 4.3,
 * RFC 3848 for the protocol names). Callers pass values free of CR, LF and NUL; parentheses of comments are the only
 * thing that is made safe here.
 */
import { mailDate } from './date.ts';

export interface Receipt {
  /** Name this host goes by. */
  readonly by: string;
  /** Name of the software (mail_name). */
  readonly software: string;
  readonly queueId: string;
  readonly timeMs: number;
  /** ESMTP, SMTP, HTTP, …; see protocolName. Absent: submitted on this machine. */
  readonly protocol?: string;
  readonly helo?: string;
  readonly clientName?: string;
  readonly clientAddress?: string;
  readonly tls?: { readonly version: string; readonly cipher: string };
  /** Where it came from when no client is known, e.g. `from userid 1000`. */
  readonly origin?: string;
  /** The recipient, when there is exactly one: more would tell each of the others. */
  readonly recipient?: string;
}

/** SMTP, ESMTP, ESMTPSA, UTF8SMTPS, … (RFC 3848, RFC 6531 section 4.3). */
export function protocolName(session: {
  readonly extended: boolean;
  readonly tls: boolean;
  readonly authenticated: boolean;
  readonly smtputf8: boolean;
}): string {
  if (!session.extended) return 'SMTP';
  const base = session.smtputf8 ? 'UTF8SMTP' : 'ESMTP';
  return `${base}${session.tls ? 'S' : ''}${session.authenticated ? 'A' : ''}`;
}

/** The header with its line ends, folded where Postfix folds it. */
export function receivedHeader(receipt: Receipt): Buffer {
  const lines: string[] = [];
  if (receipt.clientAddress === undefined) {
    const origin = receipt.origin === undefined ? '' : `, ${comment(receipt.origin)}`;
    lines.push(`Received: by ${receipt.by} (${comment(receipt.software)}${origin})`);
    lines.push(`\t${receipt.protocol === undefined ? '' : `with ${receipt.protocol} `}id ${receipt.queueId}`);
  } else {
    const name = receipt.clientName ?? 'unknown';
    const address = receipt.clientAddress.includes(':')
      ? `IPv6:${receipt.clientAddress}`
      : receipt.clientAddress;
    lines.push(`Received: from ${receipt.helo ?? name} (${comment(name)} [${address}])`);
    if (receipt.tls !== undefined) {
      lines.push(`\t(using ${comment(receipt.tls.version)} with cipher ${comment(receipt.tls.cipher)})`);
    }
    lines.push(
      `\tby ${receipt.by} (${comment(receipt.software)}) with ${receipt.protocol ?? 'SMTP'} id ${receipt.queueId}`,
    );
  }
  if (receipt.recipient !== undefined) lines.push(`\tfor <${receipt.recipient}>`);
  lines[lines.length - 1] += `; ${mailDate(receipt.timeMs)}`;
  return Buffer.from(`${lines.join('\r\n')}\r\n`);
}

/** Text for inside a comment: an unbalanced parenthesis would swallow the rest of the header. */
function comment(text: string): string {
  return text.replace(/[()\\]/g, '?');
}
