/**
 * A sentence about a table of passwords, without what the table holds: keys and values stand between quotes, or in the name of the table
 * itself.
 */
export const withoutEntries = (sentence: string): string =>
  sentence
    .replace(/\{.*\}/s, '{…}')
    .replace(/".*"/s, '"…"')
    .replace(/(?<![\w./-])(inline|static|fail):[^/{\s]\S*/g, '$1:…');
