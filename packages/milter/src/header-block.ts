/**
 * The header of a stored message as milters see and change it. The Received: header that we put first is not theirs: it is not shown
 * to them, but counts where they insert, as at cleanup(8).
 */
import { isHeaderLine } from '@mailfleet/mime';

interface Field {
  /** Lower case. */
  readonly name: string;
  /** With its line ends. */
  readonly bytes: Buffer;
}

/** Bytes of a header that milters are shown; it stands in memory while they are asked. */
const BLOCK_LIMIT = 1024 * 1024;
const CRLF = Buffer.from('\r\n');

export class HeaderBlock {
  readonly #fields: Field[];
  /** Our Received: header. */
  readonly #own: Field | undefined;

  constructor(fields: readonly Field[]) {
    this.#fields = [...fields];
    this.#own = fields[0]?.name === 'received' ? fields[0] : undefined;
  }

  /** Of a header that nothing was changed in yet. */
  copy(): HeaderBlock {
    return new HeaderBlock(this.#fields);
  }

  /** Names and values as they go to a milter: lines end with LF. @param leadingSpace the milter wants what stands behind the colon as it is */
  *shown(leadingSpace: boolean): Generator<readonly [Buffer, Buffer]> {
    for (const field of this.#fields) {
      if (field === this.#own) continue;
      const { bytes } = field;
      const colon = bytes.indexOf(':');
      const value = bytes.toString('latin1', colon + 1, bytes.length - CRLF.length).replaceAll('\r\n', '\n');
      yield [
        Buffer.from(bytes.toString('latin1', 0, colon).trimEnd(), 'latin1'),
        Buffer.from(leadingSpace ? value : value.replace(/^[ \t]/, ''), 'latin1'),
      ];
    }
  }

  add(name: string, value: string, leadingSpace: boolean): void {
    this.#fields.push(field(name, value, leadingSpace));
  }

  /** @param index how many headers stand before it */
  insert(index: number, name: string, value: string, leadingSpace: boolean): void {
    this.#fields.splice(index, 0, field(name, value, leadingSpace));
  }

  /** Changes the `index`th header of that name, from 1; an empty value removes it. Adds one where there is none. */
  change(index: number, name: string, value: string, leadingSpace: boolean): void {
    let left = Math.max(1, index);
    const at = this.#fields.findIndex((each) => {
      if (each.name === name.toLowerCase() && each !== this.#own) left -= 1;
      return left === 0;
    });
    if (at < 0) {
      if (value !== '') this.add(name, value, leadingSpace);
    } else {
      this.#fields.splice(at, 1, ...(value === '' ? [] : [field(name, value, leadingSpace)]));
    }
  }

  /** With the empty line. */
  bytes(): Buffer {
    return Buffer.concat([...this.#fields.map(({ bytes }) => bytes), CRLF]);
  }
}

/** Each further line begins with a blank, whatever the milter meant: it would be another header, or the body. */
function field(name: string, value: string, leadingSpace: boolean): Field {
  const lines = value
    .replace(/[\r\0]/g, '')
    .replace(/\n+$/, '')
    .split(/\n+/);
  const folded = lines.map((line, index) => (index === 0 || /^[ \t]/.test(line) ? line : `\t${line}`));
  const text = `${name}:${leadingSpace ? '' : ' '}${folded.join('\r\n')}\r\n`;
  return { name: name.toLowerCase(), bytes: Buffer.from(text) };
}

export interface Opened {
  readonly header: HeaderBlock;
  /** Bytes before the body, the empty line among them. */
  readonly length: number;
}

/** Reads the header of a content in wire form. Throws when it is longer than BLOCK_LIMIT. */
export async function readHeader(content: AsyncIterable<Uint8Array>): Promise<Opened> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of content) {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.includes('\r\n\r\n')) break;
    if (bytes.length > BLOCK_LIMIT) throw new Error(`the header has no end within ${BLOCK_LIMIT} bytes`);
  }
  const fields: Field[] = [];
  let from = 0;
  for (;;) {
    const end = endOfField(bytes, from);
    if (end === undefined) break;
    const text = bytes.toString('latin1', from, end);
    fields.push({
      name: text.slice(0, text.indexOf(':')).trimEnd().toLowerCase(),
      bytes: bytes.subarray(from, end),
    });
    from = end;
  }
  const length = bytes.subarray(from, from + 2).equals(CRLF) ? from + 2 : from;
  return { header: new HeaderBlock(fields), length };
}

/** Where the header that begins at `from` ends, its further lines included; undefined: none begins there. */
function endOfField(bytes: Buffer, from: number): number | undefined {
  const end = bytes.indexOf(CRLF, from);
  if (end < 0 || !isHeaderLine(bytes.toString('latin1', from, end))) return undefined;
  let next = end + CRLF.length;
  while (bytes[next] === 32 || bytes[next] === 9) {
    const lineEnd = bytes.indexOf(CRLF, next);
    if (lineEnd < 0) return undefined;
    next = lineEnd + CRLF.length;
  }
  return next;
}

/** What follows the first `length` bytes. */
export async function* bodyOf(content: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Buffer> {
  let left = length;
  for await (const chunk of content) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    if (bytes.length > left) yield bytes.subarray(left);
    left = Math.max(0, left - bytes.length);
  }
}
