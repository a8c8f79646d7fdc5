/**
 * Turns stored content into what goes over the wire between DATA and the final dot (RFC 5321 section 4.5.2):
 * lines end in CR LF, a leading dot is doubled, lines longer than `smtp_line_length_limit` are folded with
 * CR LF SPACE.
 *
 * Stored content is a sequence of lines that end in LF or CR LF. A bare CR inside a line is passed on, except in front
 * of a dot, where a server that takes a bare CR for a line end would see the end of the message: there it becomes
 * a space. So whatever the content holds, no server can find a second message in it.
 *
 * The hot path is a whole small message that needs no change: one scan, one copy, one buffer.
 */

const CR = 13;
const LF = 10;
const DOT = 46;
const SPACE = 32;

export class ContentEncoder {
  /** Longest line in bytes, 0 for no limit. */
  readonly #limit: number;
  readonly #onFold: () => void;
  #out: Buffer = Buffer.alloc(0);
  #length = 0;
  /** Bytes of the current output line, the stuffed dot not counted. */
  #column = 0;
  /** The next byte is the first of a logical line. */
  #atStart = true;
  /** A CR that may turn out to be half of a line end. */
  #heldCr = false;
  #folded = false;
  #stuffing = true;

  constructor(limit: number, onFold: () => void) {
    this.#limit = limit;
    this.#onFold = onFold;
  }

  /** The wire form of the next piece of content. */
  encode(chunk: Uint8Array): Buffer {
    const source = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    this.#open(source.length + 16);
    this.#scan(source);
    return this.#take();
  }

  /** Whole content, the final dot and `tail` (further commands) in one buffer: a dot on its own would wait for an acknowledgement. */
  encodeWhole(content: Buffer, tail: string): Buffer {
    this.#open(content.length + 16 + tail.length);
    this.#scan(content);
    this.#close(tail);
    return this.#take();
  }

  /** Whole content as a BDAT chunk: its length is announced, so that no dot needs to be stuffed and none ends it. */
  encodeChunk(content: Buffer): Buffer {
    this.#stuffing = false;
    this.#open(content.length + 16);
    this.#scan(content);
    this.#endLine();
    return this.#take();
  }

  /** The next piece as a receiver will see it, its dots not stuffed. */
  encodeUnstuffed(chunk: Uint8Array): Buffer {
    this.#stuffing = false;
    return this.encode(chunk);
  }

  endUnstuffed(): Buffer {
    this.#open(16);
    this.#endLine();
    return this.#take();
  }

  /** What follows the last piece: the end of an unfinished line, the final dot and `tail`. */
  end(tail: string): Buffer {
    this.#open(16 + tail.length);
    this.#close(tail);
    return this.#take();
  }

  #endLine(): void {
    if (this.#heldCr) {
      this.#heldCr = false;
      this.#byte(CR);
    }
    if (!this.#atStart) this.#newline();
  }

  #close(tail: string): void {
    this.#endLine();
    this.#room(3 + Buffer.byteLength(tail));
    this.#length += this.#out.write(`.\r\n${tail}`, this.#length, 'utf8');
  }

  #scan(source: Buffer): void {
    const limit = this.#limit;
    const risky = source.indexOf('\r.', 0, 'latin1') >= 0;
    let from = 0;
    let at = 0;
    while (at < source.length) {
      if (this.#heldCr) {
        this.#heldCr = false;
        if (source[at] === LF) {
          this.#newline();
          at++;
          from = at;
          continue;
        }
        this.#byte(source[at] === DOT ? SPACE : CR);
      }
      const lf = source.indexOf(LF, at);
      const stop = lf < 0 ? source.length : lf;
      const ended = stop > at && source[stop - 1] === CR;
      const textEnd = ended ? stop - 1 : stop;
      if (
        this.#atStart &&
        lf >= 0 &&
        ended &&
        !risky &&
        source[at] !== DOT &&
        (limit === 0 || textEnd - at <= limit)
      ) {
        // Goes out as it is: stays part of the run that is copied in one go.
        at = stop + 1;
        continue;
      }
      if (from < at) this.#copy(source, from, at);
      this.#text(source, at, textEnd, risky);
      if (lf < 0) {
        this.#heldCr = ended;
        at = source.length;
      } else {
        this.#newline();
        at = lf + 1;
      }
      from = at;
    }
    if (from < at) this.#copy(source, from, at);
  }

  /** Bytes of one logical line, all of it or a part. */
  #text(source: Buffer, from: number, to: number, risky: boolean): void {
    if (from === to) return;
    if (this.#atStart) {
      this.#atStart = false;
      if (this.#stuffing && source[from] === DOT) {
        this.#room(1);
        this.#out[this.#length++] = DOT;
      }
    }
    if (risky) {
      // Rare, so byte by byte.
      for (let at = from; at < to; at++) {
        const byte = source[at] ?? SPACE;
        this.#byte(byte === CR && at + 1 < to && source[at + 1] === DOT ? SPACE : byte);
      }
      return;
    }
    let at = from;
    while (at < to) {
      const free = this.#limit === 0 ? to - at : this.#limit - this.#column;
      if (free <= 0) {
        this.#fold();
        continue;
      }
      const next = Math.min(to, at + free);
      this.#copy(source, at, next);
      this.#column += next - at;
      at = next;
    }
  }

  #byte(byte: number): void {
    if (this.#limit > 0 && this.#column >= this.#limit) this.#fold();
    this.#room(1);
    this.#out[this.#length++] = byte;
    this.#column++;
    this.#atStart = false;
  }

  #fold(): void {
    this.#room(3);
    this.#out[this.#length++] = CR;
    this.#out[this.#length++] = LF;
    this.#out[this.#length++] = SPACE;
    this.#column = 1;
    if (!this.#folded) {
      this.#folded = true;
      this.#onFold();
    }
  }

  #newline(): void {
    this.#room(2);
    this.#out[this.#length++] = CR;
    this.#out[this.#length++] = LF;
    this.#column = 0;
    this.#atStart = true;
  }

  #copy(source: Buffer, from: number, to: number): void {
    this.#room(to - from);
    this.#length += source.copy(this.#out, this.#length, from, to);
  }

  #open(size: number): void {
    this.#out = Buffer.allocUnsafe(size);
    this.#length = 0;
  }

  #room(size: number): void {
    if (this.#length + size <= this.#out.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#out.length * 2, this.#length + size));
    this.#out.copy(larger, 0, 0, this.#length);
    this.#out = larger;
  }

  #take(): Buffer {
    return this.#length === this.#out.length ? this.#out : this.#out.subarray(0, this.#length);
  }
}
