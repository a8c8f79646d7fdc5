/**
 * The options that every command understands, and how a configuration becomes a Config or a list of sentences.
 * `-c` names the folder of main.cf as in postconf(1), `-o name=value` overrides one parameter and may be repeated.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, loadConfig } from '@mailfleet/config';
import type { Command } from 'commander';

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
    .option('-c, --config <directory>', 'folder that holds main.cf')
    .option('-o, --override <name=value>', 'override a parameter (repeatable)', collect, []);
}

/** The same options as arguments, for a child process. */
export function commonArguments(options: CommonOptions): string[] {
  return [
    ...(options.config === undefined ? [] : ['-c', options.config]),
    ...options.override.flatMap((override) => ['-o', override]),
  ];
}

/** Loads the configuration; on problems prints all of them, by file and line, and ends the process with EX_CONFIG. */
export function configOrExit(options: CommonOptions): Config {
  const directory = options.config ?? (process.env.MAIL_CONFIG || undefined);
  const file = directory === undefined ? undefined : join(directory, 'main.cf');
  if (file !== undefined && !existsSync(file)) {
    fail(EX_CONFIG, `there is no ${file}; name the folder of main.cf with -c or MAIL_CONFIG`);
  }
  const loaded = loadConfig({
    ...(file === undefined ? {} : { file }),
    overrides: options.override,
    env: process.env,
  });
  const problems = loaded.ok ? loaded.warnings : loaded.problems;
  for (const problem of problems) {
    process.stderr.write(`mailfleet: ${loaded.ok ? 'warning: ' : ''}${problem.where}: ${problem.message}\n`);
  }
  if (!loaded.ok) process.exit(EX_CONFIG);
  return loaded.config;
}

/** Ends the process with a sentence. */
export function fail(code: number, sentence: string): never {
  process.stderr.write(`mailfleet: ${sentence}\n`);
  process.exit(code);
}

export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
