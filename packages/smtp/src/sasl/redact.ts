/** Keeps secrets out of what is said: some servers repeat a command that they do not like. */

/** Shorter ones stand in any text by chance. */
const SHORTEST = 4;

export const redact = (text: string, secrets: readonly string[]): string =>
  secrets
    .filter((secret) => secret.length >= SHORTEST)
    .toSorted((one, other) => other.length - one.length)
    .reduce((clean, secret) => clean.replaceAll(secret, '***'), text);
