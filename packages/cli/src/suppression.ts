/** `mailfleet suppression`: who is on the suppression list, and an operator's hand on it. Pages are written as they come. */
import type { Suppression } from '@mailfleet/queue';
import { Command } from 'commander';
import { type CommonOptions, EX_UNAVAILABLE, EX_USAGE, fail, timeIn, withCommonOptions } from './options.ts';
import { withQueue } from './with-queue.ts';

const PAGE = 500;
const ADDRESS = ['<address>', 'a recipient: user@example.org'] as const;

export function suppressionCommand(): Command {
  const command = new Command('suppression').description(
    'list, add and remove recipients that get no mail (suppression_list_enable)',
  );
  command.addCommand(
    withCommonOptions(new Command('list'))
      .description('list the addresses, who leaves first at the top of each shard')
      .option('-j, --json', 'one JSON object per line')
      .action((options: CommonOptions & { readonly json?: boolean }) =>
        withQueue(options, async (queue) => {
          process.stdout.on('error', () => process.exit(0));
          let cursor: string | undefined;
          do {
            const page = await queue.suppressionsPage(cursor, PAGE);
            for (const entry of page.entries) {
              process.stdout.write(
                `${options.json === true ? JSON.stringify(entry) : suppressionLine(entry)}\n`,
              );
            }
            cursor = page.cursor;
          } while (cursor !== undefined);
        }),
      ),
    { isDefault: true },
  );
  command.addCommand(
    withCommonOptions(new Command('add'))
      .description('put an address on the list')
      .argument(...ADDRESS)
      .option('--for <time>', 'for how long, such as 30d; default: until it is removed', timeIn('s'))
      .option('--reason <text>', 'why', 'added by an operator')
      .action(
        (address: string, options: CommonOptions & { readonly for?: number; readonly reason: string }) =>
          withQueue(options, async (queue) => {
            if (!/^[^\s@]+.*@[^\s@]+$/.test(address))
              fail(EX_USAGE, `${address} is no address: user@example.org`);
            const sinceMs = Date.now();
            const { reason, for: forMs } = options;
            const until = forMs === undefined ? {} : { untilMs: sinceMs + forMs };
            await queue.suppress([{ address, class: 'policy', reason, sinceMs, ...until }]);
          }),
      ),
  );
  command.addCommand(
    withCommonOptions(new Command('remove'))
      .description('take an address off the list')
      .argument(...ADDRESS)
      .action((address: string, options: CommonOptions) =>
        withQueue(options, async (queue) => {
          if (!(await queue.unsuppress(address))) fail(EX_UNAVAILABLE, `${address} is not on the list`);
        }),
      ),
  );
  return command;
}

export function suppressionLine({ address, class: why, reason, sinceMs, untilMs }: Suppression): string {
  const until = untilMs === undefined ? 'for ever' : `until ${new Date(untilMs).toISOString()}`;
  return `${address} ${why} since ${new Date(sinceMs).toISOString()} ${until} (${reason})`;
}
