/**
 * `mailfleet destination`: an operator's hand on a destination for a time. Pauses it, resumes it, and changes its limits;
 * what was set ends by itself. Lists are read page by page and written as they come.
 */
import type { ControlKind, DestinationControl, DestinationPort } from '@mailfleet/queue';
import { Command, InvalidArgumentError } from 'commander';
import { parseDestination } from './destination-name.ts';
import { type CommonOptions, EX_UNAVAILABLE, EX_USAGE, fail, timeIn, withCommonOptions } from './options.ts';
import { withQueue } from './with-queue.ts';

const PAGE = 500;
const FOR = ['--for <time>', 'for how long, such as 30m, 2h or 1d', timeIn('s')] as const;
const REASON = ['--reason <text>', 'why; shown with the mail that waits'] as const;
const NAME = ['<destination>', 'transport:nexthop, or a nexthop of default_transport'] as const;

interface ForATime extends CommonOptions {
  readonly for: number;
  readonly reason: string;
}

interface LimitOptions extends CommonOptions {
  readonly for?: number;
  readonly reason?: string;
  readonly concurrency?: number;
  readonly rateDelay?: number;
  readonly lift?: boolean;
}

export function destinationCommand(): Command {
  const command = new Command('destination').description(
    'pause and resume a destination, or change its limits, for a time',
  );
  command.addCommand(
    withCommonOptions(new Command('list'))
      .description('list what is set, what ends first at the top of each shard')
      .option('-j, --json', 'one JSON object per line')
      .action((options: CommonOptions & { readonly json?: boolean }) =>
        withQueue(options, (queue) => list(queue, options.json === true)),
      ),
    { isDefault: true },
  );
  command.addCommand(
    withCommonOptions(new Command('pause'))
      .description('keep mail for a destination in the queue; that is no failed attempt')
      .argument(...NAME)
      .requiredOption(...FOR)
      .requiredOption(...REASON)
      .action((text: string, options: ForATime) => set(text, options, [['pause', 0]])),
  );
  command.addCommand(
    withCommonOptions(new Command('resume'))
      .description('end a pause now')
      .argument(...NAME)
      .action((text: string, options: CommonOptions) => lift(text, options, ['pause'])),
  );
  command.addCommand(
    withCommonOptions(new Command('limit'))
      .description('change the concurrency limit or the rate delay of a destination')
      .argument(...NAME)
      .option('--concurrency <batches>', 'most batches under way at once', aCount)
      .option('--rate-delay <time>', 'pause after each delivery; 0s for none', timeIn('s'))
      .option(...FOR)
      .option(...REASON)
      .option('--lift', 'end what was set before')
      .action(limit),
  );
  return command;
}

async function limit(text: string, options: LimitOptions): Promise<void> {
  const { concurrency, rateDelay, reason, for: forMs } = options;
  const wanted: [ControlKind, number][] = [];
  if (concurrency !== undefined) wanted.push(['concurrency-limit', concurrency]);
  if (rateDelay !== undefined) wanted.push(['rate-delay', rateDelay]);
  if (options.lift === true) {
    if (wanted.length > 0) fail(EX_USAGE, '--lift ends all limits of the destination; it takes no new ones');
    return lift(text, options, ['concurrency-limit', 'rate-delay']);
  }
  if (wanted.length === 0 || forMs === undefined || reason === undefined) {
    fail(
      EX_USAGE,
      'destination limit takes --concurrency or --rate-delay with --for and --reason, or --lift',
    );
  }
  await set(text, { ...options, for: forMs, reason }, wanted);
}

async function set(
  text: string,
  options: ForATime,
  wanted: readonly (readonly [ControlKind, number])[],
): Promise<void> {
  await withQueue(options, async (queue, config) => {
    const name = parseDestination(text, config);
    const sinceMs = Date.now();
    for (const [kind, value] of wanted) {
      const control = {
        ...name,
        kind,
        value,
        sinceMs,
        untilMs: sinceMs + options.for,
        reason: options.reason,
      };
      await queue.setControl(control);
      process.stdout.write(`${controlLine(control)}\n`);
    }
  });
}

async function lift(text: string, options: CommonOptions, kinds: readonly ControlKind[]): Promise<void> {
  await withQueue(options, async (queue, config) => {
    const name = parseDestination(text, config);
    const lifted = await Promise.all(kinds.map((kind) => queue.liftControl(name, kind)));
    if (!lifted.includes(true)) {
      fail(
        EX_UNAVAILABLE,
        `nothing to end at ${name.transport}:${name.nexthop}; see mailfleet destination list`,
      );
    }
  });
}

async function list(queue: DestinationPort, json: boolean): Promise<void> {
  // Whoever reads us may have seen enough.
  process.stdout.on('error', () => process.exit(0));
  let cursor: string | undefined;
  do {
    const page = await queue.listControls({ limit: PAGE, ...(cursor === undefined ? {} : { cursor }) });
    for (const control of page.controls) {
      process.stdout.write(`${json ? JSON.stringify(control) : controlLine(control)}\n`);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
}

/** One line for people. */
export function controlLine({
  kind,
  value,
  transport,
  nexthop,
  untilMs,
  reason,
}: DestinationControl): string {
  const what = {
    pause: 'paused',
    'concurrency-limit': `concurrency limit ${value}`,
    'rate-delay': `rate delay ${value / 1000}s`,
  }[kind];
  return `${transport}:${nexthop} ${what} until ${new Date(untilMs).toISOString()}: ${reason}`;
}

function aCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new InvalidArgumentError('write a whole number from 1; to stop delivery, pause the destination');
  }
  return count;
}
