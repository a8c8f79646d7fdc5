/**
 * The options that every command understands, and how a configuration becomes a Config or a list of sentences.
 * `-c` names the folder of main.cf and master.cf as in postconf(1), `-o name=value` overrides one parameter and may be repeated.
 * Without `-c` it is MAIL_CONFIG, or /etc/mailfleet if there is a main.cf in it.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, type LoadOptions, loadConfig, makeConfig, parseTime } from '@mailfleet/config';
import { type Command, InvalidArgumentError } from 'commander';

export interface CommonOptions {
  /** Folder of main.cf. */
  readonly config?: string;
  readonly override: readonly string[];
}

/** sysexits(3) codes that the commands end with. */
export const EX_USAGE = 64;
export const EX_UNAVAILABLE = 69;
export const EX_SOFTWARE = 70;
export const EX_CONFIG = 78;

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export function withCommonOptions(command: Command): Command {
  return command
    .option('-c, --config <directory>', 'folder that holds main.cf, and master.cf if there is one')
    .option('-o, --override <name=value>', 'override a parameter (repeatable)', collect, []);
}

/** The same options as arguments, for a child process. */
export function commonArguments(options: CommonOptions): string[] {
  return [
    ...(options.config === undefined ? [] : ['-c', options.config]),
    ...options.override.flatMap((override) => ['-o', override]),
  ];
}

/** What loadConfig reads for these options. A folder that was named must have a main.cf: otherwise ends with EX_CONFIG. */
export function sourcesOrExit(
  options: CommonOptions,
  defaultDirectory: string = makeConfig().get('config_directory'),
): LoadOptions {
  const named = options.config ?? (process.env.MAIL_CONFIG || undefined);
  const file = join(named ?? defaultDirectory, 'main.cf');
  const there = existsSync(file);
  if (named !== undefined && !there) {
    fail(EX_CONFIG, `there is no ${file}; name the folder of main.cf with -c or MAIL_CONFIG`);
  }
  const masterFile = join(named ?? defaultDirectory, 'master.cf');
  return {
    ...(there ? { file } : {}),
    ...(existsSync(masterFile) ? { masterFile } : {}),
    overrides: options.override,
    env: process.env,
  };
}

/** Loads the configuration; on problems prints all of them, by file and line, and ends the process with EX_CONFIG. */
export function configOrExit(options: CommonOptions): Config {
  const loaded = loadConfig(sourcesOrExit(options));
  // A child of `mailfleet up` has the configuration of its parent, which has told the warnings.
  const problems = loaded.ok ? (process.send === undefined ? loaded.warnings : []) : loaded.problems;
  for (const problem of problems) {
    process.stderr.write(`mailfleet: ${loaded.ok ? 'warning: ' : ''}${problem.where}: ${problem.message}\n`);
  }
  if (!loaded.ok) process.exit(EX_CONFIG);
  return loaded.config;
}

/** Reads the time (ms) of an option; `unit` is for one without a letter. */
export function timeIn(unit: 's' | 'm'): (text: string) => number {
  return (text) => {
    try {
      return parseTime(text, unit);
    } catch (error) {
      throw new InvalidArgumentError(sentenceOf(error));
    }
  };
}

/** Ends the process with a sentence. */
export function fail(code: number, sentence: string): never {
  process.stderr.write(`mailfleet: ${sentence}\n`);
  process.exit(code);
}

export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
