/**
 * Writes quoted-printable text as Postfix's client does (RFC 2045 section 6.7; mime.md section 8): a line is broken softly before
 * the byte that would come after 73 or more characters, so that it has at most 76 with its equal sign, and an `=XX` is never split. A blank or
 * tab at the end of a line is encoded; dots and `From ` are not.
 */

const CR = 13;
const LF = 10;
const TAB = 9;
const SPACE = 32;
const EQUALS = 61;
/** A line that holds more gets no further byte. */
const FULL = 72;
/** Input bytes that one output buffer is made for: keeps it small, whatever the input. */
const SLICE = 16 * 1024;
const HEX = Buffer.from('0123456789ABCDEF');

/** Bytes that stand for themselves. */
const PLAIN = new Uint8Array(256).map((_, byte) =>
  byte === TAB || (byte >= SPACE && byte <= 126 && byte !== EQUALS) ? 1 : 0,
);

export class QuotedPrintable {
  readonly #emit: (text: Buffer) => void;
  #out: Buffer = Buffer.alloc(0);
  #length = 0;
  /** Characters of the line so far. */
  #column = 0;
  /** The last byte, if it is a blank or a tab that a line end would make encode; else 0. */
  #blank = 0;

  constructor(emit: (text: Buffer) => void) {
    this.#emit = emit;
  }

  /** Bytes of a line, its end not among them. */
  text(input: Buffer, from: number, to: number): void {
    for (let start = from; start < to; start += SLICE) this.#slice(input, start, Math.min(to, start + SLICE));
  }

  #slice(input: Buffer, from: number, to: number): void {
    // Three characters for a byte, and three for a soft break after each 24 or more of them.
    this.#room(4 * (to - from) + 6);
    const out = this.#out;
    let length = this.#length;
    let column = this.#column;
    for (let at = from; at < to; at += 1) {
      const byte = input[at] ?? 0;
      if (column > FULL) {
        out[length++] = EQUALS;
        out[length++] = CR;
        out[length++] = LF;
        column = 0;
      }
      if (PLAIN[byte] === 1) {
        out[length++] = byte;
        column += 1;
      } else {
        out[length++] = EQUALS;
        out[length++] = HEX[byte >> 4] ?? 0;
        out[length++] = HEX[byte & 15] ?? 0;
        column += 3;
      }
    }
    const last = input[to - 1] ?? 0;
    this.#blank = last === SPACE || last === TAB ? last : 0;
    this.#length = length;
    this.#column = column;
  }

  /** The end of a line of the input. */
  endLine(): void {
    this.#room(5);
    const out = this.#out;
    if (this.#blank !== 0) {
      out[this.#length - 1] = EQUALS;
      out[this.#length++] = HEX[this.#blank >> 4] ?? 0;
      out[this.#length++] = HEX[this.#blank & 15] ?? 0;
    }
    out[this.#length++] = CR;
    out[this.#length++] = LF;
    this.#column = 0;
    this.#blank = 0;
  }

  /** Gives out what is written. A blank that may have to be encoded stays. */
  flush(): void {
    const end = this.#blank === 0 ? this.#length : this.#length - 1;
    const rest = this.#blank;
    if (end > 0) this.#emit(this.#out.subarray(0, end));
    this.#out = Buffer.alloc(0);
    this.#length = 0;
    if (rest !== 0) {
      this.#room(1);
      this.#out[0] = rest;
      this.#length = 1;
    }
  }

  #room(size: number): void {
    if (this.#length + size <= this.#out.length) return;
    if (this.#length > SLICE) {
      this.flush();
      this.#room(size);
      return;
    }
    const larger = Buffer.allocUnsafe(Math.max(this.#length + size, 2 * this.#out.length, 1024));
    this.#out.copy(larger, 0, 0, this.#length);
    this.#out = larger;
  }
}
