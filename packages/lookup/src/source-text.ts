/**
 * The text that postmap(1) reads: logical lines of a key and a value. The first word is the key; blanks inside double quotes or
 * after a backslash do not end it, and both stay in the key.
 */
import { logicalLines } from '@mailfleet/config';

export interface SourceEntry {
  readonly key: string;
  readonly value: string;
  readonly line: number;
}

export function parseSource(path: string, text: string, warn: (sentence: string) => void): SourceEntry[] {
  const { lines, orphans } = logicalLines(text);
  for (const line of orphans)
    warn(`${path}:${line}: this line begins with white space but continues nothing; it is ignored`);
  return lines.flatMap(({ text: logical, line }) => {
    const key = /^(?:\\.|"(?:\\.|[^"\\])*"|[^\s\\"]|["\\])+/s.exec(logical)?.[0] ?? '';
    const value = logical.slice(key.length).trim();
    if (value === '') {
      warn(`${path}:${line}: the key "${key}" has no value; the line is ignored`);
      return [];
    }
    if (key.endsWith(':')) warn(`${path}:${line}: the key "${key}" ends in ":"; is this an alias file?`);
    return [{ key, value, line }];
  });
}
