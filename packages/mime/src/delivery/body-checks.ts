/**
 * body_checks(5) on a stream of body text: line by line, a line longer than `line_length_limit` in pieces that count as lines of their
 * own, as they are records of a queue file to Postfix. The text must end in a line end. Empty lines are never asked about. Lines that stay go on in runs, without a copy.
 */
import { type CheckMap, check, type Note, type Sentence } from './checks.ts';
import { decodeText, encodeText } from './text.ts';

const LF = 10;
const CR = 13;
const CRLF = Buffer.from('\r\n');
const NOTHING: Buffer = Buffer.alloc(0);

export class BodyChecks {
  readonly #bodyLimit: number;
  /** Bytes of this body segment still to be asked about. */
  #left: number;
  readonly #map: CheckMap;
  readonly #limit: number;
  readonly #note: Note;
  readonly #emit: (text: Buffer) => void;
  /** The beginning of a line. */
  #held: Buffer = NOTHING;

  /** @param bodyLimit bytes of a segment to look at (body_checks_size_limit) */
  constructor(
    map: CheckMap,
    lineLengthLimit: number,
    note: Note,
    emit: (text: Buffer) => void,
    bodyLimit = Infinity,
  ) {
    this.#bodyLimit = bodyLimit;
    this.#left = bodyLimit;
    this.#map = map;
    this.#limit = lineLengthLimit;
    this.#note = note;
    this.#emit = emit;
  }

  /** Headers came: what follows is another body segment. */
  nextSegment(): void {
    this.#left = this.#bodyLimit;
  }

  /** The reason of a failed lookup or a sentence, after which nothing more may be pushed. */
  async push(chunk: Buffer): Promise<string | Sentence | undefined> {
    const input = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = NOTHING;
    let runFrom = 0;
    let at = 0;
    while (at < input.length) {
      const lf = input.indexOf(LF, at);
      if (lf < 0 && input.length - at < this.#limit + 2) break;
      const lineEnd = lf < 0 ? input.length : lf > at && input[lf - 1] === CR ? lf - 1 : lf;
      const isPiece = lineEnd - at > this.#limit;
      const textEnd = isPiece ? at + this.#limit : lineEnd;
      const next = isPiece ? textEnd : lf + 1;
      const replacement =
        textEnd > at && this.#left > 0 ? await this.#ask(input.subarray(at, textEnd), isPiece) : undefined;
      this.#left -= next - at;
      if (typeof replacement === 'string' || (replacement !== undefined && 'kind' in replacement)) {
        return replacement;
      }
      if (replacement !== undefined) {
        if (at > runFrom) this.#emit(input.subarray(runFrom, at));
        if (replacement.length > 0) this.#emit(replacement);
        runFrom = next;
      }
      at = next;
    }
    if (at > runFrom) this.#emit(input.subarray(runFrom, at));
    if (at < input.length) this.#held = Buffer.from(input.subarray(at));
    return undefined;
  }

  /** What stands in place of the line, undefined for the line itself; a string is the reason of a failure. */
  async #ask(line: Buffer, isPiece: boolean): Promise<Buffer | string | Sentence | undefined> {
    const { text, encoding } = decodeText(line);
    const verdict = await check(this.#map, 'body', text, this.#note);
    switch (verdict.kind) {
      case 'keep':
        return undefined;
      case 'drop':
        return NOTHING;
      case 'reject':
      case 'discard':
        return verdict;
      case 'failed':
        return verdict.reason;
      case 'replace':
        return encodeText(`${verdict.text}${isPiece ? '' : '\r\n'}`, encoding);
      case 'prepend':
        return Buffer.concat([encodeText(`${verdict.text}\r\n`, encoding), line, isPiece ? NOTHING : CRLF]);
    }
  }
}
