/** `user+extension@domain` taken apart, as all tables with address keys do it (recipient_delimiter). */

export interface SplitAddress {
  /** The address without its extension. */
  readonly bare: string;
  /** With its delimiter. */
  readonly extension: string;
}

/** Undefined: the address has no extension. */
export function splitExtension(address: string, delimiters: string): SplitAddress | undefined {
  const at = address.lastIndexOf('@');
  const local = at === -1 ? address : address.slice(0, at);
  if (/^(?:postmaster|mailer-daemon|double-bounce)$/i.test(local)) return undefined;
  let end = 0;
  while (end < local.length && !delimiters.includes(local.charAt(end))) end += 1;
  if (end === 0 || end >= local.length - 1) return undefined;
  // Mailing lists own these names (owner-x, x-request) since before there were extensions.
  if (local[end] === '-' && (/^owner-/i.test(local) || /-request$/i.test(local))) return undefined;
  return { bare: local.slice(0, end) + (at === -1 ? '' : address.slice(at)), extension: local.slice(end) };
}
