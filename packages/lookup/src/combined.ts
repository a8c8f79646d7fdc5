/** Tables made of tables: pipemap, unionmap and randmap. */
import { bracedWords } from './spec.ts';
import {
  type BareTable,
  failedTable,
  found,
  type LookupResult,
  lookupError,
  MISS,
  type Table,
} from './table.ts';

/** The result of one table is the key of the next; a miss anywhere is a miss. */
export function openPipemap(name: string, open: (spec: string) => Table): BareTable {
  return openCombined('pipemap', name, open, async (tables, key) => {
    let result: LookupResult = found(key);
    for (const table of tables) {
      if (result.kind !== 'found') return result;
      result = await table.lookup(result.value);
    }
    return result;
  });
}

/** All results, joined with commas; an error in any table fails the lookup. */
export function openUnionmap(name: string, open: (spec: string) => Table): BareTable {
  return openCombined('unionmap', name, open, async (tables, key) => {
    const values: string[] = [];
    for (const table of tables) {
      const result = await table.lookup(key);
      if (result.kind === 'error') return result;
      if (result.kind === 'found') values.push(result.value);
    }
    return values.length === 0 ? MISS : found(values.join(','));
  });
}

/** One of the words at random, whatever the key; a word may stand several times. */
export function openRandmap(name: string, random: () => number): BareTable {
  const words = bracedWords(name);
  if (words === undefined || words.length === 0)
    return failedTable(`randmap:${name} needs words between braces`);
  return { keys: 'pattern', find: () => found(words[Math.floor(random() * words.length)] ?? '') };
}

function openCombined(
  type: string,
  name: string,
  open: (spec: string) => Table,
  find: (tables: readonly Table[], key: string) => Promise<LookupResult>,
): BareTable {
  const specs = bracedWords(name);
  if (specs === undefined || specs.length === 0) {
    return failedTable(`${type}:${name} needs tables between braces, as in ${type}:{type:name, type:name}`);
  }
  const tables = specs.map(open);
  return {
    // Partial keys follow the first member.
    get keys() {
      return tables[0]?.keys ?? 'pattern';
    },
    find: (key) => find(tables, key).catch((error: unknown) => lookupError(String(error))),
  };
}
