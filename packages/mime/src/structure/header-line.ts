/** What a header is, byte by byte (RFC 5322 section 2.2; mime.md section 4). */

const COLON = 58;
const SPACE = 32;
const TAB = 9;

/** Which of the header checks a header is for. */
export type HeaderClass = 'primary' | 'mime' | 'nested';

/** One header, its lines with their line ends. */
export interface Header {
  /** Lower case; empty for one that a conversion made. */
  readonly name: string;
  readonly class: HeaderClass;
  /** Name, colon and value as they go on, with the final line end. */
  readonly bytes: Buffer;
}

export interface HeaderStart {
  readonly nameEnd: number;
  /** Index of the colon, which blanks may stand before. */
  readonly colon: number;
}

/** Where the name of the header that begins a line ends; undefined when the line begins none. */
export function headerStart(line: Uint8Array): HeaderStart | undefined {
  let nameEnd = 0;
  while (isNameByte(line[nameEnd])) nameEnd += 1;
  if (nameEnd === 0) return undefined;
  let colon = nameEnd;
  while (isBlank(line[colon])) colon += 1;
  return line[colon] === COLON ? { nameEnd, colon } : undefined;
}

/** Whether a text of one line could stand as a header. */
export function isHeaderLine(text: string): boolean {
  return /^[!-9;-~]+[ \t]*:/.test(text);
}

export function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}

function isNameByte(byte: number | undefined): boolean {
  return byte !== undefined && byte > SPACE && byte < 127 && byte !== COLON;
}

const MIME_HEADERS = new Set([
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'content-disposition',
  'content-id',
  'content-description',
]);

/** The class of a header by its name and the block that it stands in: those that describe a body are MIME headers anywhere. */
export function classOf(name: string, block: HeaderClass): HeaderClass {
  return block !== 'mime' && MIME_HEADERS.has(name) ? 'mime' : block;
}

/** Value of a header, unfolded, as UTF-8 text. */
export function headerValue(header: Header): string {
  return header.bytes
    .toString('utf8', header.name.length + 1)
    .replace(/\r\n[ \t]*/g, ' ')
    .trim();
}
