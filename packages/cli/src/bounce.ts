/**
 * `mailfleet bounce`: the daemon, and what people want of notices without one: `template` shows the texts that it would use, as
 * postconf -b does, in the form of `bounce_template_file`; `parse` reads a report that came back from elsewhere.
 */
import { createReadStream } from 'node:fs';
import { openTemplates, parseReport, REPORT_BYTES, showTemplates } from '@mailfleet/bounce';
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
  return daemonCommand('bounce').addCommand(templateCommand()).addCommand(parseCommand());
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

function parseCommand(): Command {
  return withCommonOptions(new Command('parse'))
    .description('read a returned delivery status notification or a complaint (ARF) and show it as JSON')
    .argument('[file]', 'the message; default: the standard input')
    .action(async (file?: string) => {
      const chunks: Buffer[] = [];
      let length = 0;
      try {
        for await (const chunk of file === undefined ? process.stdin : createReadStream(file)) {
          chunks.push(chunk as Buffer);
          length += (chunk as Buffer).length;
          if (length >= REPORT_BYTES) break;
        }
      } catch (error) {
        fail(EX_NOINPUT, `the message cannot be read: ${sentenceOf(error)}`);
      }
      const report = parseReport(Buffer.concat(chunks));
      if (report.kind === 'unknown') fail(EX_DATAERR, report.reason);
      process.stdout.write(`${JSON.stringify(report)}\n`);
    });
}

/** sysexits(3) */
const EX_DATAERR = 65;
const EX_NOINPUT = 66;
