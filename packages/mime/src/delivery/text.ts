/**
 * Bytes of a message as text that tables can be asked about, and back. UTF-8 where it is, so that patterns mean what they say; else a
 * character for each byte, so that nothing is lost.
 */
import { isAscii, isUtf8 } from 'node:buffer';

export type TextEncoding = 'latin1' | 'utf8';

export interface DecodedText {
  readonly text: string;
  readonly encoding: TextEncoding;
}

export function decodeText(bytes: Buffer): DecodedText {
  const encoding = !isAscii(bytes) && isUtf8(bytes) ? 'utf8' : 'latin1';
  return { text: bytes.toString(encoding), encoding };
}

/** A text that a table made of a decoded one. */
export function encodeText(text: string, encoding: TextEncoding): Buffer {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of latin1
  return Buffer.from(text, encoding === 'latin1' && /^[\x00-\xff]*$/.test(text) ? 'latin1' : 'utf8');
}
