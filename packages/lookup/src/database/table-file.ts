/**
 * The configuration file of a table (`pgsql:/etc/postfix/virtual.cf`): `name = value` in the syntax of main.cf, but without
 * references: a `$` is a dollar. What is wrong with it is a sentence with its path and never shows a value, since passwords stand
 * beside the rest.
 */
import { readFileSync } from 'node:fs';
import { parseMainCf, parseTime, splitList } from '@mailfleet/config';
import type { MatchList } from '../match-items.ts';
import { type BareTable, failedTable, lookupError, type Table } from '../table.ts';
import { watchFile } from '../watched-file.ts';

/** Thrown while a table is made from its file; the message is a sentence without a value that may be secret. */
export class TableFileError extends Error {
  readonly code = 'TABLE_FILE';
}

export class TableSettings {
  readonly path: string;
  readonly #values: ReadonlyMap<string, string>;
  readonly #asked = new Set<string>();

  constructor(path: string, text: string) {
    this.path = path;
    const values = new Map<string, string>();
    for (const line of parseMainCf(text)) {
      if (line.kind === 'set') values.set(line.name, line.value);
      // The text of the line may be a password that a line break tore off.
      else if (line.kind === 'error') throw new TableFileError(`${path}:${line.line} is not name = value`);
    }
    this.#values = values;
  }

  /** The value, or the default where it is not set. */
  text(name: string, otherwise = ''): string {
    this.#asked.add(name);
    return this.#values.get(name) ?? otherwise;
  }

  required(name: string): string {
    const value = this.text(name);
    if (value === '') throw new TableFileError(`${this.path} needs "${name}"`);
    return value;
  }

  words(name: string, otherwise = ''): readonly string[] {
    const words = splitList(this.text(name, otherwise));
    if (words === undefined) throw new TableFileError(`${this.path}: the braces of "${name}" do not balance`);
    return words;
  }

  number(name: string, otherwise: number, least = 0): number {
    const text = this.text(name, String(otherwise));
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
    throw new TableFileError(`${this.path}: "${name}" is not a whole number of ${least} or more`);
  }

  /** In ms; without a letter the number counts seconds. */
  time(name: string, otherwise: string): number {
    try {
      return parseTime(this.text(name, otherwise));
    } catch {
      throw new TableFileError(`${this.path}: "${name}" is not a time such as 10 or 10s`);
    }
  }

  yes(name: string, otherwise: boolean): boolean {
    const text = this.text(name, otherwise ? 'yes' : 'no').toLowerCase();
    if (['yes', 'true', 'on', '1'].includes(text)) return true;
    if (['no', 'false', 'off', '0'].includes(text)) return false;
    throw new TableFileError(`${this.path}: "${name}" is neither yes nor no`);
  }

  /** Names that were set and that nobody asked for. */
  unknown(): readonly string[] {
    return [...this.#values.keys()].filter((name) => !this.#asked.has(name));
  }
}

/** What a table takes from its surroundings, with what only open.ts can give. */
export interface TableContext {
  readonly now: () => number;
  readonly random: () => number;
  readonly warn: (sentence: string) => void;
  /** Another table, such as the backup of a cache. */
  readonly open: (spec: string) => Table;
  readonly matchDomains: (patterns: readonly string[]) => MatchList;
}

export type MakeTable = (settings: TableSettings, context: TableContext) => BareTable;

/** Tables that are open in this process: the same file means the same connections, whoever opens it. */
const open = new Map<string, { readonly text: string; readonly table: BareTable }>();

/**
 * A table that a file describes. The file is read now, since it says what keys the table takes, and again when it changes; while
 * it is wrong or cannot be read, every lookup is an error. The connections of the former table end when they are idle.
 */
export function openFileTable(type: string, path: string, make: MakeTable, context: TableContext): BareTable {
  const { warn, now } = context;
  if (!path.startsWith('/')) {
    return failedTable(`${type}:${path} does not name a file; write the absolute path of its configuration`);
  }
  const build = (text: string): BareTable => {
    const key = `${type}:${path}`;
    const kept = open.get(key);
    if (kept?.text === text) return kept.table;
    let table: BareTable;
    try {
      const settings = new TableSettings(path, text);
      table = make(settings, context);
      for (const name of settings.unknown()) warn(`${path}: "${name}" is not a parameter of a ${type} table`);
    } catch (error) {
      if (!(error instanceof TableFileError)) throw error;
      return failedTable(error.message);
    }
    open.set(key, { text, table });
    return table;
  };
  let current = failedTable(`cannot read ${path}`);
  try {
    current = build(readFileSync(path, 'utf8'));
  } catch {
    // The first lookup says why.
  }
  const file = watchFile<BareTable>(path, now, (text) => ({ ok: true, value: build(text) }));
  return {
    get keys() {
      return current.keys;
    },
    get fold() {
      return current.fold;
    },
    find: async (key) => {
      const content = await file.read();
      if (!content.ok) return lookupError(content.reason);
      current = content.value;
      return current.find(key);
    },
  };
}
