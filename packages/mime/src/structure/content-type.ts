/**
 * Reads Content-Type and Content-Transfer-Encoding as far as the structure of a message depends on them (RFC 2045 sections 5 and
 * 6; mime.md section 5). Comments and white space do not count, names match in any case. Linear in the length of the value.
 *
 * Values are latin1 text, a character for each byte.
 */

type Subtype = 'rfc822' | 'partial' | 'external-body' | 'global' | 'other';

export type EntityType =
  | { readonly type: 'text' | 'other' }
  | { readonly type: 'message'; readonly subtype: Subtype }
  | { readonly type: 'multipart'; readonly digest: boolean };

/** What a body may hold (RFC 2045 section 2.7 to 2.9): the encodings base64 and quoted-printable leave only 7bit. */
export type Domain = '7bit' | '8bit' | 'binary';

export interface TransferEncoding {
  readonly domain: Domain;
  /** base64 or quoted-printable. */
  readonly encoded: boolean;
}

export const TEXT: EntityType = { type: 'text' };
export const EMBEDDED: EntityType = { type: 'message', subtype: 'rfc822' };
export const OTHER: EntityType = { type: 'other' };

interface Token {
  readonly kind: 'token' | 'quoted' | 'special';
  readonly text: string;
}

/** No parameter needs more: name, equal sign, value. */
const TOKENS_KEPT = 3;
const TOKEN = /[^\s\p{Cc}()<>@,;:\\"/[\]?=]+/uy;
const MESSAGE_SUBTYPES = new Set<string>(['rfc822', 'partial', 'external-body', 'global']);

/**
 * The type, and the boundaries that a multipart names. An undefined type is one that changes nothing: the block keeps its default,
 * so that an image in a digest counts as a message, as with Postfix.
 */
export function parseContentType(value: string): {
  readonly type: EntityType | undefined;
  readonly boundaries: readonly string[];
} {
  const [first, ...parameters] = segments(value);
  const [major, slash, minor] = first ?? [];
  if (major === undefined) return { type: OTHER, boundaries: [] };
  const subtype = slash?.text === '/' && minor?.kind === 'token' ? minor.text.toLowerCase() : '';
  switch (major.kind === 'token' ? major.text.toLowerCase() : '') {
    case 'text':
      return { type: TEXT, boundaries: [] };
    case 'message':
      return {
        type: { type: 'message', subtype: MESSAGE_SUBTYPES.has(subtype) ? (subtype as Subtype) : 'other' },
        boundaries: [],
      };
    case 'multipart':
      return {
        type: { type: 'multipart', digest: subtype === 'digest' },
        boundaries: parameters.flatMap(boundaryOf),
      };
    default:
      return { type: undefined, boundaries: [] };
  }
}

function boundaryOf([name, equals, value]: readonly Token[]): string[] {
  const named = name?.kind === 'token' && name.text.toLowerCase() === 'boundary' && equals?.text === '=';
  return named && value !== undefined && value.kind !== 'special' ? [value.text] : [];
}

/** Undefined: not one of the five encodings, which changes nothing. */
export function parseTransferEncoding(value: string): TransferEncoding | undefined {
  const [first] = segments(value);
  const [token] = first ?? [];
  if (token?.kind !== 'token') return undefined;
  const name = token.text.toLowerCase();
  switch (name) {
    case '7bit':
    case '8bit':
    case 'binary':
      return { domain: name, encoded: false };
    case 'base64':
    case 'quoted-printable':
      return { domain: '7bit', encoded: true };
    default:
      return undefined;
  }
}

/** The tokens between semicolons, the first three of each. */
function segments(value: string): Token[][] {
  const all: Token[][] = [[]];
  const add = (kind: Token['kind'], text: string): void => {
    const last = all.at(-1);
    if (last !== undefined && last.length < TOKENS_KEPT) last.push({ kind, text });
  };
  let at = 0;
  while (at < value.length) {
    const character = value[at] ?? '';
    if (character === '(') {
      at = afterComment(value, at);
    } else if (character === '"') {
      const [text, end] = quotedString(value, at);
      add('quoted', text);
      at = end;
    } else if (character === ';') {
      all.push([]);
      at += 1;
    } else {
      TOKEN.lastIndex = at;
      const token = TOKEN.exec(value)?.[0];
      if (token !== undefined) add('token', token);
      else if (!/[\s\p{Cc}]/u.test(character)) add('special', character);
      at += token?.length ?? 1;
    }
  }
  return all;
}

/** Comments nest (RFC 5322 section 3.2.2); one without an end takes the rest. */
function afterComment(value: string, start: number): number {
  let depth = 0;
  for (let at = start; at < value.length; at += 1) {
    const character = value[at];
    if (character === '\\') at += 1;
    else if (character === '(') depth += 1;
    else if (character === ')') {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return value.length;
}

/** The text of a quoted string and where it ends. */
function quotedString(value: string, start: number): [string, number] {
  let text = '';
  for (let at = start + 1; at < value.length; at += 1) {
    const character = value[at] ?? '';
    if (character === '"') return [text, at + 1];
    if (character === '\\') at += 1;
    text += character === '\\' ? (value[at] ?? '') : character;
  }
  return [text, value.length];
}
