/**
 * Text as it may stand in a notice: no control characters, folded lines, quoted addresses.
 *
 * All that a notice says of the outside world (replies, reasons, addresses) passes through `printable`, so that
 * nobody's words can end a line or a header early. RFC 5322 section 3.4.1.
 */
import { printable, quotedAddress } from '@mailfleet/telemetry';

/** Columns of a line of the text part and of the long status fields. */
const foldColumns = 79;

/** Folds at blanks; continuation lines are indented by four, a word longer than a line stays whole. */
export function fold(text: string, columns = foldColumns): string[] {
  const lines: string[] = [];
  let rest = printable(text);
  let room = columns;
  while (rest.length > room) {
    let cut = rest.lastIndexOf(' ', room);
    if (cut <= 0) {
      cut = rest.indexOf(' ', room);
    }
    if (cut < 0) {
      break;
    }
    lines.push(rest.slice(0, cut));
    rest = rest.slice(cut).trimStart();
    room = columns - 4;
  }
  lines.push(rest);
  return lines.filter((line) => line !== '').map((line, index) => (index === 0 ? line : `    ${line}`));
}

/** An address as a notice shows it, its local part quoted where RFC 5321 section 4.1.2 wants it. */
export function shownAddress(address: string): string {
  return printable(quotedAddress(address));
}

export function hasNonAscii(text: string): boolean {
  return /[\u0080-\u{10ffff}]/u.test(text);
}
