/** Which of the names that a main.cf sets mean something: the others are probably misspelt. */
import type { Config } from './config.ts';
import { foreignPart } from './foreign.ts';
import type { MasterEntry } from './master-cf.ts';
import { findParameter, transportFormOf } from './parameter.ts';
import { builtInTransports } from './transports.ts';

/**
 * Whether a name is shown: a parameter's, also of a part that is not here, one of a transport that exists, or one of the user's own
 * that something refers to: a value, a list of restriction classes, or a table whose settings stand in main.cf.
 */
export function usedNames(config: Config, services: readonly MasterEntry[]): (name: string) => boolean {
  const used = usesOf(config, services);
  return (name) => {
    if (findParameter(name) !== undefined || foreignPart(name) !== undefined || used.words.has(name))
      return true;
    if (used.tables.some((table) => name.startsWith(`${table}_`))) return true;
    return (
      transportFormOf(name) !== undefined && used.transports.some((service) => name.startsWith(`${service}_`))
    );
  };
}

interface Uses {
  readonly words: ReadonlySet<string>;
  /** Names of tables, as in `ldap:name`, whose file is main.cf itself. */
  readonly tables: readonly string[];
  readonly transports: readonly string[];
}

function usesOf(config: Config, services: readonly MasterEntry[]): Uses {
  const values = [
    ...config.setNames().map((name) => config.raw(name) ?? ''),
    ...services.flatMap(({ overrides }) => overrides.map(({ value }) => value)),
  ];
  const words = new Set(values.flatMap(namesReferredTo));
  for (const word of (config.raw('smtpd_restriction_classes') ?? '').split(/[\s,]+/)) words.add(word);
  const tables = values.flatMap((value) =>
    [...value.matchAll(/\b(?:ldap|mysql|pgsql|sqlite|memcache):([A-Za-z][\w-]*)/g)].map(
      (match) => match[1] ?? '',
    ),
  );
  const transports = [...builtInTransports.keys(), ...services.map(({ name }) => name)];
  return { words, tables, transports };
}

/** Names that a value refers to, without expanding it. */
export function namesReferredTo(value: string): string[] {
  return [...value.matchAll(/\$[{(]*\s*([A-Za-z0-9_]+)/g)].map((match) => match[1] ?? '');
}
