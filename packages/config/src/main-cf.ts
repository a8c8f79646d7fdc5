/**
 * The syntax of main.cf: physical lines become logical lines, and logical lines become `name = value`.
 *
 * A line that begins with white space continues the logical line before it; comments and blank lines are dropped and do not
 * end a logical line. The same rules hold for the source files of lookup tables, which is why `logicalLines` is exported.
 * Facts: postconf(5), "general file format".
 */

export interface LogicalLine {
  /** Joined text: the line breaks are gone, the leading white space of continuations stays. */
  readonly text: string;
  /** Of the first physical line, from 1. */
  readonly line: number;
}

/** One `name = value`, or what is wrong with a line. */
export type MainCfLine =
  | { readonly kind: 'set'; readonly name: string; readonly value: string; readonly line: number }
  | { readonly kind: 'error' | 'warning'; readonly message: string; readonly line: number };

/** `orphans`: lines that continue nothing, to be ignored with a warning. */
export function logicalLines(text: string): { lines: LogicalLine[]; orphans: number[] } {
  const lines: { text: string; line: number }[] = [];
  const orphans: number[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const physical = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (/^\s*(#|$)/.test(physical)) continue;
    if (/^\s/.test(physical)) {
      const last = lines.at(-1);
      if (last === undefined) orphans.push(index + 1);
      else last.text += physical;
    } else {
      lines.push({ text: physical, line: index + 1 });
    }
  }
  return { lines, orphans };
}

export function parseMainCf(text: string): MainCfLine[] {
  const result: MainCfLine[] = [];
  const { lines, orphans } = logicalLines(text);
  for (const line of orphans) {
    result.push({
      kind: 'warning',
      line,
      message: 'this line begins with white space but continues nothing; it is ignored',
    });
  }
  for (const { text: logical, line } of lines) {
    if (logical.includes('\0')) {
      result.push({ kind: 'error', line, message: 'there is a NUL byte in this line; remove it' });
      continue;
    }
    const assignment = parseAssignment(logical);
    result.push(
      assignment === undefined
        ? {
            kind: 'error',
            line,
            message: `"${logical.slice(0, 60)}" has no "=" after a name; write name = value`,
          }
        : { kind: 'set', line, ...assignment },
    );
  }
  return result.sort((a, b) => a.line - b.line);
}

/** `name = value` as in main.cf and `-o`; undefined without a name or `=`. */
export function parseAssignment(text: string): { name: string; value: string } | undefined {
  const match = /^\s*([^\s=]+)\s*=(.*)$/s.exec(text);
  if (match === null) return undefined;
  return { name: match[1] ?? '', value: (match[2] ?? '').trim() };
}
