/**
 * Makes the line ends of arriving content canonical: every line of the result ends in CR LF, and neither byte stands
 * alone. A bare LF is a line end (RFC 5321 section 4.1.1.4 forbids it, UNIX programs send nothing else); a bare CR
 * becomes a space, as with Postfix's cleanup_replace_stray_cr_lf, so that no server down the line can take it for the
 * end of a line and read commands out of a message. Holds back at most one byte.
 */

const LF = 10;
const CR = 13;
const SPACE = 32;
const CRLF = Buffer.from('\r\n');

export class LineEnds {
  #heldCr = false;
  #atLineStart = true;

  /** The canonical form of the next chunk; the chunk itself when nothing had to change. */
  push(chunk: Uint8Array): Buffer {
    const input = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (input.length === 0) return input;
    const output = this.#heldCr || !isCanonical(input) ? this.#rewrite(input) : input;
    if (output.length > 0) this.#atLineStart = output[output.length - 1] === LF;
    return output;
  }

  /** What is left at the end of content: the held byte and the line end that the last line lacks. */
  end(): Buffer {
    if (this.#heldCr) return Buffer.from(' \r\n');
    return this.#atLineStart ? Buffer.alloc(0) : CRLF;
  }

  #rewrite(input: Buffer): Buffer {
    const output = Buffer.allocUnsafe(2 * input.length + 1);
    let length = 0;
    let heldCr = this.#heldCr;
    for (const byte of input) {
      if (byte === LF) {
        output[length++] = CR;
        output[length++] = LF;
        heldCr = false;
        continue;
      }
      if (heldCr) output[length++] = SPACE;
      heldCr = byte === CR;
      if (!heldCr) output[length++] = byte;
    }
    this.#heldCr = heldCr;
    return output.subarray(0, length);
  }
}

function isCanonical(input: Buffer): boolean {
  for (let at = input.indexOf(LF); at >= 0; at = input.indexOf(LF, at + 1)) {
    if (input[at - 1] !== CR) return false;
  }
  for (let at = input.indexOf(CR); at >= 0; at = input.indexOf(CR, at + 1)) {
    if (input[at + 1] !== LF) return false;
  }
  return true;
}
