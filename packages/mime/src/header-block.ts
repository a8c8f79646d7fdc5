/**
 * Takes a message's primary header block apart, header by header, as content streams by (mime.md section 4; RFC 5322
 * section 2.2). Wants canonical line ends (see line-ends.ts). Memory is bounded: of one header at most
 * `header_size_limit` bytes are kept, the rest is dropped in silence as Postfix does.
 *
 * White space between name and colon is removed; all else of a header stays as it was, folding included. A line that
 * is no header ends the block; the missing empty line is then supplied.
 */

const LF = 10;
const CRLF = Buffer.from('\r\n');
const HEADER_NAME = /^([!-9;-~]+)[ \t]*:/;
/** Enough to tell a header from text: a longer run without a colon is no header name (line_length_limit). */
const NAME_LIMIT = 2048;

/** One header, its lines with their line ends. */
export interface Header {
  /** Lower case. */
  readonly name: string;
  /** Name, colon and value as they go on, with the final line end. */
  readonly bytes: Buffer;
}

export interface HeaderBlockHandler {
  header(header: Header): void;
  /** The block is over. What follows is `separator` (an empty line) and then the body. Not `clean`: ended by text. */
  end(separator: Buffer, clean: boolean): void;
  body(chunk: Buffer): void;
}

export class HeaderBlock {
  readonly #handler: HeaderBlockHandler;
  readonly #limit: number;
  #inBody = false;
  #first = true;
  #partial: Buffer[] = [];
  #partialLength = 0;
  #dropping = false;
  #name: string | undefined;
  #kept: Buffer[] = [];
  #keptLength = 0;

  constructor(headerSizeLimit: number, handler: HeaderBlockHandler) {
    this.#limit = headerSizeLimit;
    this.#handler = handler;
  }

  push(chunk: Buffer): void {
    let offset = 0;
    while (!this.#inBody) {
      const end = chunk.indexOf(LF, offset);
      if (end < 0) {
        this.#hold(chunk.subarray(offset));
        return;
      }
      const rest = chunk.subarray(offset, end + 1);
      offset = end + 1;
      this.#endLine(rest);
    }
    if (offset < chunk.length) this.#handler.body(chunk.subarray(offset));
  }

  /** End of content. A block without a body gets no separator of its own: the headers end the message. */
  end(): void {
    if (this.#inBody) return;
    this.#flush();
    this.#inBody = true;
    this.#handler.end(CRLF, true);
  }

  #hold(piece: Buffer): void {
    if (piece.length === 0 || this.#dropping) return;
    this.#partial.push(Buffer.from(piece));
    this.#partialLength += piece.length;
    if (this.#partialLength <= Math.max(NAME_LIMIT, this.#limit)) return;
    const line = Buffer.concat(this.#partial);
    if (this.#startsHeader(line) || this.#continuesHeader(line)) {
      this.#dropping = true;
      return;
    }
    this.#partial = [];
    this.#endBlock(false);
    this.#handler.body(line);
  }

  #endLine(rest: Buffer): void {
    const line = this.#partialLength === 0 ? rest : this.#joinPartial(rest);
    const first = this.#first;
    this.#first = false;
    const name = this.#startsHeader(line);
    if (line.length === 2) {
      this.#endBlock(true);
    } else if (this.#continuesHeader(line)) {
      this.#keep(line);
    } else if (name !== undefined) {
      this.#flush();
      this.#name = name.toLowerCase();
      this.#keep(withoutBlankBeforeColon(line, name));
    } else if (first && /^>*From /.test(line.toString('latin1', 0, 100))) {
      this.#name = 'x-mailbox-line';
      this.#keep(Buffer.concat([Buffer.from('X-Mailbox-Line: '), line]));
    } else {
      this.#endBlock(false);
      this.#handler.body(line);
    }
  }

  #joinPartial(rest: Buffer): Buffer {
    const line = Buffer.concat(this.#dropping ? [...this.#partial, CRLF] : [...this.#partial, rest]);
    this.#partial = [];
    this.#partialLength = 0;
    this.#dropping = false;
    return line;
  }

  #startsHeader(line: Buffer): string | undefined {
    return HEADER_NAME.exec(line.toString('latin1', 0, NAME_LIMIT))?.[1];
  }

  #continuesHeader(line: Buffer): boolean {
    return this.#name !== undefined && (line[0] === 32 || line[0] === 9);
  }

  #keep(line: Buffer): void {
    const room = this.#limit - this.#keptLength;
    if (room <= 0) return;
    this.#kept.push(line.length <= room ? Buffer.from(line) : cut(line, room));
    this.#keptLength += line.length;
  }

  #flush(): void {
    if (this.#name === undefined) return;
    this.#handler.header({ name: this.#name, bytes: Buffer.concat(this.#kept) });
    this.#name = undefined;
    this.#kept = [];
    this.#keptLength = 0;
  }

  #endBlock(clean: boolean): void {
    this.#flush();
    this.#inBody = true;
    this.#handler.end(CRLF, clean);
  }
}

function withoutBlankBeforeColon(line: Buffer, name: string): Buffer {
  const colon = line.indexOf(':', name.length);
  return colon === name.length ? line : Buffer.concat([line.subarray(0, name.length), line.subarray(colon)]);
}

/** The line's first `room` bytes with a whole line end. */
function cut(line: Buffer, room: number): Buffer {
  return Buffer.concat([line.subarray(0, Math.min(room, line.length - CRLF.length)), CRLF]);
}

/** Value of a header, unfolded, as UTF-8 text. */
export function headerValue(header: Header): string {
  return header.bytes
    .toString('utf8', header.name.length + 1)
    .replace(/\r\n[ \t]*/g, ' ')
    .trim();
}
