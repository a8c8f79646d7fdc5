/**
 * An address header as a list of what it is made of, its addresses among them, and back (RFC 5322 sections 3.4 and 3.6; the form is
 * Postfix's, config-and-maps.md section 6): phrases, comments and groups stay, white space is made anew, an address to a line and
 * lines put together up to 70 characters.
 */
import { quoteAddress } from '../addressing.ts';
import { type Token, tokensOf } from './tokens.ts';

/** `address` is in internal form, unquoted, and may be replaced. */
export type Part =
  | Token
  | { readonly kind: 'address'; address: string }
  | { readonly kind: 'group start'; readonly text: ':' };

/** What stands beside one address may have so many characters; else only the address is kept. */
const BESIDE_ADDRESS = 250;
const LINE = 70;
const COMMA: Token = { kind: 'special', text: ',' };

/** Undefined: more than `tokenLimit` words. @param value unfolded */
export function parseAddressList(value: string, tokenLimit: number): Part[] | undefined {
  const tokens = tokensOf(value, tokenLimit);
  if (tokens === undefined) return undefined;
  const parts: Part[] = [];
  let at = 0;
  while (at < tokens.length) {
    const end = mailboxEnd(tokens, at);
    const separator = tokens[end];
    const isGroup = separator?.text === ':';
    // Behind a group's end stands a comma, or the end of all.
    const isMailbox = tokens.slice(at, end).some(({ kind }) => kind !== 'comment');
    if (isSpecial(parts.at(-1), ';') && isMailbox) parts.push(COMMA);
    if (isGroup) parts.push(...tokens.slice(at, end), { kind: 'group start', text: ':' });
    else mailbox(tokens.slice(at, end), parts);
    if (separator !== undefined && !isGroup) parts.push(separator);
    at = end + 1;
  }
  return parts;
}

/** Index of the comma, semicolon or group's colon that ends what begins at `start`; angle brackets hide theirs. */
function mailboxEnd(tokens: readonly Token[], start: number): number {
  let bracketed = false;
  for (let at = start; at < tokens.length; at += 1) {
    const token = tokens[at];
    if (token?.kind !== 'special') continue;
    if (token.text === '<') bracketed = tokens.some((later, index) => index > at && isSpecial(later, '>'));
    else if (token.text === '>') bracketed = false;
    else if (!bracketed && /[,;:]/.test(token.text)) return at;
  }
  return tokens.length;
}

function isSpecial(token: Part | undefined, text: string): boolean {
  return token?.kind === 'special' && token.text === text;
}

/**
 * `phrase <address> (comment)`, or an address alone. Words that are neither become addresses of their own, as with Postfix; what has no
 * closing bracket, or is a source route, is no address.
 */
function mailbox(tokens: readonly Token[], parts: Part[]): void {
  const open = tokens.findIndex((token) => isSpecial(token, '<'));
  const close = tokens.findIndex((token, index) => index > open && isSpecial(token, '>'));
  if (open < 0) {
    bareAddresses(tokens, parts);
    return;
  }
  if (close < 0) {
    parts.push(...tokens);
    return;
  }
  const inside = tokens.slice(open + 1, close);
  parts.push(...tokens.slice(0, open), { kind: 'special', text: '<' });
  const words = inside.filter(({ kind }) => kind !== 'comment');
  if (isSpecial(words[0], '@')) parts.push({ kind: 'atom', text: internalForm(words).replaceAll(',', ', ') });
  else if (words.length > 0) parts.push({ kind: 'address', address: internalForm(words) });
  parts.push(...inside.filter(({ kind }) => kind === 'comment'), { kind: 'special', text: '>' });
  let rest = close + 1;
  for (; tokens[rest]?.kind === 'comment'; rest += 1) parts.push(...tokens.slice(rest, rest + 1));
  if (rest >= tokens.length) return;
  if (!isSpecial(tokens[rest], '<')) parts.push(COMMA);
  mailbox(tokens.slice(rest), parts);
}

function bareAddresses(tokens: readonly Token[], parts: Part[]): void {
  let words: Token[] = [];
  let comments: Token[] = [];
  let some = false;
  const flush = (): void => {
    if (words.length > 0) {
      if (some) parts.push(COMMA);
      parts.push({ kind: 'address', address: internalForm(words) });
      some = true;
    }
    parts.push(...comments);
    words = [];
    comments = [];
  };
  for (const token of tokens) {
    if (token.kind === 'comment') {
      comments.push(token);
      continue;
    }
    const last = words.at(-1);
    // Words stand side by side in no address: one is joined to the next by a dot or an at sign.
    if (last !== undefined && last.kind !== 'special' && token.kind !== 'special') flush();
    words.push(token);
  }
  flush();
}

/** Words of an address in internal form: without quotes. */
function internalForm(words: readonly Token[]): string {
  return words.map(({ kind, text }) => (kind === 'literal' ? `[${text}]` : text)).join('');
}

/** The first address of a text in external form, and whether there are more. */
export function firstAddress(text: string): { readonly address: string; readonly more: boolean } | undefined {
  const parts = parseAddressList(text, text.length + 1) ?? [];
  const [first, second] = parts.flatMap((part) => (part.kind === 'address' ? [part.address] : []));
  return first === undefined ? undefined : { address: first, more: second !== undefined };
}

/** The header's lines, their ends included; `name` is as it was written. */
export function formatAddressHeader(
  name: string,
  parts: readonly Part[],
  note: (text: string, warning: boolean) => void,
): string {
  const lines: string[] = [];
  let line = '';
  let address: string | undefined;
  const end = (comma: string): void => {
    if (address !== undefined && line.length - address.length > BESIDE_ADDRESS) {
      note(`stripping too many comments from address: ${line.slice(0, 100)}...`, true);
      line = `<${address}>`;
    }
    lines.push(line + comma);
    line = '';
    address = undefined;
  };
  for (const [index, part] of parts.entries()) {
    if (isSpecial(part, ',')) {
      end(',');
      continue;
    }
    const text = externalForm(part);
    if (part.kind === 'address') address = text;
    line += standApart(part, parts[index + 1]) ? `${text} ` : text;
  }
  end('');
  return fold(name, lines);
}

function externalForm(part: Part): string {
  switch (part.kind) {
    case 'address':
      return quoteAddress(part.address);
    case 'quoted':
      return `"${part.text.replace(/["\\\r\n]/g, '\\$&')}"`;
    case 'literal':
      return `[${part.text.replace(/[\\\r\n]/g, '\\$&')}]`;
    default:
      return part.text;
  }
}

/** A blank goes between two words, behind a group's colon and before an angle bracket; nowhere else. */
function standApart(part: Part, next: Part | undefined): boolean {
  if (next === undefined) return false;
  if (part.kind === 'group start' || (next.kind === 'special' && next.text === '<')) return true;
  const isWord = ({ kind }: Part): boolean => kind !== 'special' && kind !== 'group start';
  return isWord(part) && isWord(next);
}

function fold(name: string, lines: readonly string[]): string {
  const [first = '', ...rest] = lines;
  const folded = [`${name}: ${first}`];
  for (const line of rest) {
    const current = folded.at(-1) ?? '';
    const joined = `${current} ${line}`;
    // The tab of a continued line does not count.
    if (joined.length < LINE) folded[folded.length - 1] = joined;
    else folded.push(line);
  }
  return `${folded.join('\r\n\t')}\r\n`;
}
