/**
 * What cleanup(8) does to a message on its way into the queue, as a stream of constant memory: line ends made canonical,
 * a Received: header put first, unwanted headers dropped, missing ones added at the end of the header block, hops
 * counted, the 8-bit label found, size watched.
 *
 * Content is stored in wire form: CR LF line ends, no stray CR or LF, no dot-stuffing. A limit that is passed does not
 * throw: output ends early and `facts().refused` says why; the caller then drops what it spooled.
 */
import { dateDigits, mailDate } from './date.ts';
import { LineEnds } from './line-ends.ts';
import { type Header, headerValue } from './structure/header-line.ts';
import type { StructureLimits } from './structure/limits.ts';
import { MimeParser, type PrimaryEnd } from './structure/parser.ts';

export interface CompletionOptions {
  /** Goes before everything else, with its line ends; see receivedHeader. */
  readonly received?: Buffer;
  /** Add Date, Message-Id, From and, when configured, a recipient header where they are missing. */
  readonly addMissing?: {
    readonly queueId: string;
    readonly timeMs: number;
    readonly hostname: string;
    /** Ready for the header: quoted, with a display name if there is one. */
    readonly from: string;
    /** undisclosed_recipients_header; empty adds none. */
    readonly undisclosedRecipients: string;
  };
  /** Lower case names (message_drop_headers). */
  readonly dropHeaders: readonly string[];
  /** header_size_limit, line_length_limit, mime_nesting_limit, mime_boundary_length_limit. */
  readonly limits: StructureLimits;
  /** Received: headers from which on mail loops (hopcount_limit), ours included. */
  readonly hopcountLimit: number;
  /** Bytes of arriving content (message_size_limit); 0: any. */
  readonly sizeLimit: number;
  /** Look for Content-Transfer-Encoding: 8bit in all header blocks (detect_8bit_encoding_header). */
  readonly detectEncoding: boolean;
  /** Called for each arriving header, before it may be dropped. */
  readonly onHeader?: (name: string, value: string) => void;
}

const CRLF = Buffer.from('\r\n');

export type ContentRefusal = 'too-large' | 'too-many-hops';

export interface ContentFacts {
  readonly refused?: ContentRefusal;
  /** Bytes after completion. */
  readonly sizeBytes: number;
  /** A header block said 8bit or binary. */
  readonly eightBit: boolean;
  /** A header of the message itself is not ASCII. */
  readonly utf8Header: boolean;
  /** Value of Message-Id, the added one included. */
  readonly messageId?: string;
}

/** Headers that say to whom a message is visibly addressed: with one of them no undisclosed-recipients is added. */
const RECIPIENT_HEADERS = ['to', 'cc', 'resent-to', 'resent-cc'];

export class ContentCompletion {
  readonly #options: CompletionOptions;
  readonly #lineEnds = new LineEnds();
  readonly #parser: MimeParser;
  readonly #seen = new Set<string>();
  #output: Buffer[] = [];
  #arrived = 0;
  #sizeBytes = 0;
  #hops = 1;
  #resent = '';
  #messageId: string | undefined;
  #inPrimary = true;
  #eightBit = false;
  #utf8Header = false;
  #refused: ContentRefusal | undefined;

  constructor(options: CompletionOptions) {
    this.#options = options;
    this.#parser = new MimeParser(
      { ...options.limits, convert: false, primaryOnly: !options.detectEncoding, mailboxLine: true },
      {
        header: (header) => (this.#inPrimary ? this.#header(header) : this.#partHeader(header)),
        endPrimary: (end) => this.#endHeaders(end),
        body: (chunk) => this.#write(chunk),
      },
    );
    if (options.received !== undefined) this.#write(options.received);
  }

  /** The completed content of `source`. Reads on to its end after a refusal only if the caller does. */
  async *complete(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.#arrived += chunk.byteLength;
      const { sizeLimit } = this.#options;
      if (sizeLimit > 0 && this.#arrived > sizeLimit) this.#refused ??= 'too-large';
      if (this.#refused !== undefined) return;
      this.#parser.push(this.#lineEnds.push(chunk));
      if (this.#output.length > 0) yield this.#taken();
    }
    this.#parser.push(this.#lineEnds.end());
    this.#parser.end();
    if (this.#refused === undefined && this.#output.length > 0) yield this.#taken();
  }

  /** Final once `complete` has ended. */
  facts(): ContentFacts {
    return {
      sizeBytes: this.#sizeBytes,
      eightBit: this.#eightBit,
      utf8Header: this.#utf8Header,
      ...(this.#refused === undefined ? {} : { refused: this.#refused }),
      ...(this.#messageId === undefined ? {} : { messageId: this.#messageId }),
    };
  }

  /** In one piece: each step of a generator costs more than copying a chunk. */
  #taken(): Buffer {
    const output = Buffer.concat(this.#output);
    this.#output = [];
    return output;
  }

  #write(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#sizeBytes += bytes.length;
    this.#output.push(bytes);
  }

  #header(header: Header): void {
    const { name } = header;
    const value = headerValue(header);
    this.#options.onHeader?.(name, value);
    this.#detect(name, value);
    this.#utf8Header ||= /\P{ASCII}/u.test(value);
    this.#seen.add(name);
    if (name.startsWith('resent-')) this.#resent = 'Resent-';
    if (name === 'message-id') this.#messageId ??= value;
    if (name === 'received') {
      this.#hops += 1;
      if (this.#hops >= this.#options.hopcountLimit) this.#refused ??= 'too-many-hops';
    }
    if (!this.#options.dropHeaders.includes(name)) this.#write(header.bytes);
  }

  #partHeader(header: Header): void {
    this.#detect(header.name, headerValue(header));
    this.#write(header.bytes);
  }

  /** A declaration counts with nothing but the word: Postfix wants no comment either. */
  #detect(name: string, value: string): void {
    if (!this.#options.detectEncoding || name !== 'content-transfer-encoding') return;
    if (/^(?:8bit|binary)$/i.test(value)) this.#eightBit = true;
  }

  #endHeaders(end: PrimaryEnd): void {
    this.#inPrimary = false;
    this.#addMissing();
    // Headers only: the empty line is missing.
    if (end === 'end of content') this.#write(CRLF);
  }

  /** Order and forms of cleanup(8). A resent message gets Resent- headers: its own ones describe the first sending. */
  #addMissing(): void {
    const { addMissing } = this.#options;
    if (addMissing === undefined) return;
    const { queueId, timeMs, hostname, from, undisclosedRecipients } = addMissing;
    const resent = this.#resent;
    const misses = (name: string): boolean => !this.#seen.has(`${resent}${name}`.toLowerCase());
    if (misses('Message-Id')) {
      const id = `<${dateDigits(timeMs)}.${queueId}@${hostname}>`;
      this.#line(`${resent}Message-Id: ${id}`);
      if (resent === '') this.#messageId = id;
    }
    if (misses('Date')) this.#line(`${resent}Date: ${mailDate(timeMs)}`);
    if (misses('From')) this.#line(`${resent}From: ${from}`);
    if (undisclosedRecipients !== '' && !RECIPIENT_HEADERS.some((name) => this.#seen.has(name))) {
      this.#line(undisclosedRecipients);
    }
  }

  #line(text: string): void {
    this.#write(Buffer.from(`${text}\r\n`));
  }
}
