/**
 * The returned message: its header block in memory, the rest as it comes.
 *
 * A notice quotes either the headers or the whole. The headers are read first (TLS-Required and Message-ID are
 * wanted before anything is written); what follows stays in the stream and is read once, if at all.
 */

export interface Original {
  /** Header lines with their line ends, up to the first line that is neither header nor continuation. */
  readonly headers: Buffer;
  /** The whole content, headers included; can be read once. */
  content(): AsyncIterable<Uint8Array>;
  /** Lets go of a stream that `content` did not read to its end. Harmless otherwise. */
  discard(): Promise<void>;
}

/** Bytes of header that are kept; a longer block is quoted up to its last whole line. */
const headerBytes = 1_048_576;

/** Opens stored content; the caller ends with `discard`. */
export async function openOriginal(content: AsyncIterable<Uint8Array> | Buffer): Promise<Original> {
  if (Buffer.isBuffer(content)) {
    return {
      headers: headerBlock(content, true),
      content: () => chunksOf([content]),
      discard: async () => {},
    };
  }
  const source = content[Symbol.asyncIterator]();
  const chunks: Buffer[] = [];
  let read = 0;
  let ended = false;
  while (!ended && read < headerBytes) {
    const next = await source.next();
    if (next.done === true) {
      ended = true;
      break;
    }
    chunks.push(Buffer.from(next.value));
    read += next.value.length;
    if (blockEnd(Buffer.concat(chunks), false) !== undefined) {
      break;
    }
  }
  const start = Buffer.concat(chunks);
  return {
    headers: headerBlock(start, ended),
    content: () => chunksOf([start], source),
    discard: async () => {
      await source.return?.();
    },
  };
}

async function* chunksOf(
  start: readonly Buffer[],
  rest?: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* start;
  if (rest !== undefined) {
    yield* { [Symbol.asyncIterator]: () => rest };
  }
}

/** Value of a header field, unfolded; undefined when there is none. The name is matched ignoring case. */
export function headerValue(headers: Buffer, name: string): string | undefined {
  const unfolded = headers.toString('latin1').replace(/\r?\n(?=[ \t])/g, '');
  const prefix = `${name.toLowerCase()}:`;
  const line = unfolded.split(/\r?\n/).find((candidate) => candidate.toLowerCase().startsWith(prefix));
  return line?.slice(prefix.length).trim();
}

function headerBlock(bytes: Buffer, ended: boolean): Buffer {
  const end = blockEnd(bytes, ended);
  return bytes.subarray(0, end ?? bytes.lastIndexOf(0x0a) + 1);
}

/** Index of the first byte that is not header; undefined when more bytes are needed to tell. */
function blockEnd(bytes: Buffer, ended: boolean): number | undefined {
  let at = 0;
  while (at < bytes.length) {
    const newline = bytes.indexOf(0x0a, at);
    if (newline < 0 && !ended) {
      return undefined;
    }
    const lineEnd = newline < 0 ? bytes.length : newline + 1;
    const line = bytes.toString('latin1', at, Math.min(lineEnd, at + 1000));
    // Field names are printable US-ASCII without colon (RFC 5322 section 2.2); blanks before the colon are obsolete but seen.
    const isHeader = /^[!-9;-~]+[ \t]*:/.test(line) || (at > 0 && /^[ \t]/.test(line));
    if (!isHeader) {
      return at;
    }
    at = lineEnd;
  }
  return ended ? at : undefined;
}
