/** `mailfleet webhook`: how far behind webhook_url is, and what it never took. */
import { Command } from 'commander';
import { type CommonOptions, withCommonOptions } from './options.ts';
import { withQueue } from './with-queue.ts';

export function webhookCommand(): Command {
  return withCommonOptions(new Command('webhook'))
    .description(
      'show what waits for webhook_url: events in no batch yet, batches that wait, are retried, were given up',
    )
    .option('-j, --json', 'as one JSON object')
    .action((options: CommonOptions & { readonly json?: boolean }) =>
      withQueue(options, async (queue) => {
        const state = await queue.webhookState();
        const { uncut, uncutSinceMs, waiting, retried, dead } = state;
        const lag =
          uncutSinceMs === undefined ? '' : `, the first since ${new Date(uncutSinceMs).toISOString()}`;
        const text = `${uncut} results in no batch yet${lag}; batches: ${waiting} waiting, ${retried} to be retried, ${dead} given up`;
        process.stdout.write(`${options.json === true ? JSON.stringify(state) : text}\n`);
      }),
    );
}
