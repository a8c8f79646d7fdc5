/**
 * `mailfleet tlsrpt`: TLS reports that are being collected (RFC 8460): a list, the report of one domain and day as it would go out now, and
 * sending it before its time.
 */
import { reportFacts } from '@mailfleet/bounce';
import { BUCKETS, openReportStore } from '@mailfleet/scache';
import { buildReport, dayOf } from '@mailfleet/tls';
import { Command } from 'commander';
import { type CommonOptions, EX_USAGE, fail, withCommonOptions } from './options.ts';
import { withQueue } from './with-queue.ts';

const PAGE = 500;

interface TlsrptOptions extends CommonOptions {
  readonly day?: string;
  readonly send?: boolean;
}

export function tlsrptCommand(): Command {
  return withCommonOptions(new Command('tlsrpt'))
    .description('list the TLS reports that are being collected, or show or send the one of a domain')
    .argument('[domain]', 'show its report as JSON')
    .option('--day <yyyy-mm-dd>', 'UTC day of the report; default: today')
    .option('--send', 'have the bounce daemon send it within a minute, instead of after the day')
    .action((domain: string | undefined, options: TlsrptOptions) =>
      withQueue(options, async (queue, config) => {
        const store = openReportStore(queue);
        if (domain === undefined) {
          if (options.send === true) fail(EX_USAGE, '--send wants a domain');
          for (let bucket = 0; bucket < BUCKETS; bucket++) {
            for (let from = 0; ; from += PAGE) {
              const page = await store.page(bucket, from, PAGE);
              if (page.length === 0) break;
              for (const { subject, dueMs } of page) {
                process.stdout.write(`${subject.day} ${new Date(dueMs).toISOString()} ${subject.domain}\n`);
              }
            }
          }
          return;
        }
        const subject = { day: options.day ?? dayOf(Date.now()), domain: domain.toLowerCase() };
        if (options.send === true) {
          const found = await store.hurry(subject);
          process.stdout.write(
            found ? 'It will be sent within a minute\n' : 'There is no such report, or it is due already\n',
          );
          return;
        }
        const report = buildReport(reportFacts(config, subject), await store.read(subject));
        process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
      }),
    );
}
