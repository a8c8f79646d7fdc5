/**
 * From expanded text to typed values, as leniently as Postfix reads them and no more.
 *
 * Known leniencies: of a time only the first letter after the number counts (`10min` is 600 s), and a time without letter has
 * the unit of the parameter's default. One extension of ours: a size may end in k, M or G (times 1024), which Postfix refuses.
 */

import type { ParameterValue } from './parameter.ts';
import type { Entry, TimeUnit } from './registry/entry.ts';

export type Conversion =
  | { readonly ok: true; readonly value: ParameterValue; readonly warning?: string }
  | { readonly ok: false; readonly message: string };

const UNIT_SECONDS: Readonly<Record<TimeUnit, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const UNIT_WORDS: Readonly<Record<TimeUnit, string>> = {
  s: 'seconds',
  m: 'minutes',
  h: 'hours',
  d: 'days',
  w: 'weeks',
};
const SIZE_FACTORS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const INT_MAX = 2 ** 31 - 1;

export function convert(
  entry: Omit<Entry, 'origin' | 'default' | 'doc' | 'since'>,
  text: string,
): Conversion {
  switch (entry.type) {
    case 'boolean':
      if (/^yes$/i.test(text)) return { ok: true, value: true };
      if (/^no$/i.test(text)) return { ok: true, value: false };
      return failure(`"${text}" is neither yes nor no`);
    case 'integer':
      return integer(entry, text);
    case 'size':
      return size(entry, text);
    case 'time':
      return time(entry, text);
    case 'list':
    case 'maps':
      return list(entry, text);
    case 'enum':
      return keyword(entry, text);
    case 'feedback':
      return feedback(entry, text);
    default:
      return string(entry, text);
  }
}

/** A time as in main.cf, in ms; `unit` is for one without a letter. Throws a sentence. */
export function parseTime(text: string, unit: TimeUnit = 's'): number {
  const parsed = time({ unit }, text);
  if (!parsed.ok) throw new Error(parsed.message);
  return Number(parsed.value);
}

function failure(message: string): Conversion {
  return { ok: false, message };
}

function integer(entry: Limits, text: string): Conversion {
  if (!/^\s*[+-]?\d+$/.test(text)) return failure(`"${text}" is not a whole number`);
  const value = Number(text);
  if (Math.abs(value) > INT_MAX) return failure(`${text} is too large; the largest number is ${INT_MAX}`);
  return within(entry, value, value, '');
}

function size(entry: Limits, text: string): Conversion {
  const match = /^\s*([+-]?\d+)([kmg]?)$/i.exec(text);
  if (match === null) return failure(`"${text}" is not a number of bytes, such as 65536 or 64k`);
  const value = Number(match[1]) * (SIZE_FACTORS[(match[2] ?? '').toLowerCase()] ?? 1);
  if (!Number.isSafeInteger(value)) return failure(`${text} is too large for a number of bytes`);
  return within(entry, value, value, ' bytes');
}

function time(entry: Limits & Pick<Entry, 'unit'>, text: string): Conversion {
  const unit = entry.unit ?? 's';
  const match = /^\s*\+?(\d+)(?:([smhdw]).*)?$/s.exec(text);
  if (match === null) {
    return failure(
      `"${text}" is not a time; write a whole number and one of s m h d w (without a letter it means ${UNIT_WORDS[unit]})`,
    );
  }
  const seconds = Number(match[1]) * UNIT_SECONDS[(match[2] as TimeUnit | undefined) ?? unit];
  if (seconds > INT_MAX) return failure(`${text} is too long; the longest time is ${INT_MAX} seconds`);
  return within(entry, seconds, seconds * 1000, ' seconds');
}

type Limits = Pick<Entry, 'min' | 'max'>;

/** A limit of 0 is not enforced, as in Postfix. */
function within(entry: Limits, measured: number, value: number, unit: string): Conversion {
  if (entry.min !== undefined && entry.min !== 0 && measured < entry.min) {
    return failure(`${measured}${unit} is less than the least value, ${entry.min}`);
  }
  if (entry.max !== undefined && entry.max !== 0 && measured > entry.max) {
    return failure(`${measured}${unit} is more than the greatest value, ${entry.max}`);
  }
  return { ok: true, value };
}

function string(entry: Pick<Entry, 'minLength' | 'maxLength'>, text: string): Conversion {
  if (entry.minLength !== undefined && text.length < entry.minLength) {
    return failure(
      entry.minLength === 1
        ? 'the value must not be empty'
        : `the value needs at least ${entry.minLength} characters`,
    );
  }
  if (entry.maxLength !== undefined && text.length > entry.maxLength) {
    return failure(
      `"${text}" is longer than ${entry.maxLength} character${entry.maxLength === 1 ? '' : 's'}`,
    );
  }
  return { ok: true, value: text };
}

function list(entry: Pick<Entry, 'minLength' | 'maxLength'>, text: string): Conversion {
  const checked = string(entry, text);
  if (!checked.ok) return checked;
  const words = splitList(text);
  return words === undefined ? failure(`the braces in "${text}" do not balance`) : { ok: true, value: words };
}

/** Words between commas and white space; both count as text inside balanced braces. Undefined: a brace is missing. */
export function splitList(text: string): readonly string[] | undefined {
  const words: string[] = [];
  let word = '';
  let depth = 0;
  for (const character of text) {
    if (depth === 0 && /[\s,]/.test(character)) {
      if (word !== '') words.push(word);
      word = '';
      continue;
    }
    if (character === '{') depth += 1;
    if (character === '}' && depth > 0) depth -= 1;
    word += character;
  }
  if (depth > 0) return undefined;
  if (word !== '') words.push(word);
  return words;
}

function keyword(entry: Pick<Entry, 'values' | 'minLength'>, text: string): Conversion {
  const value = text.toLowerCase();
  if (entry.values?.includes(value)) return { ok: true, value };
  return failure(
    `"${text}" is not one of ${(entry.values ?? []).filter((known) => known !== '').join(', ')}`,
  );
}

function feedback(entry: Pick<Entry, 'minLength'>, text: string): Conversion {
  const checked = string(entry, text);
  if (!checked.ok) return checked;
  const match = /^\s*(\d*\.?\d+|\d+\.)\s*(?:\/\s*(\d*\.?\d+|\d+\.|concurrency)\s*)?$/i.exec(text);
  const divisor = match?.[2] === undefined || /^c/i.test(match[2]) ? 1 : Number(match[2]);
  const ratio = match === null ? Number.NaN : Number(match[1]) / divisor;
  if (ratio >= 0 && ratio <= 1) return { ok: true, value: text };
  return {
    ok: true,
    value: text,
    warning: `"${text}" is not a number from 0 to 1, a fraction n/m or n/concurrency; it acts as 1`,
  };
}
