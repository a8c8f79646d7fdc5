/**
 * Reads server replies out of a byte stream (RFC 5321 section 4.2, RFC 2034), with limits against a server that never
 * stops talking.
 *
 * Promises: whatever the bytes, memory stays bounded, nothing throws, and every character that reaches a reply's text is
 * printable: ASCII, and with `smtputf8_enable` what is well-formed UTF-8 (RFC 3629). The final line of a reply alone decides its code and status; lines that are no reply lines
 * stay in the text and mark the reply as `garbled`, because the session's pipelining can no longer be trusted.
 */
import type { LookupResult } from '@mailfleet/lookup';
import { printable } from '@mailfleet/telemetry';
import type { DsnStatus } from './delivery.ts';

export interface Reply {
  readonly code: number;
  /** Enhanced status of the final line, or one made up from the code. */
  readonly status: DsnStatus;
  /** All lines, code included, joined by newlines. */
  readonly text: string;
  /** The server sent lines that are not SMTP in front of this reply. */
  readonly garbled: boolean;
}

/** What a parser tells its owner, besides replies. */
export interface ReplyListener {
  onReply(reply: Reply): void;
  /** A line was cut at the limit; `head` is its beginning. */
  onLongLine(head: string): void;
  /** A line that is no reply line. */
  onGarbage(line: string): void;
  /** The filter put something else in place of a line. */
  onReplaced(line: string, replacement: string): void;
  /** The filter could not be asked: no line after this one may be used. */
  onDataError(why: string): void;
  /** The server went far beyond the line limit: stop reading from it. */
  onFlood(): void;
}

/** `smtp_reply_filter`: may replace one line before it is parsed. */
export type ReplyFilter = (line: string) => Promise<LookupResult>;

/** Reply text for a log line or report: one line. */
export const replyText = (reply: Reply): string =>
  reply.text.includes('\n') ? reply.text.replaceAll('\n', ' ') : reply.text;

const unprintable = /[^\x20-\x7e]/;
const everyUnprintable = /[^\x20-\x7e]/g;
const enhancedCode = /^ *([245]\.\d{1,3}\.\d{1,3})(?: |$)/;

/** In a latin1 string: a well-formed UTF-8 sequence of 2 to 4 bytes (RFC 3629 section 4), or one byte that does not print. */
const everyUtf8OrUnprintable =
  /[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[^\x20-\x7e]/g;

/** A line's bytes, each in one character, as text: what does not print becomes `?`. */
const textOf = (line: string, utf8: boolean): string => {
  if (!unprintable.test(line)) return line;
  if (!utf8) return line.replace(everyUnprintable, '?');
  return line.replace(everyUtf8OrUnprintable, (bytes) =>
    bytes.length === 1 ? '?' : printable(Buffer.from(bytes, 'latin1').toString('utf8')),
  );
};

const isDigit = (code: number): boolean => code >= 48 && code <= 57;

/** Status of a reply's final line (RFC 3463); an unexpected first digit is a protocol error. */
const statusOf = (line: string): DsnStatus => {
  const digit = line[0];
  if (digit !== '2' && digit !== '4' && digit !== '5') return '5.5.0';
  const found = enhancedCode.exec(line.length > 3 ? line.slice(3) : '')?.[1];
  return found?.[0] === digit ? found : `${digit}.0.0`;
};

/** Lines that may wait for the filter; no honest reply is longer. */
const MAX_WAITING_LINES = 1_000;

export interface ReplyParserOptions {
  /** `line_length_limit`: bytes kept of one line, and of the text of one reply. */
  readonly lineLengthLimit: number;
  /** `smtputf8_enable`: well-formed UTF-8 in a reply is text. */
  readonly utf8Replies: boolean;
  readonly filter?: ReplyFilter;
}

export class ReplyParser {
  readonly #listener: ReplyListener;
  readonly #limit: number;
  readonly #utf8: boolean;
  #line = '';
  #skipped = 0;
  #text = '';
  #garbled = false;
  #dead = false;
  readonly #filter: ReplyFilter | undefined;
  #filtered: Promise<void> = Promise.resolve();
  #waiting = 0;
  /** Lines that wait for the filter count only while this stays. */
  #epoch = 0;

  constructor(listener: ReplyListener, options: ReplyParserOptions) {
    this.#listener = listener;
    this.#limit = options.lineLengthLimit;
    this.#utf8 = options.utf8Replies;
    this.#filter = options.filter;
  }

  /** Calls back once all lines so far are parsed: at once without a filter. */
  whenParsed(then: () => void): void {
    if (this.#waiting === 0) then();
    else void this.#filtered.then(then);
  }

  /** Forgets all that is half read: what came in clear must not be taken for part of a TLS session. */
  reset(): void {
    this.#line = '';
    this.#skipped = 0;
    this.#text = '';
    this.#garbled = false;
    this.#epoch++;
  }

  push(chunk: Buffer): void {
    if (this.#dead) return;
    const text = chunk.toString('latin1');
    let start = 0;
    for (;;) {
      const end = text.indexOf('\n', start);
      if (end < 0) break;
      if (this.#line.length === 0 && this.#skipped === 0 && end - start <= this.#limit) {
        this.#endLine(text.slice(start, end));
      } else {
        this.#keep(text.slice(start, end));
        if (this.#dead) return;
        const line = this.#line;
        this.#line = '';
        if (this.#skipped > 0) this.#listener.onLongLine(line.slice(0, 30).replace(everyUnprintable, '?'));
        this.#skipped = 0;
        this.#endLine(line);
      }
      start = end + 1;
    }
    if (start < text.length) this.#keep(text.slice(start));
  }

  #keep(piece: string): void {
    const room = this.#limit - this.#line.length;
    this.#line += piece.length <= room ? piece : piece.slice(0, room);
    if (piece.length > room) this.#skipped += piece.length - room;
    if (this.#skipped > this.#limit) {
      this.#dead = true;
      this.#listener.onFlood();
    }
  }

  #endLine(raw: string): void {
    let length = raw.length;
    while (length > 0 && raw.charCodeAt(length - 1) === 13) length--;
    const line = textOf(length === raw.length ? raw : raw.slice(0, length), this.#utf8);
    if (this.#filter === undefined) this.#accept(line);
    else this.#acceptFiltered(line, this.#filter);
  }

  #acceptFiltered(line: string, filter: ReplyFilter): void {
    if (++this.#waiting > MAX_WAITING_LINES) {
      this.#dead = true;
      this.#listener.onFlood();
      return;
    }
    const epoch = this.#epoch;
    this.#filtered = this.#filtered.then(async () => {
      const result: LookupResult = this.#dead ? { kind: 'miss' } : await filter(line);
      this.#waiting--;
      if (this.#dead || epoch !== this.#epoch) return;
      if (result.kind === 'error') {
        this.#dead = true;
        this.#listener.onDataError(result.reason);
        return;
      }
      if (result.kind === 'found') this.#listener.onReplaced(line, result.value);
      this.#accept(result.kind === 'found' ? result.value : line);
    });
  }

  #accept(line: string): void {
    if (this.#text === '') this.#text = line;
    else if (this.#text.length < this.#limit) this.#text += `\n${line}`;

    const coded =
      line.length >= 3 &&
      isDigit(line.charCodeAt(0)) &&
      isDigit(line.charCodeAt(1)) &&
      isDigit(line.charCodeAt(2));
    const mark = coded ? line[3] : 'x';
    if (mark === '-') return;
    if (mark !== undefined && mark !== ' ') {
      this.#garbled = true;
      this.#listener.onGarbage(line);
      return;
    }
    const reply: Reply = {
      code: Number(line.slice(0, 3)),
      status: statusOf(line),
      text: this.#text,
      garbled: this.#garbled,
    };
    this.#text = '';
    this.#garbled = false;
    this.#listener.onReply(reply);
  }
}
