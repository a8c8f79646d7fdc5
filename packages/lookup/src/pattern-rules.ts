/**
 * The rules of regexp and pcre tables, run by JavaScript's RegExp.
 *
 *     /pattern/flags result    !/pattern/flags result    /a/!/b/ result (regexp)    if /pattern/ … endif
 *
 * Any non-alphanumeric delimiter; flags toggle: i (on by default), m, x, and for pcre s (on), A, E, U, X. Bracket classes,
 * escapes of PCRE, comments, `(?P<name>`, and `(?ims)` at the start are translated. Known differences to the originals: alternation takes the
 * first branch that matches, where POSIX takes the longest (visible only in groups), and POSIX back references in bracket
 * expressions do not exist. A pattern that RegExp cannot express is an error of its rule.
 */
import { patternCost } from './pattern-cost.ts';
import type { Condition, Match, RuleSyntax } from './rules.ts';

type Dialect = 'regexp' | 'pcre';

const FLAGS: Readonly<Record<Dialect, string>> = { regexp: 'imx', pcre: 'imsxAEUX' };

/** Some ten milliseconds of a RegExp at most, and seldom near it. */
const QUICK_STEPS = 1_000_000;

interface ParsedPattern {
  readonly condition: Condition;
  readonly groups: number;
  readonly negated: boolean;
  readonly rest: string;
}

export function patternSyntax(dialect: Dialect): RuleSyntax {
  return {
    parse(text, afterIf) {
      let pattern = parsePattern(dialect, text);
      if (typeof pattern === 'string') return pattern;
      if (dialect === 'regexp' && !pattern.negated && /^!\W/.test(pattern.rest)) {
        const excluded = parsePattern(dialect, pattern.rest);
        if (typeof excluded === 'string') return excluded;
        pattern = { ...pattern, condition: both(pattern.condition, excluded.condition), rest: excluded.rest };
      }
      const { condition, rest } = pattern;
      if (!afterIf && rest !== '' && !/^\s/.test(rest))
        return `unexpected "${rest.slice(0, 20)}" after the pattern`;
      const template = parseTemplate(rest.trim(), pattern.negated ? 0 : pattern.groups, pattern.negated);
      if (typeof template === 'string') return template;
      return { condition, result: template.fill };
    },
  };
}

function both(first: Condition, second: Condition): Condition {
  return {
    match: (key) => {
      const match = first.match(key);
      return match !== undefined && second.match(key) !== undefined ? match : undefined;
    },
    slow: (key) => first.slow?.(key) === true || second.slow?.(key) === true,
  };
}

function parsePattern(dialect: Dialect, text: string): ParsedPattern | string {
  const bangs = /^!*/.exec(text)?.[0].length ?? 0;
  const negated = bangs % 2 === 1;
  const start = text.slice(bangs).trimStart();
  const delimiter = start[0];
  if (delimiter === undefined) return 'there is no pattern';
  if (/[A-Za-z0-9\s]/.test(delimiter))
    return `a pattern begins with a delimiter such as "/", not with "${delimiter}"`;
  let end = 1;
  while (end < start.length && start[end] !== delimiter) end += start[end] === '\\' ? 2 : 1;
  if (start[end] !== delimiter) return `the pattern has no closing "${delimiter}"`;
  const source = start
    .slice(1, end)
    .replaceAll(`\\${delimiter}`, /[\w/]/.test(delimiter) ? delimiter : `\\${delimiter}`);
  const flags = /^[A-Za-z]*/.exec(start.slice(end + 1))?.[0] ?? '';
  const unknown = [...flags].find((flag) => !FLAGS[dialect].includes(flag));
  if (unknown !== undefined) return `there is no flag "${unknown}"`;
  const compiled = compile(dialect, source, flags);
  if (typeof compiled === 'string') return compiled;
  const groups = (new RegExp(`${compiled.source}|`, compiled.flags).exec('')?.length ?? 1) - 1;
  const { steps, prefix } = patternCost(compiled);
  const cannotMatch = (key: string): boolean => !key.slice(0, prefix.length).toLowerCase().startsWith(prefix);
  const match = (key: string): Match | undefined => {
    const hit = cannotMatch(key) ? null : compiled.exec(key);
    if (negated) return hit === null ? [] : undefined;
    return hit ?? undefined;
  };
  const slow = (key: string): boolean => steps(key.length) > QUICK_STEPS && !cannotMatch(key);
  return { condition: { match, slow }, groups, negated, rest: start.slice(end + 1 + flags.length) };
}

function compile(dialect: Dialect, source: string, toggles: string): RegExp | string {
  const on = new Set(dialect === 'pcre' ? ['i', 's'] : ['i', 's']);
  for (const flag of toggles) {
    if (!on.delete(flag)) on.add(flag);
  }
  let pattern = source;
  if (dialect === 'pcre') {
    const inline = /^\(\?([imsxU]*)(?:-([imsxU]+))?\)/.exec(pattern);
    if (inline !== null) {
      pattern = pattern.slice(inline[0].length);
      for (const flag of inline[1] ?? '') on.add(flag);
      for (const flag of inline[2] ?? '') on.delete(flag);
    }
    if (on.has('x')) pattern = withoutLayout(pattern);
    if (on.has('A')) pattern = `^(?:${pattern})`;
  } else if (on.has('x')) {
    return 'basic regular expressions (the flag x) are not supported';
  }
  // REG_NEWLINE makes ^ and $ match at lines and keeps the dot within one.
  const multiline = on.has('m');
  const dotAll = dialect === 'pcre' ? on.has('s') : !multiline;
  // Properties of characters exist in this mode only; it is strict about escapes, so that nobody else gets it.
  const unicode = dialect === 'pcre' && /\\[pP]/.test(pattern);
  const flags = `${on.has('i') ? 'i' : ''}${multiline ? 'm' : ''}${dotAll ? 's' : ''}${unicode ? 'u' : ''}`;
  try {
    return new RegExp(translate(pattern, dialect, on.has('U')), flags);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const CLASSES: Readonly<Record<string, string>> = {
  alnum: 'A-Za-z0-9',
  alpha: 'A-Za-z',
  blank: ' \\t',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '\\x21-\\x7e',
  lower: 'a-z',
  print: '\\x20-\\x7e',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\s',
  upper: 'A-Z',
  word: '\\w',
  xdigit: 'A-Fa-f0-9',
};

const TOKEN =
  /\\Q([\s\S]*?)(?:\\E|$)|\\([\s\S])|\(\?#[^)]*\)|\(\?P?(<\w+>)|\(\?[^)\w]{1,2}|\[|([*+?]|\{\d+,?\d*\})(\??)|[\s\S]/y;

/** What JavaScript writes differently. Throws what it cannot express. */
function translate(pattern: string, dialect: Dialect, ungreedy: boolean): string {
  let result = '';
  TOKEN.lastIndex = 0;
  for (let token = TOKEN.exec(pattern); token !== null; token = TOKEN.exec(pattern)) {
    const [whole, quoted, escaped, name, quantifier, lazy] = token;
    if (whole === '[') {
      const bracket = bracketExpression(pattern.slice(token.index), dialect);
      result += bracket.translated;
      TOKEN.lastIndex = token.index + bracket.length;
    } else if (dialect === 'pcre' && quoted !== undefined)
      result += quoted.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    else if (escaped !== undefined) result += dialect === 'pcre' ? pcreEscape(escaped) : posixEscape(escaped);
    else if (name !== undefined) result += `(?${name}`;
    else if (quantifier !== undefined && ungreedy) result += `${quantifier}${lazy === '' ? '?' : ''}`;
    else if (!whole.startsWith('(?#')) result += whole;
  }
  return result;
}

/** Escapes of PCRE that JavaScript lacks or reads as the letter itself. */
const PCRE_ESCAPES: Readonly<Record<string, string>> = {
  A: '^',
  z: '$',
  Z: '$',
  a: '\\x07',
  e: '\\x1b',
  h: '[ \\t]',
  H: '[^ \\t]',
  v: '[\\n\\v\\f\\r]',
  V: '[^\\n\\v\\f\\r]',
  N: '[^\\n]',
  R: '(?:\\r\\n|[\\n\\v\\f\\r])',
};

function pcreEscape(character: string): string {
  const own = PCRE_ESCAPES[character];
  if (own !== undefined) return own;
  if (/[A-Za-z]/.test(character) && !/[bBdDsSwWnrtfxckpP]/.test(character)) {
    throw new Error(`"\\${character}" is not supported`);
  }
  return `\\${character}`;
}

/** GNU's additions. */
function posixEscape(character: string): string {
  if (character === '<') return '\\b(?=\\w)';
  if (character === '>') return '\\b(?<=\\w)';
  if (character === '`') return '^';
  if (character === "'") return '$';
  if (/[A-Za-z]/.test(character) && !/[bBwWsS]/.test(character)) {
    throw new Error(
      `"\\${character}" means nothing in a regexp table; use a class such as [[:digit:]], or pcre`,
    );
  }
  return `\\${character}`;
}

/** `[...]` with POSIX classes; a `]` in first place is a character, which JavaScript wants escaped. */
function bracketExpression(text: string, dialect: Dialect): { translated: string; length: number } {
  let result = '[';
  let index = 1;
  if (text[index] === '^') {
    result += '^';
    index += 1;
  }
  if (text[index] === ']') {
    result += '\\]';
    index += 1;
  }
  while (index < text.length && text[index] !== ']') {
    const posix = /^\[:(\w+):\]/.exec(text.slice(index));
    const characters = CLASSES[posix?.[1] ?? ''];
    if (posix !== null && characters !== undefined) {
      result += characters;
      index += posix[0].length;
    } else if (text[index] === '\\' && dialect === 'regexp') {
      // POSIX escapes nothing in there.
      result += '\\\\';
      index += 1;
    } else if (text[index] === '\\') {
      result += /[hv]/.test(text[index + 1] ?? '') ? ' \\t' : text.slice(index, index + 2);
      index += 2;
    } else {
      result += text[index] === '[' ? '\\[' : text[index];
      index += 1;
    }
  }
  return { translated: `${result}]`, length: index + 1 };
}

/** The flag x: white space and comments outside brackets do not count. */
function withoutLayout(pattern: string): string {
  return pattern.replace(
    /(\\[\s\S]|\[(?:\\[\s\S]|[^\]])*\])|\s+|#.*$/gm,
    (_, kept: string | undefined) => kept ?? '',
  );
}

/** The result text: `$1 ${1} $(1)` insert groups, `$$` a dollar. */
function parseTemplate(
  text: string,
  groups: number,
  negated: boolean,
): { fill(match: Match): string } | string {
  const parts: (string | number)[] = [];
  let literal = '';
  for (let index = 0; index < text.length; index += 1) {
    if (text[index] !== '$') {
      literal += text[index];
      continue;
    }
    const reference = /^\$(?:(\$)|(\d+)|\{(\d+)\}|\((\d+)\))/.exec(text.slice(index));
    if (reference === null)
      return `"${text.slice(index, index + 10)}" in the result is neither $$ nor the number of a group`;
    if (reference[1] === undefined) {
      const group = Number(reference[2] ?? reference[3] ?? reference[4]);
      if (negated) return 'the result of a negated pattern cannot insert groups';
      if (group < 1 || group > groups) return `the pattern has no group ${group}`;
      parts.push(literal, group);
      literal = '';
    } else {
      literal += '$';
    }
    index += reference[0].length - 1;
  }
  parts.push(literal);
  return {
    fill: (match) => parts.map((part) => (typeof part === 'number' ? (match[part] ?? '') : part)).join(''),
  };
}
