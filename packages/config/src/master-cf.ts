/**
 * The syntax of master.cf: logical lines as in main.cf, eight fields separated by white space, arguments after the command. A word
 * that begins with `{` reaches to its closing brace, so that it may hold white space. Facts: master(5).
 *
 * Pure: what the services mean to a fleet is in services.ts.
 */
import { logicalLines, parseAssignment } from './main-cf.ts';

/** One entry, as far as every master.cf has it. */
export interface MasterEntry {
  readonly name: string;
  readonly type: string;
  /** The eight fields, command included. */
  readonly fields: readonly string[];
  readonly command: string;
  /** Field maxproc; undefined for `-`, 0 for any number. */
  readonly maxproc: number | undefined;
  readonly overrides: readonly MasterOverride[];
  /** Arguments that are no `-o`, in order. */
  readonly otherArguments: readonly string[];
  /** All of them, in the form in which `postconf -M` prints them. */
  readonly shown: readonly string[];
  /** Of its first physical line, from 1. */
  readonly line: number;
}

interface MasterOverride {
  readonly name: string;
  readonly value: string;
}

export interface MasterCf {
  /** In the order of the file; of equal name and type only the last. */
  readonly entries: readonly MasterEntry[];
  readonly problems: readonly {
    readonly kind: 'error' | 'warning';
    readonly line: number;
    readonly message: string;
  }[];
}

const FIELDS = ['service', 'type', 'private', 'unpriv', 'chroot', 'wakeup', 'maxproc', 'command'] as const;
const TYPES: readonly string[] = ['inet', 'unix', 'unix-dgram', 'fifo', 'pass'];
/** What fields 3 to 6 take. */
const FLAG = /^[yn-]$/;
const WAKEUP = /^(?:-|\d+\??)$/;
const MAXPROC = /^(?:-|\d{1,9})$/;

export function parseMasterCf(text: string): MasterCf {
  const entries = new Map<string, MasterEntry>();
  const problems: MasterCf['problems'][number][] = [];
  const { lines, orphans } = logicalLines(text);
  for (const line of orphans) {
    const message = 'this line begins with white space but continues nothing; it is ignored';
    problems.push({ kind: 'warning', line, message });
  }
  for (const { text: logical, line } of lines) {
    const words = splitBraced(logical);
    const entry = words === undefined ? 'the braces do not balance' : parseEntry(words, line);
    if (typeof entry === 'string') {
      problems.push({ kind: 'error', line, message: entry });
      continue;
    }
    const key = `${entry.name}/${entry.type}`;
    const former = entries.get(key);
    if (former !== undefined) {
      const message = `${key} stands in line ${former.line} too; the last one counts`;
      problems.push({ kind: 'warning', line, message });
      entries.delete(key);
    }
    entries.set(key, entry);
  }
  return { entries: [...entries.values()], problems };
}

/** The entry, or a sentence. */
function parseEntry(words: readonly string[], line: number): MasterEntry | string {
  const fields = words.slice(0, FIELDS.length);
  if (fields.length < FIELDS.length) {
    return `there are ${fields.length} fields, but an entry has ${FIELDS.length}: ${FIELDS.join(', ')}`;
  }
  const [name = '', type = '', , , , wakeup = '', maxproc = '', command = ''] = fields;
  if (!TYPES.includes(type)) return `"${type}" is not a type of service: ${TYPES.join(', ')}`;
  for (const [index, flag] of fields.slice(2, 5).entries()) {
    if (!FLAG.test(flag)) return `"${flag}" in field ${FIELDS[index + 2]} is none of y, n and -`;
  }
  if (!WAKEUP.test(wakeup)) return `"${wakeup}" in field wakeup is neither a number of seconds nor -`;
  if (!MAXPROC.test(maxproc)) return `"${maxproc}" in field maxproc is neither a number of processes nor -`;

  const overrides: MasterOverride[] = [];
  const otherArguments: string[] = [];
  const shown: string[] = [];
  const rest = words.slice(FIELDS.length);
  for (let index = 0; index < rest.length; index += 1) {
    const word = rest[index] ?? '';
    // The arguments of other commands are their own.
    if (!word.startsWith('-o') || command === 'pipe' || command === 'spawn') {
      otherArguments.push(withoutBraces(word));
      shown.push(braced(withoutBraces(word)));
      continue;
    }
    const text = word === '-o' ? rest[++index] : word.slice(2);
    if (text === undefined) return 'nothing follows the last -o; write -o name=value';
    const override = parseAssignment(withoutBraces(text));
    if (override === undefined) return `"-o ${text}" has no "=" after a name; write -o name=value`;
    overrides.push(override);
    shown.push('-o', braced(`${override.name}=${override.value}`));
  }
  return {
    name,
    type,
    fields,
    command,
    maxproc: maxproc === '-' ? undefined : Number(maxproc),
    overrides,
    otherArguments,
    shown,
    line,
  };
}

function withoutBraces(word: string): string {
  return word.startsWith('{') && word.endsWith('}') ? word.slice(1, -1).trim() : word;
}

function braced(text: string): string {
  return /\s/.test(text) || text === '' ? `{${text}}` : text;
}

/** Undefined: a brace is missing. */
function splitBraced(text: string): readonly string[] | undefined {
  const words: string[] = [];
  let rest = text.trimStart();
  while (rest !== '') {
    const end = rest.startsWith('{') ? closingBrace(rest) + 1 : rest.search(/\s|$/);
    if (end === 0) return undefined;
    words.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return words;
}

/** Index of the brace that closes the first one; -1: none does. */
function closingBrace(text: string): number {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    if (text[index] === '{') depth += 1;
    else if (text[index] === '}') depth -= 1;
    if (depth === 0) return index;
  }
  return -1;
}

/** Where columns begin in the output of `postconf -M`; what is longer pushes the next one by a space. */
const COLUMNS = [0, 11, 17, 25, 33, 41, 49, 57] as const;

/** An entry in one line, its fields in columns, as `postconf -M` prints it. */
export function masterLine({ fields, shown }: MasterEntry): string {
  let line = '';
  for (const [index, field] of fields.entries()) {
    if (index > 0) line = `${line} `.padEnd(COLUMNS[index] ?? 0);
    line += field;
  }
  return [line, ...shown].join(' ');
}
