/**
 * What happens to a content on its way out, as a stream of constant memory: 8bit and binary parts become quoted-printable where the
 * server takes 7bit only, header and body checks are applied, addresses in headers are rewritten, in this order for each header and
 * line (mime.md section 7).
 *
 * Content comes as it is stored and goes on in the same form, without dot-stuffing; lines end in CR LF. What makes a message unfit does not throw: output
 * ends early and `failure` says why; the caller must not end the message then.
 */
import { isAscii } from 'node:buffer';
import type { Header } from '../structure/header-line.ts';
import type { StructureLimits } from '../structure/limits.ts';
import { MimeParser } from '../structure/parser.ts';
import { BodyChecks } from './body-checks.ts';
import { type CheckMaps, check, type Note, type Sentence } from './checks.ts';
import { decodeText, encodeText } from './text.ts';

export interface FilterPlan {
  /** Turn 8bit and binary parts into quoted-printable. */
  readonly convert: boolean;
  readonly checks: CheckMaps;
  /** Rewrites addresses in a primary header; undefined: smtp_generic_maps is empty. */
  readonly rewriteHeader: RewriteHeader | undefined;
  readonly limits: StructureLimits;
  /** body_checks_size_limit; undefined: all of a body is looked at. */
  readonly bodyLimit?: number;
  /** Whose checks they are, in warnings; default smtp. */
  readonly program?: string;
  /** `disable_mime_input_processing`: whatever follows the primary header is body. */
  readonly primaryOnly?: boolean;
  readonly strict?: StrictRules;
}

/** What makes a message unfit at receipt. */
interface StrictRules {
  /** `strict_7bit_headers` */
  readonly headers: boolean;
  /** `strict_8bitmime_body`: 8-bit text in parts that do not say so. */
  readonly bodies: boolean;
  /** `strict_mime_encoding_domain` */
  readonly encodingDomain: boolean;
}

/** A failed lookup, or the header: the very same when nothing in it changed. */
type RewriteHeader = (
  name: string,
  bytes: Buffer,
  note: Note,
) => Promise<{ readonly bytes: Buffer } | { readonly error: string }>;

/** The message itself is to blame, or something of ours such as a table; the log has the reason of the latter. */
export type FilterFailure = { readonly kind: 'unfit'; readonly reason: string } | { readonly kind: 'local' };

const EIGHT_BIT_HEADER = 'improper use of 8-bit data in message header';
const EIGHT_BIT_BODY = 'improper use of 8-bit data in message body';
const ENCODING_DOMAIN = 'invalid message/* or multipart/* encoding domain';

/** Pieces in which a whole content is taken, so that no two copies of it exist. */
const PIECE_BYTES = 64 * 1024;

export class ContentFilter {
  readonly #plan: FilterPlan;
  readonly #note: Note;
  readonly #parser: MimeParser;
  readonly #bodyChecks: BodyChecks | undefined;
  /** Headers and body text in order, before anything is asked about them. */
  #found: (Header | Buffer | 'body begins')[] = [];
  #output: Buffer[] = [];
  failure: FilterFailure | undefined;
  /** What a check at receipt says of the message; output ended early. */
  sentence: Sentence | undefined;

  constructor(plan: FilterPlan, note: Note) {
    this.#plan = plan;
    this.#note = note;
    const { convert, checks, limits, strict, primaryOnly = false } = plan;
    const parsesAll = convert || strict !== undefined || Object.keys(checks).length > 0;
    this.#bodyChecks =
      checks.body &&
      new BodyChecks(
        checks.body,
        limits.lineLengthLimit,
        note,
        (text) => this.#output.push(text),
        plan.bodyLimit,
      );
    this.#parser = new MimeParser(
      { ...limits, convert, primaryOnly: primaryOnly || !parsesAll },
      {
        header: (header) => {
          if (strict?.headers === true && !isAscii(header.bytes)) this.#unfit(EIGHT_BIT_HEADER);
          this.#found.push(header);
        },
        endBlock: () => this.#found.push('body begins'),
        body: (bytes) => {
          if (strict?.bodies === true && !this.#parser.mayHold8Bit && !isAscii(bytes))
            this.#unfit(EIGHT_BIT_BODY);
          this.#found.push(bytes);
        },
        badEncodingDomain: () => {
          if (strict?.encodingDomain === true) this.#unfit(ENCODING_DOMAIN);
        },
      },
    );
  }

  /** A content that is here; in one piece, so for small ones. */
  async whole(content: Buffer): Promise<Buffer> {
    this.#parser.push(content);
    await this.#end();
    return this.#taken();
  }

  /** A content of any size. */
  async *stream(content: Buffer | AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
    for await (const chunk of Buffer.isBuffer(content) ? piecesOf(content) : content) {
      this.#parser.push(
        Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length),
      );
      await this.#settle();
      if (this.#stopped) return;
      if (this.#output.length > 0) yield this.#taken();
    }
    await this.#end();
    if (!this.#stopped && this.#output.length > 0) yield this.#taken();
  }

  async #end(): Promise<void> {
    this.#parser.end();
    await this.#settle();
  }

  async #settle(): Promise<void> {
    const found = this.#found;
    this.#found = [];
    if (this.#plan.convert && this.#parser.tooDeep) {
      this.#unfit('MIME nesting exceeds safety limit');
    }
    for (const part of found) {
      if (this.#stopped) return;
      if (part === 'body begins') {
        this.#bodyChecks?.nextSegment();
      } else if (!Buffer.isBuffer(part)) {
        await this.#header(part);
      } else if (this.#bodyChecks === undefined) {
        this.#output.push(part);
      } else {
        const end = await this.#bodyChecks.push(part);
        if (typeof end === 'object') this.sentence = end;
        else this.#lookupFailed('body checks', end);
      }
    }
  }

  async #header(header: Header): Promise<void> {
    const { checks, rewriteHeader } = this.#plan;
    const map = checks[header.class];
    let { bytes } = header;
    if (map !== undefined) {
      // A header made by a conversion stands where it does for a reason, but Postfix asks about it too.
      const { text, encoding } = decodeText(bytes);
      const verdict = await check(map, 'header', text.slice(0, -2).replaceAll('\r\n', '\n'), this.#note);
      if (verdict.kind === 'failed') return this.#lookupFailed('header checks', verdict.reason);
      if (verdict.kind === 'drop') return;
      if (verdict.kind === 'reject' || verdict.kind === 'discard') {
        this.sentence = verdict;
        return;
      }
      if (verdict.kind === 'prepend') this.#output.push(encodeText(`${verdict.text}\r\n`, encoding));
      if (verdict.kind === 'replace') bytes = encodeText(`${verdict.text}\r\n`, encoding);
    }
    if (rewriteHeader !== undefined && header.class === 'primary') {
      const rewritten = await rewriteHeader(header.name, bytes, this.#note);
      if ('error' in rewritten) return this.#lookupFailed('generic maps', rewritten.error);
      bytes = rewritten.bytes;
    }
    this.#output.push(bytes);
  }

  get #stopped(): boolean {
    return this.failure !== undefined || this.sentence !== undefined;
  }

  #lookupFailed(what: string, reason: string | undefined): void {
    if (reason === undefined) return;
    this.#note(`${this.#plan.program ?? 'smtp'} ${what} lookup error: ${reason}`, true);
    this.failure = { kind: 'local' };
  }

  #unfit(reason: string): void {
    this.failure ??= { kind: 'unfit', reason };
  }

  #taken(): Buffer {
    const output = this.#output.length === 1 ? this.#output[0] : undefined;
    const taken = output ?? Buffer.concat(this.#output);
    this.#output = [];
    return taken;
  }
}

function* piecesOf(content: Buffer): Generator<Buffer> {
  for (let from = 0; from < content.length; from += PIECE_BYTES)
    yield content.subarray(from, from + PIECE_BYTES);
}
