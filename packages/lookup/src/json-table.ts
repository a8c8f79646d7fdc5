/** json tables, ours: a file with one JSON object whose members are the entries. A list of texts counts as its members joined with commas. */
import { type BareTable, foldKey, found, lookupError, MISS } from './table.ts';
import { type FileContent, watchFile } from './watched-file.ts';

export function openJsonTable(path: string, fold: boolean, now: () => number): BareTable {
  const file = watchFile(path, now, (text) => parseEntries(path, text, fold));
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

function parseEntries(path: string, text: string, fold: boolean): FileContent<ReadonlyMap<string, string>> {
  let object: unknown;
  try {
    object = JSON.parse(text);
  } catch {
    // The parser's message may quote what stands there.
    return { ok: false, reason: `${path} is not JSON` };
  }
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    return { ok: false, reason: `${path} is not one JSON object` };
  }
  const entries = new Map<string, string>();
  for (const [key, value] of Object.entries(object)) {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (!values.every((one) => ['string', 'number', 'boolean'].includes(typeof one))) {
      return { ok: false, reason: `${path}: the value of "${key}" is neither a text nor a list of texts` };
    }
    const folded = fold ? foldKey(key) : key;
    if (entries.has(folded)) return { ok: false, reason: `${path}: the key "${key}" is there twice` };
    entries.set(folded, values.join(','));
  }
  return { ok: true, value: entries };
}
