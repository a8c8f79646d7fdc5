/**
 * Takes a message apart as it streams by: header blocks header by header, wherever they stand, and all else as body
 * (RFC 5322, RFC 2045 and 2046; mime.md sections 2 to 7). On the way it turns what is declared 8bit or binary into quoted-printable when
 * asked to. What it hands over is, in order, the message; whoever wants no change just puts it together again.
 *
 * Bytes may come cut anywhere and the result is the same. Lines end in LF or CR LF; a last line without its end gets one. Memory:
 * one header of at most `header_size_limit` bytes, the stacked boundaries, a line of at most `line_length_limit` bytes. A body that
 * nothing can be found in costs nothing, one with boundaries a search for two dashes at the start of a line.
 */
import {
  type Domain,
  EMBEDDED,
  type EntityType,
  OTHER,
  parseContentType,
  parseTransferEncoding,
  TEXT,
} from './content-type.ts';
import { classOf, type Header, type HeaderClass, headerStart, isBlank } from './header-line.ts';
import { QuotedPrintable } from './quoted-printable.ts';

const LF = 10;
const CR = 13;
const DASH = 45;
const CRLF = Buffer.from('\r\n');
const BOUNDARY_START = Buffer.from('\n--');

export interface MimeOptions {
  /** Turn 8bit and binary parts into quoted-printable. */
  readonly convert: boolean;
  /** Look at the primary header only; the rest is body, whatever is in it. */
  readonly primaryOnly?: boolean;
  /** `header_size_limit`: once so many bytes of a header are kept, the rest of it is dropped. */
  readonly headerSizeLimit: number;
  /** `line_length_limit`: longer lines are taken in pieces of so many bytes. */
  readonly lineLengthLimit: number;
  /** `mime_nesting_limit`; two more boundaries than that are the first that is too many. */
  readonly nestingLimit: number;
  /** `mime_boundary_length_limit`: bytes of a boundary that count. */
  readonly boundaryLengthLimit: number;
  /** A first line `From …` of a mailbox file becomes a header. */
  readonly mailboxLine?: boolean;
}

/** How the primary header ended: by the empty line, by text, or with the message. */
export type PrimaryEnd = 'empty line' | 'text' | 'end of content';

export interface MimeHandler {
  header(header: Header): void;
  /** After the last primary header, before the empty line. */
  endPrimary?(end: PrimaryEnd): void;
  /** A header block is over, the primary one or a part's; what follows is a body of its own. */
  endBlock?(): void;
  /** All that is no header, empty lines and boundaries included. Not valid after the handler gave up control for longer. */
  body(bytes: Buffer): void;
  /** A part that may hold only 7bit data says that it is encoded, or more than 7bit (RFC 2045 section 6.4). */
  badEncodingDomain?(): void;
}

interface Boundary {
  readonly text: string;
  readonly digest: boolean;
}

export class MimeParser {
  readonly #options: MimeOptions;
  readonly #handler: MimeHandler;
  readonly #quotedPrintable: QuotedPrintable;
  #block: HeaderClass | undefined = 'primary';
  #isPrimary = true;
  #isFirstLine = true;
  #type: EntityType = TEXT;
  #domain: Domain = '7bit';
  #encoded = false;
  #boundaries: Boundary[] = [];
  /** Input that a decision waits for: the beginning of a line, or a CR. */
  #held: Buffer = Buffer.alloc(0);
  #atLineStart = true;
  /** The line before went on; only inside headers. */
  #afterPiece = false;
  #endsLine = true;
  /** The header being collected. */
  #name: string | undefined;
  #kept: Buffer[] = [];
  #keptLength = 0;
  /** More boundaries were stacked than the limit allows. */
  tooDeep = false;

  constructor(options: MimeOptions, handler: MimeHandler) {
    this.#options = options;
    this.#handler = handler;
    this.#quotedPrintable = new QuotedPrintable((text) => handler.body(text));
  }

  /** The body that is being read may hold bytes beyond ASCII. */
  get mayHold8Bit(): boolean {
    return this.#domain !== '7bit';
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#endsLine = chunk[chunk.length - 1] === LF;
    const input = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = Buffer.alloc(0);
    let at = 0;
    while (at < input.length) {
      if (this.#block !== undefined) at = this.#headerLine(input, at, this.#block);
      else if (this.#converts) at = this.#convert(input, at);
      else at = this.#pass(input, at);
    }
    this.#quotedPrintable.flush();
  }

  end(): void {
    if (!this.#endsLine) this.push(CRLF);
    if (this.#block !== undefined) this.#endBlock('end of content', this.#block);
  }

  get #converts(): boolean {
    return this.#options.convert && this.#domain !== '7bit';
  }

  #hold(input: Buffer, at: number): number {
    // A copy: the chunk is its sender's again when push returns.
    this.#held = Buffer.from(input.subarray(at));
    return input.length;
  }

  // Header blocks

  #headerLine(input: Buffer, at: number, block: HeaderClass): number {
    const { lineLengthLimit } = this.#options;
    const lf = input.indexOf(LF, at);
    if (lf < 0 && input.length - at < lineLengthLimit + 2) return this.#hold(input, at);
    const textEnd = lf < 0 ? input.length : lf > at && input[lf - 1] === CR ? lf - 1 : lf;
    const isPiece = textEnd - at > lineLengthLimit;
    const text = input.subarray(at, isPiece ? at + lineLengthLimit : textEnd);
    const next = isPiece ? at + lineLengthLimit : lf + 1;
    if (this.#takesHeaderText(text)) {
      this.#isFirstLine = false;
      this.#afterPiece = isPiece;
      return next;
    }
    if (text.length === 0) {
      this.#endBlock('empty line', block);
      return next;
    }
    this.#endBlock('text', block);
    this.#atLineStart = true;
    return at;
  }

  /** False: the text is no part of a header block. */
  #takesHeaderText(text: Buffer): boolean {
    if (this.#afterPiece) {
      this.#keep(text, false);
      return true;
    }
    if (this.#name !== undefined && isBlank(text[0])) {
      this.#keep(text, true);
      return true;
    }
    const start = headerStart(text);
    if (start !== undefined) {
      this.#endHeader();
      this.#name = text.toString('latin1', 0, start.nameEnd).toLowerCase();
      this.#keep(text.subarray(0, start.nameEnd), false);
      this.#keep(text.subarray(start.colon), false);
      return true;
    }
    if (
      this.#isFirstLine &&
      this.#options.mailboxLine === true &&
      /^>*From /.test(text.toString('latin1', 0, 100))
    ) {
      this.#name = 'x-mailbox-line';
      this.#keep(Buffer.from('X-Mailbox-Line: '), false);
      this.#keep(text, false);
      return true;
    }
    return false;
  }

  #keep(text: Buffer, newLine: boolean): void {
    if (this.#keptLength >= this.#options.headerSizeLimit) return;
    if (newLine) this.#kept.push(CRLF);
    this.#kept.push(Buffer.from(text));
    // A line break counts one byte, as it does where Postfix counts.
    this.#keptLength += text.length + (newLine ? 1 : 0);
  }

  #endHeader(): void {
    const name = this.#name;
    if (name === undefined) return;
    this.#name = undefined;
    this.#kept.push(CRLF);
    const bytes = Buffer.concat(this.#kept);
    this.#kept = [];
    this.#keptLength = 0;
    const block = this.#block ?? 'primary';
    if (this.#examine(name, bytes)) this.#handler.header({ name, class: classOf(name, block), bytes });
  }

  /** What the header says about the part. False: it goes, since a new one comes at the end of the block. */
  #examine(name: string, bytes: Buffer): boolean {
    if (this.#options.primaryOnly === true) return true;
    if (name === 'content-type') {
      const { type, boundaries } = parseContentType(bytes.toString('latin1', name.length + 1));
      if (type !== undefined) this.#type = type;
      for (const text of boundaries) this.#stack(text, type?.type === 'multipart' && type.digest);
    } else if (name === 'content-transfer-encoding') {
      const encoding = parseTransferEncoding(bytes.toString('latin1', name.length + 1));
      if (encoding !== undefined) {
        this.#domain = encoding.domain;
        this.#encoded = encoding.encoded;
      }
      return !this.#converts;
    }
    return true;
  }

  #stack(text: string, digest: boolean): void {
    if (this.#boundaries.length > this.#options.nestingLimit + 1) this.tooDeep = true;
    else this.#boundaries.push({ text: text.slice(0, this.#options.boundaryLengthLimit), digest });
  }

  #endBlock(end: PrimaryEnd, block: HeaderClass): void {
    this.#endHeader();
    const type = this.#type;
    if (this.#converts) {
      const encoding =
        type.type === 'multipart' || (type.type === 'message' && type.subtype !== 'global')
          ? '7bit'
          : 'quoted-printable';
      const bytes = Buffer.from(`Content-Transfer-Encoding: ${encoding}\r\n`);
      this.#handler.header({ name: '', class: block, bytes });
    }
    if (this.#isPrimary) this.#handler.endPrimary?.(end);
    this.#handler.endBlock?.();
    if (end === 'empty line' || (end === 'text' && this.#isPrimary)) this.#handler.body(CRLF);
    this.#isPrimary = false;
    this.#isFirstLine = false;
    this.#block = undefined;
    this.#atLineStart = true;
    if (end === 'empty line' && this.#options.primaryOnly !== true) this.#enterBody(type);
  }

  #enterBody(type: EntityType): void {
    if (type.type === 'message') {
      const partial = type.subtype === 'partial' || type.subtype === 'external-body';
      if ((type.subtype === 'rfc822' && this.#encoded) || (partial && this.#domain !== '7bit')) {
        this.#handler.badEncodingDomain?.();
      }
      if (type.subtype === 'rfc822' || (type.subtype === 'global' && !this.#converts)) {
        this.#enterBlock('nested', TEXT);
      }
    } else if (type.type === 'multipart') {
      if (this.#encoded) this.#handler.badEncodingDomain?.();
      this.#type = OTHER;
      this.#domain = '7bit';
    }
  }

  #enterBlock(block: HeaderClass, type: EntityType): void {
    this.#block = block;
    this.#type = type;
    this.#domain = '7bit';
    this.#encoded = false;
    this.#afterPiece = false;
  }

  // Bodies

  /** Hands the body on as it is, up to the next boundary. */
  #pass(input: Buffer, from: number): number {
    if (this.#boundaries.length === 0) {
      this.#handler.body(from === 0 ? input : input.subarray(from));
      return input.length;
    }
    let at = from;
    for (;;) {
      if (this.#atLineStart) {
        const end = this.#boundaryLine(input, at);
        if (end === undefined) {
          if (at > from) this.#handler.body(input.subarray(from, at));
          return this.#hold(input, at);
        }
        if (end > at) {
          this.#handler.body(input.subarray(from, end));
          return end;
        }
      }
      const next = input.indexOf(BOUNDARY_START, at);
      if (next < 0) break;
      at = next + 1;
      this.#atLineStart = true;
    }
    // The end of the input may be the beginning of such a line.
    const last = input[input.length - 1];
    const tail =
      last === LF ? 0 : last === DASH && input[input.length - 2] === LF && input.length - 2 >= at ? 1 : 0;
    this.#atLineStart = last === LF || tail > 0;
    const end = input.length - tail;
    if (end > from) this.#handler.body(input.subarray(from, end));
    return tail > 0 ? this.#hold(input, end) : input.length;
  }

  /** Encodes the body up to the next boundary. */
  #convert(input: Buffer, from: number): number {
    let at = from;
    while (at < input.length) {
      if (this.#atLineStart && this.#boundaries.length > 0) {
        const end = this.#boundaryLine(input, at);
        if (end === undefined) return this.#hold(input, at);
        if (end > at) {
          this.#quotedPrintable.flush();
          this.#handler.body(input.subarray(at, end));
          return end;
        }
      }
      const lf = input.indexOf(LF, at);
      const stop = lf < 0 ? input.length : lf;
      const heldCr = stop > at && input[stop - 1] === CR;
      this.#quotedPrintable.text(input, at, heldCr ? stop - 1 : stop);
      this.#atLineStart = lf >= 0;
      if (lf < 0) return heldCr ? this.#hold(input, stop - 1) : input.length;
      this.#quotedPrintable.endLine();
      at = lf + 1;
    }
    return at;
  }

  /**
   * Looks for a boundary at the start of a line: the end of its line when there is one, with all that follows from it; `at` when
   * there is none; undefined when the line has to be known better.
   */
  #boundaryLine(input: Buffer, at: number): number | undefined {
    const { lineLengthLimit, boundaryLengthLimit } = this.#options;
    const left = input.length - at;
    if (left === 0 || input[at] !== DASH || (left > 1 && input[at + 1] !== DASH)) {
      this.#atLineStart = false;
      return at;
    }
    const lf = input.indexOf(LF, at);
    if (lf < 0 && left < lineLengthLimit + 2) return undefined;
    this.#atLineStart = false;
    const lineEnd = lf < 0 ? input.length : lf > at && input[lf - 1] === CR ? lf - 1 : lf;
    if (lineEnd - at <= 2) return at;
    const compared = Math.min(lineEnd, at + lineLengthLimit, at + boundaryLengthLimit + 4);
    const found = this.#find(input.toString('latin1', at + 2, compared));
    if (!found) return at;
    if (lf >= 0 && lineEnd - at <= lineLengthLimit) return lf + 1;
    // What is left of a line that is too long is no line of its own.
    this.#atLineStart = false;
    return at + lineLengthLimit;
  }

  #find(text: string): boolean {
    for (let index = this.#boundaries.length - 1; index >= 0; index -= 1) {
      const boundary = this.#boundaries[index];
      if (boundary === undefined || !text.startsWith(boundary.text)) continue;
      if (text.startsWith('--', boundary.text.length)) {
        this.#boundaries.length = index;
        this.#type = OTHER;
        this.#domain = '7bit';
        this.#atLineStart = true;
      } else {
        this.#boundaries.length = index + 1;
        this.#enterBlock('mime', boundary.digest ? EMBEDDED : TEXT);
      }
      return true;
    }
    return false;
  }
}
