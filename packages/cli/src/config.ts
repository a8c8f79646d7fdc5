/**
 * `mailfleet config`: shows the configuration as postconf(1) does, with its options -n, -d, -x and -M; --json is its -j.
 * Problems go to standard error and make the exit code EX_CONFIG, but what can be understood is shown all the same; an
 * unknown name only draws a warning.
 */
import { makeConfig, masterLine, readConfig, showParameters } from '@mailfleet/config';
import { Command } from 'commander';
import { type CommonOptions, EX_CONFIG, fail, sourcesOrExit, withCommonOptions } from './options.ts';

interface ConfigOptions extends CommonOptions {
  readonly n?: boolean;
  readonly d?: boolean;
  readonly x?: boolean;
  /** Option -M. */
  readonly M?: boolean;
  readonly json?: boolean;
}

export function configCommand(): Command {
  return withCommonOptions(new Command('config'))
    .description('show parameters and their values, as postconf does')
    .argument('[names...]', 'only these parameters, in this order')
    .option('-n', 'only what main.cf, the environment or -o sets')
    .option('-d', 'the defaults, whatever is set')
    .option('-x', 'follow references to other parameters')
    .option('-M', 'the services of master.cf, or those that are named')
    .option('--json', 'one JSON object per line')
    .action((names: string[], options: ConfigOptions) => {
      if (options.n === true && options.d === true) fail(EX_CONFIG, 'config takes -n or -d, not both');
      const { config, errors, warnings, services } = readConfig(sourcesOrExit(options));
      const named = services.filter(({ name }) => names.length === 0 || names.includes(name));
      const shown =
        options.M === true
          ? { lines: named.map(masterLine), warnings: [] }
          : showParameters(config, makeConfig(), {
              select: options.n === true ? 'set' : options.d === true ? 'defaults' : 'all',
              expand: options.x === true,
              json: options.json === true,
              services,
              ...(names.length > 0 ? { names } : {}),
            });
      const complaints = [
        ...errors.map(({ where, message }) => `error: ${where}: ${message}`),
        ...warnings.map(({ where, message }) => `warning: ${where}: ${message}`),
        ...shown.warnings.map((message) => `warning: ${message}`),
      ];
      for (const complaint of complaints) process.stderr.write(`mailfleet config: ${complaint}\n`);
      if (shown.lines.length > 0) process.stdout.write(`${shown.lines.join('\n')}\n`);
      if (errors.length > 0) process.exitCode = EX_CONFIG;
    });
}
