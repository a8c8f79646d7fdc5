/**
 * Addresses as headers and envelopes write them. Inside Mailfleet an address is unquoted (`a b@example.com`); on the
 * wire and in headers a local part that is no dot-string stands in quotes (RFC 5321 section 4.1.2).
 */

const DOT_STRING = /^[^\s"(),.:;<>@[\\\]\p{Cc}]+(?:\.[^\s"(),.:;<>@[\\\]\p{Cc}]+)*$/u;

/** The external form of an internal address: its local part quoted where it must be. */
export function quoteAddress(address: string): string {
  const at = address.lastIndexOf('@');
  const local = at < 0 ? address : address.slice(0, at);
  const domain = at < 0 ? '' : address.slice(at);
  if (local === '' || DOT_STRING.test(local)) return address;
  return `"${local.replace(/["\\]/g, '\\$&')}"${domain}`;
}

/** A display name as a phrase: as it is when it is made of atoms, else quoted, else (not ASCII) an encoded word. */
export function quotePhrase(name: string): string {
  if (/^[\w!#$%&'*+\-/=?^`{|}~ ]+$/.test(name)) return name;
  if (/^[\x20-\x7e]*$/.test(name)) return `"${name.replace(/["\\]/g, '\\$&')}"`;
  return encodedWords(name);
}

/** RFC 2047 base64 words of at most 75 characters, cut between characters. */
function encodedWords(text: string): string {
  const words: string[] = [];
  let bytes = Buffer.alloc(0);
  const close = (): void => {
    if (bytes.length > 0) words.push(`=?utf-8?B?${bytes.toString('base64')}?=`);
    bytes = Buffer.alloc(0);
  };
  for (const character of text) {
    const next = Buffer.from(character);
    if (bytes.length + next.length > 45) close();
    bytes = Buffer.concat([bytes, next]);
  }
  close();
  return words.join('\r\n ');
}
