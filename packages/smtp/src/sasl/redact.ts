/** Keeps secrets out of what is said: some servers repeat a command that they do not like, and a broken table is told with its entry. */

/**
 * A sentence about a table of passwords, without what the table holds: keys and values stand between quotes, or in the name of the table
 * itself.
 */
export const withoutEntries = (sentence: string): string =>
  sentence
    .replace(/\{.*\}/s, '{…}')
    .replace(/".*"/s, '"…"')
    .replace(/(?<![\w./-])(inline|static|fail):[^/{\s]\S*/g, '$1:…');

/** Shorter ones stand in any text by chance. */
const SHORTEST = 4;

export const redact = (text: string, secrets: readonly string[]): string =>
  secrets
    .filter((secret) => secret.length >= SHORTEST)
    .toSorted((one, other) => other.length - one.length)
    .reduce((clean, secret) => clean.replaceAll(secret, '***'), text);
