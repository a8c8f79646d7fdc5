/**
 * Tables of fixed strings from text: texthash, the indexed types, and inline.
 *
 * hash, btree, lmdb and cdb files are read from the text that postmap(1) would have made them from, so no postmap run is needed
 * and a change shows at once; cdb and lmdb files themselves where there is no text. As there, their keys are always lower-cased and of duplicate keys the first counts;
 * texthash refuses the whole file.
 */

import type { ReadCompiled } from './compiled-tables.ts';
import { parseSource } from './source-text.ts';
import { bracedText, bracedWords } from './spec.ts';
import { type BareTable, failedTable, foldKey, found, lookupError, MISS } from './table.ts';
import { type FileContent, watchFirst } from './watched-file.ts';

export interface TextTableOptions {
  readonly path: string;
  readonly fold: boolean;
  readonly duplicates: 'first counts' | 'refuse';
  /** The file that postmap makes of the text, which counts where there is no text. */
  readonly compiled?: { readonly suffix: string; readonly read?: ReadCompiled };
  readonly warn: (sentence: string) => void;
  readonly now: () => number;
}

export function openTextTable({ path, fold, duplicates, compiled, warn, now }: TextTableOptions): BareTable {
  const parse = (bytes: Buffer): FileContent<ReadonlyMap<string, string>> => {
    const text = bytes.toString();
    const entries = new Map<string, string>();
    for (const { key, value, line } of parseSource(path, text, warn)) {
      const folded = fold ? foldKey(key) : key;
      if (!entries.has(folded)) entries.set(folded, value);
      else if (duplicates === 'first counts')
        warn(`${path}:${line}: the key "${key}" is there already; the first counts`);
      else
        return {
          ok: false,
          reason: `${path}:${line}: the key "${key}" is there twice; a texthash file must not repeat one`,
        };
    }
    return { ok: true, value: entries };
  };
  const candidates = [{ path, parse }];
  if (compiled !== undefined) {
    const { suffix, read } = compiled;
    candidates.push({
      path: `${path}${suffix}`,
      parse: (bytes) =>
        read === undefined
          ? {
              ok: false,
              reason: `${path} is missing, and ${path}${suffix} cannot be read; keep the text that postmap made it from`,
            }
          : { ok: true, value: read(bytes) },
    });
  }
  const file = watchFirst(candidates, now);
  return {
    keys: 'fixed',
    find: async (key) => {
      const content = await file.read();
      if (!content.ok) return lookupError(content.reason);
      const value = content.value.get(key);
      return value === undefined ? MISS : found(value);
    },
  };
}

/** `inline:{k=v, { k = v w }}`; of equal keys the last counts. */
export function openInlineTable(name: string, fold: boolean): BareTable {
  const pairs = bracedWords(name);
  if (pairs === undefined || pairs.length === 0) {
    return failedTable(`inline:${name} needs at least one pair, as in inline:{key=value}`);
  }
  const entries = new Map<string, string>();
  for (const pair of pairs) {
    const text = bracedText(pair) ?? pair;
    const equals = text.indexOf('=');
    const key = text.slice(0, Math.max(equals, 0)).trim();
    if (key === '') return failedTable(`inline:${name}: "${text}" is not key=value`);
    entries.set(fold ? foldKey(key) : key, text.slice(equals + 1).trim());
  }
  return {
    keys: 'fixed',
    find: (key) => {
      const value = entries.get(key);
      return value === undefined ? MISS : found(value);
    },
  };
}
