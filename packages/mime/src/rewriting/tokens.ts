/**
 * The words of an address header (RFC 5322 section 3.2): atoms, quoted strings, comments, domain literals and special characters. Takes
 * anything: what is not closed ends with the text. Linear in its length.
 */

export type Token =
  /** Text without quotes and backslashes. */
  | { readonly kind: 'atom' | 'quoted' | 'literal'; readonly text: string }
  /** With its parentheses, as it stands. */
  | { readonly kind: 'comment'; readonly text: string }
  | { readonly kind: 'special'; readonly text: string };

const ATOM = /(?:[^\s()<>@,;:"[\].\\]|\\[\s\S])+/y;

/** Undefined: there are more than `limit` of them (header_address_token_limit). @param text an unfolded value */
export function tokensOf(text: string, limit: number): Token[] | undefined {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text[at] ?? '';
    if (/\s/.test(character)) {
      at += 1;
      continue;
    }
    if (tokens.length >= limit) return undefined;
    if (character === '(') {
      const end = commentEnd(text, at);
      tokens.push({ kind: 'comment', text: text.slice(at, end) });
      at = end;
    } else if (character === '"' || character === '[') {
      const [content, end] = enclosed(text, at + 1, character === '"' ? '"' : ']');
      tokens.push({ kind: character === '"' ? 'quoted' : 'literal', text: content });
      at = end;
    } else {
      ATOM.lastIndex = at;
      const atom = ATOM.exec(text)?.[0];
      // Control characters can stand between quotes only.
      const kind = atom === undefined ? 'special' : /\p{Cc}/u.test(atom) ? 'quoted' : 'atom';
      tokens.push({ kind, text: atom?.replace(/\\([\s\S])/g, '$1') ?? character });
      at += atom?.length ?? 1;
    }
  }
  return tokens;
}

/** Comments nest. */
function commentEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at];
    if (character === '\\') at += 1;
    else if (character === '(') depth += 1;
    else if (character === ')') {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return text.length;
}

function enclosed(text: string, start: number, close: string): [content: string, end: number] {
  let content = '';
  for (let at = start; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (character === close) return [content, at + 1];
    if (character === '\\') at += 1;
    content += text[at] ?? '';
  }
  return [content, text.length];
}
