/**
 * From main.cf, environment and overrides to a checked Config, or to the list of everything that is wrong with them.
 *
 * Precedence: main.cf, then `MAILFLEET_<name>` in the environment, then `-o name=value`. Every parameter is expanded and
 * converted here, so that a program starts with a configuration that it can use in full or not at all.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type CheckedConfig, type Config, createConfig } from './config.ts';
import { foreignPart } from './foreign.ts';
import { checkTransports, readMaster } from './load-master.ts';
import { parseAssignment, parseMainCf } from './main-cf.ts';
import type { MasterEntry } from './master-cf.ts';
import { isParameterName, parameterOf, parameters, transportFormOf } from './parameter.ts';
import { unread } from './registry/unread.ts';
import { nearestName } from './suggestion.ts';
import { readSystem } from './system.ts';
import { namesReferredTo, usedNames } from './used-names.ts';

/** One thing to say about the configuration: `where` is `file:line`, the variable or the option; `message` a sentence. */
export interface Problem {
  readonly where: string;
  readonly message: string;
  readonly name?: string;
}

export type LoadResult =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export interface LoadOptions {
  /** Path of main.cf; without it there is none. */
  readonly file?: string;
  /** Path of master.cf; without it there are the transports that are always there. */
  readonly masterFile?: string;
  /** Text of master.cf in place of the file's. */
  readonly masterText?: string;
  /** `name=value` each, as with `-o`. */
  readonly overrides?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const ENVIRONMENT_PREFIX = 'MAILFLEET_';

interface Setting {
  readonly value: string;
  readonly where: string;
}

/** A checked configuration, or everything that is wrong with it. */
export function loadConfig(options: LoadOptions): LoadResult {
  const { config, errors, warnings } = readConfig(options);
  return errors.length > 0 ? { ok: false, problems: errors } : { ok: true, config, warnings };
}

/**
 * The configuration as far as it can be understood, beside what is wrong with it: for showing it. A program that delivers mail
 * uses loadConfig, since `get` of a parameter among the errors throws.
 */
export function readConfig(options: LoadOptions): {
  config: Config;
  errors: readonly Problem[];
  warnings: readonly Problem[];
  /** What stands in master.cf. */
  services: readonly MasterEntry[];
} {
  const settings = new Map<string, Setting>();
  const errors: Problem[] = [];
  const warnings: Problem[] = [];
  if (options.file !== undefined) {
    readFile(options.file, settings, errors, warnings);
    // The file cannot move itself.
    settings.set('config_directory', { value: dirname(resolve(options.file)), where: options.file });
  }
  const fromFile = [...settings.keys()];
  readEnvironment(options.env ?? {}, settings, errors);
  readOverrides(options.overrides ?? [], settings, errors);

  const { masterFile = 'master.cf', masterText } = options;
  const master = readMaster(masterFile, options.masterFile === undefined ? (masterText ?? '') : masterText);
  errors.push(...master.errors);
  warnings.push(...master.warnings);
  const values = new Map([...settings].map(([name, setting]) => [name, setting.value]));
  const config = createConfig(values, readSystem(options.env ?? {}), master.transports);
  const overrides = master.entries.flatMap((entry) => entry.overrides.map(({ value }) => value));
  const referenced = referencedNames([...[...settings.values()].map(({ value }) => value), ...overrides]);
  warnings.push(
    ...unknownNames(fromFile, settings, usedNames(config, master.entries)),
    ...withoutEffect(settings),
  );
  checkAll(config, settings, errors, warnings);
  const ofTransports = checkTransports(master, config, (name) => referenced.has(name));
  errors.push(...ofTransports.errors);
  warnings.push(...ofTransports.warnings);
  return { config, errors, warnings, services: master.entries };
}

/** Defaults, these values and the services of a master.cf, for tests and embedding. Throws a sentence that names everything wrong. */
export function makeConfig(values: Readonly<Record<string, string>> = {}, masterText?: string): Config {
  const loaded = loadConfig({
    overrides: Object.entries(values).map(([name, value]) => `${name}=${value}`),
    ...(masterText === undefined ? {} : { masterText }),
  });
  if (loaded.ok) return loaded.config;
  throw new Error(loaded.problems.map((problem) => `${problem.where}: ${problem.message}`).join('; '));
}

function readFile(
  file: string,
  settings: Map<string, Setting>,
  errors: Problem[],
  warnings: Problem[],
): void {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    errors.push({ where: file, message: `cannot read the configuration: ${reason}` });
    return;
  }
  for (const entry of parseMainCf(text)) {
    const where = `${file}:${entry.line}`;
    if (entry.kind !== 'set') {
      (entry.kind === 'error' ? errors : warnings).push({ where, message: entry.message });
    } else {
      const before = settings.get(entry.name);
      if (before !== undefined && before.value !== entry.value) {
        const message = `${entry.name} was set to another value at ${before.where}; this one counts`;
        warnings.push({ where, name: entry.name, message });
      }
      settings.set(entry.name, { value: entry.value, where });
    }
  }
}

function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  settings: Map<string, Setting>,
  errors: Problem[],
): void {
  for (const variable of Object.keys(env).sort()) {
    const value = env[variable];
    if (value === undefined || !variable.startsWith(ENVIRONMENT_PREFIX)) continue;
    const name = variable.slice(ENVIRONMENT_PREFIX.length);
    // No parameter is all capitals, but MAILFLEET_SERVICE_HOST is what Kubernetes sets beside a service named mailfleet.
    if (name === name.toUpperCase()) continue;
    if (usable(name, settings)) settings.set(name, { value: value.trim(), where: variable });
    else errors.push({ where: variable, name, message: unknown(name) });
  }
}

function readOverrides(
  overrides: readonly string[],
  settings: Map<string, Setting>,
  errors: Problem[],
): void {
  for (const text of overrides) {
    const assignment = parseAssignment(text);
    if (assignment === undefined) {
      errors.push({ where: `-o ${text}`, message: 'an override is written name=value' });
    } else if (usable(assignment.name, settings)) {
      settings.set(assignment.name, { value: assignment.value, where: `-o ${assignment.name}` });
    } else {
      errors.push({
        where: `-o ${assignment.name}`,
        name: assignment.name,
        message: unknown(assignment.name),
      });
    }
  }
}

/** Outside main.cf a name must mean something: nobody defines a name there for others to refer to. */
function usable(name: string, settings: ReadonlyMap<string, Setting>): boolean {
  return isParameterName(name) || transportFormOf(name) !== undefined || settings.has(name);
}

function unknown(name: string): string {
  const nearest = nearestName(name);
  return `there is no parameter ${name}${nearest === undefined ? '' : ` (did you mean ${nearest}?)`}`;
}

/** Names that mean nothing and that no value refers to. */
function unknownNames(
  names: readonly string[],
  settings: ReadonlyMap<string, Setting>,
  isUsed: (name: string) => boolean,
): Problem[] {
  return names.flatMap((name) => {
    const part = isParameterName(name) ? undefined : foreignPart(name);
    const where = settings.get(name)?.where ?? '';
    if (part !== undefined)
      return [{ where, name, message: `${name} has no effect here: it belongs to ${part}` }];
    if (isUsed(name)) return [];
    const what =
      transportFormOf(name) === undefined
        ? unknown(name)
        : `${name} is for a transport that master.cf does not have`;
    return [{ where, name, message: `${what}; nothing uses this value` }];
  });
}

/** What is set but changes nothing, so that nobody relies on it. */
function withoutEffect(settings: ReadonlyMap<string, Setting>): Problem[] {
  return [...settings].flatMap(([name, { where }]) => {
    const moot = parameters.find((parameter) => parameter.name === name)?.moot;
    if (moot !== undefined) return [{ where, name, message: `${name} has no effect here: ${moot}` }];
    if (unread.includes(name))
      return [{ where, name, message: `${name} has no effect yet: this part is still to come` }];
    return [];
  });
}

function checkAll(
  config: CheckedConfig,
  settings: ReadonlyMap<string, Setting>,
  errors: Problem[],
  warnings: Problem[],
): void {
  const reported = new Set<string>();
  const names = new Set<string>([...settings.keys(), ...parameters.map((parameter) => parameter.name)]);
  for (const name of names) {
    const { ok, message, warning } = config.check(name);
    const text = message ?? warning;
    if (text === undefined) continue;
    const setting = settings.get(name) ?? causeOf(name, config, settings);
    // A value that many defaults refer to is wrong once, at its own place.
    if (!settings.has(name) && reported.has(text)) continue;
    reported.add(text);
    const where = setting?.where ?? `default of ${name}`;
    (ok ? warnings : errors).push({ where, name, message: `${name}: ${text}` });
  }
}

/** A default goes wrong only through something set that it refers to, directly or not. */
function causeOf(
  name: string,
  config: CheckedConfig,
  settings: ReadonlyMap<string, Setting>,
): Setting | undefined {
  const seen = new Set([name]);
  for (const each of seen) {
    const setting = settings.get(each);
    if (setting !== undefined) return setting;
    const value = isParameterName(each) ? parameterOf(each).default : config.raw(each);
    for (const reference of namesReferredTo(value ?? '')) seen.add(reference);
  }
  return undefined;
}

function referencedNames(values: readonly string[]): Set<string> {
  return new Set(values.flatMap(namesReferredTo));
}
