/**
 * Expansion of `$name` references in parameter values: every form that Postfix's mac_expand knows.
 *
 *     $name ${name} $(name)      the value, or nothing
 *     $$                         one dollar
 *     ${name?text} ${name:text}  text if the value is non-empty / empty
 *     ${name?{a}:{b}}            one or the other; `:` may also take an unbraced rest
 *     ${{l} op {r} ? {a} : {b}}  comparison; without branches the word true or nothing
 *     ${function{text}}          domain_to_ascii
 *
 * Only the chosen branch is expanded, references inside values are followed, nesting ends at 100. A syntax error throws
 * ExpandError with a sentence; the caller says which parameter it is in.
 */
import { domainToASCII } from 'node:url';

export class ExpandError extends Error {
  readonly code = 'EXPAND';
}

/** Unexpanded value of a name; undefined when there is none. */
export type LookupValue = (name: string) => string | undefined;

const NESTING_LIMIT = 100;
const NAME = /[A-Za-z0-9_]/;
const OPERATORS = [
  '==level',
  '!=level',
  '<=level',
  '>=level',
  '<level',
  '>level',
  '==',
  '!=',
  '<=',
  '>=',
  '<',
  '>',
] as const;
type Operator = (typeof OPERATORS)[number];

export function expand(text: string, lookup: LookupValue): string {
  return expandAt(text, lookup, 0);
}

function expandAt(text: string, lookup: LookupValue, depth: number): string {
  if (!text.includes('$')) return text;
  if (depth > NESTING_LIMIT) {
    throw new ExpandError(
      `references are nested more than ${NESTING_LIMIT} deep; a name probably refers to itself`,
    );
  }
  let result = '';
  let position = 0;
  while (position < text.length) {
    const dollar = text.indexOf('$', position);
    if (dollar < 0) return result + text.slice(position);
    result += text.slice(position, dollar);
    const next = text[dollar + 1];
    if (next === '$') {
      result += '$';
      position = dollar + 2;
    } else if (next === '{' || next === '(') {
      const end = closing(text, dollar + 1);
      result += reference(text.slice(dollar + 2, end), lookup, depth);
      position = end + 1;
    } else {
      let end = dollar + 1;
      while (end < text.length && NAME.test(text[end] ?? '')) end += 1;
      if (end === dollar + 1)
        throw new ExpandError(
          `a "$" is not followed by a name in "${excerpt(text)}"; write $$ for a dollar sign`,
        );
      result += expandName(text.slice(dollar + 1, end), lookup, depth);
      position = end;
    }
  }
  return result;
}

function expandName(name: string, lookup: LookupValue, depth: number): string {
  const value = lookup(name);
  return value === undefined ? '' : expandAt(value, lookup, depth + 1);
}

/** What stands between the braces of `${…}`. */
function reference(body: string, lookup: LookupValue, depth: number): string {
  const start = body.trimStart();
  if (start.startsWith('{')) return comparison(start, lookup, depth);
  const name = /^\s*([A-Za-z0-9_]*)/.exec(body)?.[1] ?? '';
  if (name === '') throw new ExpandError(`"\${${excerpt(body)}}" has no name`);
  const rest = body.trimStart().slice(name.length);
  const operator = rest.trimStart()[0];
  if (operator === undefined) return expandName(name, lookup, depth);
  if (operator === '{') return callFunction(name, rest.trimStart(), lookup, depth);
  if (operator !== '?' && operator !== ':') {
    throw new ExpandError(`"\${${excerpt(body)}}" has an unexpected "${operator}" after the name`);
  }
  const isSet = expandName(name, lookup, depth) !== '';
  return choose(rest.trimStart(), isSet, () => '', lookup, depth);
}

/** `?{a}:{b}` and its shorter forms, the first character being the operator. */
function choose(
  branches: string,
  condition: boolean,
  absent: () => string,
  lookup: LookupValue,
  depth: number,
): string {
  if (branches === '') return absent();
  if (branches.startsWith(':')) {
    return condition ? '' : expandAt(lastBranch(branches.slice(1)), lookup, depth + 1);
  }
  const after = branches.slice(1);
  if (!after.trimStart().startsWith('{')) return condition ? expandAt(after, lookup, depth + 1) : '';
  const { inside, rest } = braced(after.trimStart());
  const tail = rest.trimStart();
  if (tail !== '' && !tail.startsWith(':'))
    throw new ExpandError(`unexpected "${excerpt(tail)}" after "{${excerpt(inside)}}"`);
  if (condition) return expandAt(inside, lookup, depth + 1);
  return tail === '' ? '' : expandAt(lastBranch(tail.slice(1)), lookup, depth + 1);
}

function lastBranch(text: string): string {
  if (!text.trimStart().startsWith('{')) return text;
  const { inside, rest } = braced(text.trimStart());
  if (rest.trim() !== '')
    throw new ExpandError(`unexpected "${excerpt(rest.trim())}" after "{${excerpt(inside)}}"`);
  return inside;
}

function comparison(body: string, lookup: LookupValue, depth: number): string {
  const left = braced(body);
  const afterLeft = left.rest.trimStart();
  const operator = OPERATORS.find((candidate) => afterLeft.startsWith(candidate));
  if (operator === undefined) {
    throw new ExpandError(
      `"${excerpt(body)}" needs one of == != < <= >= > (or one of them with "level") after the first operand`,
    );
  }
  const beforeRight = afterLeft.slice(operator.length).trimStart();
  if (!beforeRight.startsWith('{'))
    throw new ExpandError(`the right operand of "${operator}" in "${excerpt(body)}" needs braces`);
  const right = braced(beforeRight);
  const holds = compare(
    expandAt(left.inside, lookup, depth + 1),
    operator,
    expandAt(right.inside, lookup, depth + 1),
  );
  const branches = right.rest.trimStart();
  if (branches !== '' && !branches.startsWith('?') && !branches.startsWith(':')) {
    throw new ExpandError(`unexpected "${excerpt(branches)}" after the comparison in "${excerpt(body)}"`);
  }
  return choose(branches, holds, () => (holds ? 'true' : ''), lookup, depth);
}

function compare(left: string, operator: Operator, right: string): boolean {
  const order = operator.endsWith('level')
    ? compareLevels(left, right)
    : /^\d+$/.test(left) && /^\d+$/.test(right)
      ? sign(BigInt(left), BigInt(right))
      : Buffer.compare(Buffer.from(left), Buffer.from(right));
  switch (operator.replace('level', '')) {
    case '==':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>=':
      return order >= 0;
    default:
      return order > 0;
  }
}

/** Compatibility levels: up to three numbers, so that 3.9 < 3.10. */
function compareLevels(left: string, right: string): number {
  const [a, b] = [level(left), level(right)];
  for (const [index, part] of a.entries()) {
    const order = sign(part, b[index] ?? 0);
    if (order !== 0) return order;
  }
  return 0;
}

function level(text: string): number[] {
  const match = /^(\d+)(?:\.(\d+))?(?:\.(\d+))?$/.exec(text);
  if (match === null) throw new ExpandError(`"${excerpt(text)}" is not a compatibility level such as 3.6`);
  return [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)];
}

function sign<T extends number | bigint>(left: T, right: T): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function callFunction(name: string, argument: string, lookup: LookupValue, depth: number): string {
  if (name !== 'domain_to_ascii')
    throw new ExpandError(`there is no function "${name}"; domain_to_ascii is the only one`);
  const { inside, rest } = braced(argument);
  if (rest.trim() !== '')
    throw new ExpandError(`unexpected "${excerpt(rest.trim())}" after the argument of ${name}`);
  const domain = expandAt(inside, lookup, depth + 1);
  if (/^[\x21-\x7e]*$/.test(domain)) return domain;
  const ascii = domainToASCII(domain);
  if (ascii === '')
    throw new ExpandError(`"${excerpt(domain)}" is not a domain name that domain_to_ascii can convert`);
  return ascii;
}

/** Splits `{inside}rest`; braces inside must balance. */
function braced(text: string): { inside: string; rest: string } {
  const end = closing(text, 0);
  return { inside: text.slice(1, end), rest: text.slice(end + 1) };
}

/** Index of the bracket that closes the one at `open`. */
function closing(text: string, open: number): number {
  const opening = text[open] ?? '';
  const close = opening === '(' ? ')' : '}';
  let depth = 0;
  for (let index = open; index < text.length; index += 1) {
    if (text[index] === opening) depth += 1;
    else if (text[index] === close) depth -= 1;
    if (depth === 0) return index;
  }
  throw new ExpandError(`"${excerpt(text.slice(open))}" has no closing "${close}"`);
}

function excerpt(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
