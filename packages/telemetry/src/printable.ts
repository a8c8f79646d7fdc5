/**
 * Text that is fit for a log line: nothing in it can end the line, move a terminal's cursor, or be taken for
 * another field. Addresses are shown in their quoted form, as RFC 5321 section 4.1.2 would write them.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const NOT_PRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]/gu;

/** Each non-printable character becomes `?`; UTF-8 text stays readable. */
export function printable(text: string): string {
  return text.replace(NOT_PRINTABLE, '?');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they force quotes
const DOT_STRING = /^[^\u0000- \u007f<>()[\]\\,;:@".]+(?:\.[^\u0000- \u007f<>()[\]\\,;:@".]+)*$/;

/** External form of an internal address: the local part is quoted unless it is a dot-string. */
export function quotedAddress(address: string): string {
  const at = address.lastIndexOf('@');
  const local = at < 0 ? address : address.slice(0, at);
  if (address === '' || DOT_STRING.test(local)) return address;
  return `"${local.replace(/["\\\r\n]/g, '\\$&')}"${at < 0 ? '' : address.slice(at)}`;
}
