/**
 * `mailfleet postmap -q`: asks tables, as postmap(1) does, so that an operator sees what a delivery would. The exit code is 0 when
 * something was found, 1 when nothing was, and EX_UNAVAILABLE when a table is out of order, which would defer mail.
 */
import { createInterface } from 'node:readline';
import { loadConfig } from '@mailfleet/config';
import { openMaps, type Table, tableOptions } from '@mailfleet/lookup';
import { Command } from 'commander';
import {
  type CommonOptions,
  EX_CONFIG,
  EX_UNAVAILABLE,
  EX_USAGE,
  fail,
  sourcesOrExit,
  withCommonOptions,
} from './options.ts';

interface PostmapOptions extends CommonOptions {
  readonly query?: string;
  /** False: -f. */
  readonly fold: boolean;
}

const EXIT_MISS = 1;

export function postmapCommand(): Command {
  return withCommonOptions(new Command('postmap'))
    .description('ask tables: the value of the first that has the key')
    .argument('<tables...>', 'type:name each, asked in this order')
    .option('-q, --query <key>', 'the key; - reads keys from standard input, one a line')
    .option('-f, --no-fold', 'do not change capitals of the key')
    .action(async (specs: string[], options: PostmapOptions) => {
      const { query, fold } = options;
      if (query === undefined) {
        fail(
          EX_USAGE,
          'postmap asks tables, with -q; there is nothing to build, since tables are read from their text',
        );
      }
      const loaded = loadConfig(sourcesOrExit(options));
      if (!loaded.ok) {
        const [first] = loaded.problems;
        fail(EX_CONFIG, `${first?.where}: ${first?.message}; see mailfleet config`);
      }
      const warn = (sentence: string): void =>
        void process.stderr.write(`mailfleet postmap: warning: ${sentence}\n`);
      const table = openMaps(specs, { ...tableOptions(loaded.config), fold, warn });
      const asked = query === '-' ? await askAll(table) : await ask(table, query);
      // Connections that wait for a next lookup would keep the process for a minute.
      process.exit(asked);
    });
}

/** Prints the value, and what goes with it. Resolves with the exit code. */
async function ask(table: Table, key: string, prefix = ''): Promise<number> {
  const result = await table.lookup(key);
  if (result.kind === 'error') {
    process.stderr.write(`mailfleet postmap: ${result.reason}\n`);
    return EX_UNAVAILABLE;
  }
  if (result.kind === 'miss') return EXIT_MISS;
  await new Promise((resolve) => process.stdout.write(`${prefix}${result.value}\n`, resolve));
  return 0;
}

/** `key<TAB>value` for each that is found, up to an error. */
async function askAll(table: Table): Promise<number> {
  let code = EXIT_MISS;
  for await (const key of createInterface({ input: process.stdin })) {
    const asked = await ask(table, key, `${key}\t`);
    if (asked === EX_UNAVAILABLE) return asked;
    if (asked === 0) code = 0;
  }
  return code;
}
