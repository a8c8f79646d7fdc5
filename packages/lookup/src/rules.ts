/**
 * The engine of rule files (regexp, pcre, cidr): rules are tried in order, the first that matches gives the result, and
 * `if` … `endif` blocks, which nest, are entered only when their condition holds. A rule with an error is skipped with a
 * warning, as Postfix does; so is an `endif` without `if`.
 */
import { logicalLines } from '@mailfleet/config';
import { bracedText, bracedWords } from './spec.ts';
import { type BareTable, failedTable, found, type LookupResult, lookupError, MISS } from './table.ts';
import { withinTimeLimit } from './time-limit.ts';
import { watchFile } from './watched-file.ts';

/** What a pattern found: the result text may refer to it. Undefined: no match. */
export type Match = readonly (string | undefined)[];

export interface Condition {
  match(key: string): Match | undefined;
  /** Whether `match` may take long for this key. */
  slow?(key: string): boolean;
}

/** A key that keeps the patterns of a table busy for longer is an error: as long, everything else of the process waits. */
const SEARCH_LIMIT_MS = 100;

/** `result` is the text of a match; it may insert groups. */
type Rule =
  | { readonly kind: 'rule'; readonly condition: Condition; result(match: Match): string }
  | {
      readonly kind: 'if';
      readonly condition: Condition;
      /** Index of the rule after its endif. */
      readonly end: number;
    };

export interface RuleSyntax {
  /** Reads `pattern result`, or a pattern alone after `if`. A string is what is wrong. */
  parse(text: string, afterIf: boolean): { condition: Condition; result(match: Match): string } | string;
}

interface Place {
  readonly text: string;
  readonly where: string;
}

export function openRuleTable(
  type: string,
  name: string,
  syntax: RuleSyntax,
  warn: (sentence: string) => void,
  now: () => number,
): BareTable {
  if (name.trimStart().startsWith('{')) {
    const words = bracedWords(name);
    if (words === undefined || words.length === 0)
      return failedTable(`${type}:${name} has no rules between its braces`);
    const places = words.map((word, index) => ({
      text: bracedText(word) ?? word,
      where: `${type}: rule ${index + 1}`,
    }));
    const rules = compileRules(places, syntax, warn);
    return { keys: 'pattern', find: (key) => search(rules, key) };
  }
  const file = watchFile(name, now, (text) => {
    const { lines, orphans } = logicalLines(text);
    for (const line of orphans)
      warn(`${name}:${line}: this line begins with white space but continues nothing; it is ignored`);
    const places = lines.map(({ text: logical, line }) => ({
      text: logical.trimEnd(),
      where: `${name}:${line}`,
    }));
    return { ok: true, value: compileRules(places, syntax, warn) };
  });
  return {
    keys: 'pattern',
    find: async (key) => {
      const content = await file.read();
      return content.ok ? search(content.value, key) : lookupError(content.reason);
    },
  };
}

function compileRules(
  places: readonly Place[],
  syntax: RuleSyntax,
  warn: (sentence: string) => void,
): Rule[] {
  const rules: Rule[] = [];
  const open: { index: number; condition: Condition; where: string }[] = [];
  for (const { text, where } of places) {
    if (/^endif\b/i.test(text)) {
      const block = open.pop();
      if (block === undefined) warn(`${where}: endif without if; it is ignored`);
      else rules[block.index] = { kind: 'if', condition: block.condition, end: rules.length };
      continue;
    }
    const afterIf = /^if\b\s*(.*)$/is.exec(text);
    const parsed = syntax.parse(afterIf?.[1] ?? text, afterIf !== null);
    if (typeof parsed === 'string') {
      warn(`${where}: ${parsed}; the rule is ignored`);
      // The block of a bad condition must not run unconditionally.
      if (afterIf !== null) open.push({ index: rules.push(NEVER) - 1, condition: NEVER.condition, where });
    } else if (afterIf === null) {
      rules.push({ kind: 'rule', ...parsed });
    } else {
      const block = { kind: 'if', condition: parsed.condition, end: Number.POSITIVE_INFINITY } as const;
      open.push({ index: rules.push(block) - 1, condition: parsed.condition, where });
    }
  }
  for (const { where } of open) warn(`${where}: if without endif; the rules after it are part of its block`);
  return rules;
}

const NEVER: Rule = { kind: 'if', condition: { match: () => undefined }, end: Number.POSITIVE_INFINITY };

function search(rules: readonly Rule[], key: string): LookupResult {
  const state: Search = { rules, key, index: 0 };
  const result = advance(state, (condition) => condition.slow?.(key) !== true);
  if (result !== 'slow') return result;
  const limited = withinTimeLimit(SEARCH_LIMIT_MS, () => advance(state, () => true));
  if (limited !== undefined && limited.value !== 'slow') return limited.value;
  return lookupError(
    `rule ${state.index + 1} of the table takes longer than ${SEARCH_LIMIT_MS} ms for a key of ${key.length} characters; write it with fewer * and + or anchor it with ^`,
  );
}

interface Search {
  readonly rules: readonly Rule[];
  readonly key: string;
  index: number;
}

/** Tries rules from `index` on, as long as they may be tried; stands at the rule that may not. */
function advance(state: Search, mayTry: (condition: Condition) => boolean): LookupResult | 'slow' {
  const { rules, key } = state;
  while (state.index < rules.length) {
    const rule = rules[state.index];
    if (rule === undefined) break;
    if (!mayTry(rule.condition)) return 'slow';
    const match = rule.condition.match(key);
    if (rule.kind === 'if') state.index = match === undefined ? rule.end : state.index + 1;
    else if (match !== undefined) return found(rule.result(match));
    else state.index += 1;
  }
  return MISS;
}
