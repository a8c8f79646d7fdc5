/**
 * `mailfleet bounce`: the daemon, and what people want of notices without one: `template` shows the texts that it would use, as
 * postconf -b does, in the form of `bounce_template_file`.
 */
import { openTemplates, showTemplates } from '@mailfleet/bounce';
import { Command } from 'commander';
import {
  type CommonOptions,
  configOrExit,
  EX_CONFIG,
  fail,
  sentenceOf,
  withCommonOptions,
} from './options.ts';
import { daemonCommand } from './services.ts';

export function bounceCommand(): Command {
  return daemonCommand('bounce').addCommand(templateCommand());
}

function templateCommand(): Command {
  return withCommonOptions(new Command('template'))
    .description('show the texts that notices begin with, $names expanded')
    .action((options: CommonOptions) => {
      const config = configOrExit(options);
      const warn = (sentence: string): void => void process.stderr.write(`mailfleet: warning: ${sentence}\n`);
      try {
        process.stdout.write(showTemplates(openTemplates(config, warn)));
      } catch (error) {
        fail(EX_CONFIG, sentenceOf(error));
      }
    });
}
