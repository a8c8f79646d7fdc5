/**
 * A content as one server is to get it: filtered (packages/mime/src/delivery), then signed with DKIM over exactly what goes out. A message
 * that needs neither never comes here.
 *
 * What is small stays one buffer. A stream that is to be signed is read twice, since the signature stands before what it signs; the
 * second reading is held against the first, because a table may have changed between them.
 */
import { createHash, type Hash } from 'node:crypto';
import {
  ContentFilter,
  type DkimSigning,
  type FilterFailure,
  type FilterPlan,
  type Note,
} from '@mailfleet/mime';
import type { Content } from '../transaction.ts';
import { ContentEncoder } from './content.ts';

export interface OutgoingOptions {
  readonly plan: FilterPlan | undefined;
  readonly dkim: DkimSigning | undefined;
  /** `smtp_line_length_limit` */
  readonly lineLimit: number;
  readonly note: Note;
  /** The content once more, for its second reading. */
  readonly again: () => Promise<Content | undefined>;
}

/** Larger contents go out in pieces, so that no encoded copy of the whole exists. */
const PIECE_BYTES = 64 * 1024;

export const isSmall = (content: Content): content is Buffer =>
  Buffer.isBuffer(content) && content.length <= PIECE_BYTES;

const silently: Note = () => undefined;

export class OutgoingContent {
  readonly #options: OutgoingOptions;
  /** Set as soon as it is known, at the latest when a stream has ended: the message must not be ended then. */
  failure: FilterFailure | undefined;

  constructor(options: OutgoingOptions) {
    this.#options = options;
  }

  /** A buffer for a small content. Of a stream, what it needs read ahead of time is read now. */
  async prepare(content: Content): Promise<Content> {
    const { plan, dkim, note } = this.#options;
    if (isSmall(content)) return this.#whole(content);
    if (dkim === undefined) return this.#filtered(plan, content, note);
    const first = createHash('sha256');
    const signed = await dkim.sign(
      hashed(first, this.#asSent(this.#filtered(plan, content, silently), silently)),
    );
    if (this.failure !== undefined) return content;
    if ('error' in signed) {
      this.#fail(signed.error);
      return content;
    }
    return this.#signedStream(signed.headers, content, first.digest());
  }

  async #whole(content: Buffer): Promise<Buffer> {
    const { plan, dkim, lineLimit, note } = this.#options;
    let filtered = content;
    if (plan !== undefined) {
      const filter = new ContentFilter(plan, note);
      filtered = await filter.whole(content);
      this.failure = filter.failure;
    }
    if (dkim === undefined || this.failure !== undefined) return filtered;
    const sent = new ContentEncoder(lineLimit, () => note(foldingNote(lineLimit), false)).encodeChunk(
      filtered,
    );
    const signed = await dkim.sign(sent);
    if (!('error' in signed)) return Buffer.concat([signed.headers, sent]);
    this.#fail(signed.error);
    return content;
  }

  async *#filtered(plan: FilterPlan | undefined, content: Content, note: Note): AsyncGenerator<Buffer> {
    if (plan === undefined) {
      yield* piecesOf(content);
      return;
    }
    const filter = new ContentFilter(plan, note);
    yield* filter.stream(content);
    this.failure ??= filter.failure;
  }

  /** Long lines broken as they will be: a verifier sees them so. */
  async *#asSent(content: AsyncIterable<Buffer>, note: Note): AsyncGenerator<Buffer> {
    const { lineLimit } = this.#options;
    const encoder = new ContentEncoder(lineLimit, () => note(foldingNote(lineLimit), false));
    for await (const piece of content) yield encoder.encodeUnstuffed(piece);
    yield encoder.endUnstuffed();
  }

  /** The second reading; it begins when the content is sent, so that nothing stays open if it never is. */
  async *#signedStream(headers: Buffer, content: Content, expected: Buffer): AsyncGenerator<Buffer> {
    const { plan, note, again } = this.#options;
    const second = Buffer.isBuffer(content) ? content : await again();
    if (second === undefined) {
      this.#fail('the content is gone');
      return;
    }
    const hash = createHash('sha256');
    const sent = this.#asSent(this.#filtered(plan, second, note), note);
    yield headers;
    yield* hashed(hash, sent);
    if (this.failure !== undefined || headers.length === 0 || hash.digest().equals(expected)) return;
    this.#fail('the content changed while it was signed');
  }

  #fail(why: string): void {
    this.#options.note(`DKIM: ${why}`, true);
    this.failure = { kind: 'local' };
  }
}

export const foldingNote = (lineLimit: number): string =>
  `breaking line > ${lineLimit} bytes with <CR><LF>SPACE`;

async function* hashed(hash: Hash, content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const piece of content) {
    hash.update(piece);
    yield piece;
  }
}

/** A buffer of any size in pieces; a stream as it comes. */
export async function* piecesOf(content: Content): AsyncGenerator<Buffer> {
  if (Buffer.isBuffer(content)) {
    for (let from = 0; from < content.length; from += PIECE_BYTES)
      yield content.subarray(from, from + PIECE_BYTES);
  } else {
    for await (const piece of content)
      yield Buffer.isBuffer(piece) ? piece : Buffer.from(piece.buffer, piece.byteOffset, piece.length);
  }
}
