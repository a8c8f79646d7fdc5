/**
 * Envelope addresses and DSN values as the wire wants them: quoting of local parts (RFC 5321 section 4.1.2), xtext
 * (RFC 3461 section 4) and utf-8-addr-xtext (RFC 6533 section 3).
 *
 * Addresses come in internal form. The results hold no CR, LF or other control character outside a quoted string;
 * CR and LF inside one are refused by the caller before a command is built (`isSafe`).
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must be quoted
const plainLocalPart = /^[^\x00-\x20\x7f<>()[\]\\,;:@".]+(?:\.[^\x00-\x20\x7f<>()[\]\\,;:@".]+)*$/;

/** No CR, LF or NUL: fit to be part of a command line at all. */
export const isSafe = (text: string): boolean => !/[\r\n\0]/.test(text);

/** External form of an address, without the angle brackets: `a b@e.com` becomes `"a b"@e.com`. */
export const quoteAddress = (address: string): string => {
  if (address === '') return '';
  const at = address.lastIndexOf('@');
  const local = at < 0 ? address : address.slice(0, at);
  if (plainLocalPart.test(local)) return address;
  return `"${local.replace(/["\\\r\n]/g, '\\$&')}"${at < 0 ? '' : address.slice(at)}`;
};

const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0');

/** xtext: `+HH` for `+`, `=`, and every byte that is not a printable, non-blank ASCII character. */
export const xtext = (value: string): string => {
  if (/^[\x21-\x2a\x2c-\x3c\x3e-\x7e]*$/.test(value)) return value;
  let text = '';
  for (const byte of Buffer.from(value, 'utf8')) {
    text +=
      byte <= 32 || byte >= 127 || byte === 0x2b || byte === 0x3d
        ? `+${hex(byte)}`
        : String.fromCharCode(byte);
  }
  return text;
};

/** utf-8-addr-xtext: `\x{HEX}` per code point; undefined when the value is no valid Unicode. */
export const utf8Xtext = (value: string): string | undefined => {
  if (!value.isWellFormed()) return undefined;
  return value.replace(
    /[^\x21-\x7e]|[\\+=]/gu,
    (character) => `\\x{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase()}}`,
  );
};
