/**
 * `mailfleet queue`: what postqueue(1) and postsuper(1) do. Commands take queue ids, ALL, `-` for ids on standard input, or a
 * selector; they walk the queue page by page and name what they did as they go.
 */
import { createInterface } from 'node:readline';
import type { Config } from '@mailfleet/config';
import type { NewRoute, OperatorCommand, OperatorPort, OperatorResult } from '@mailfleet/queue';
import { createRouter } from '@mailfleet/routing';
import { Command } from 'commander';
import { type CommonOptions, EX_UNAVAILABLE, EX_USAGE, fail, withCommonOptions } from './options.ts';
import { list, PAGE, type Selection } from './queue-listing.ts';
import { isSelective, type SelectOptions, selectionOf, withSelectOptions } from './queue-selection.ts';
import { withQueue } from './with-queue.ts';

/** Queue ids, or true when a selector names the messages. */
type Named = readonly string[] | true;

interface QueueOptions extends CommonOptions, SelectOptions {
  readonly print?: boolean;
  readonly json?: boolean;
  readonly flush?: boolean;
  readonly flushId?: readonly string[];
  readonly flushSite?: string;
  readonly hold?: Named;
  readonly release?: Named;
  readonly requeue?: Named;
  readonly delete?: Named;
  readonly expire?: Named;
  readonly expireRelease?: Named;
  readonly dryRun?: boolean;
}

/** Options of which one may be given, as they are written. */
const ASKED = {
  print: '-p',
  json: '-j',
  flush: '-f',
  flushId: '-i',
  flushSite: '-s',
  hold: '--hold',
  release: '--release',
  requeue: '--requeue',
  delete: '--delete',
  expire: '--expire',
  expireRelease: '--expire-release',
} as const;

const SIMPLE = ['hold', 'release', 'delete', 'expire'] as const;

/** What was done, and what would be. */
const VERBS: Readonly<Record<OperatorCommand['kind'], readonly [done: string, todo: string]>> = {
  flush: ['Flushed', 'flush'],
  hold: ['Held', 'hold'],
  release: ['Released', 'release'],
  delete: ['Deleted', 'delete'],
  requeue: ['Requeued', 'requeue'],
  expire: ['Expired', 'expire'],
  'expire-and-release': ['Expired and released', 'expire and release'],
};

export function queueCommand(): Command {
  const command = withCommonOptions(new Command('queue'))
    .description(
      'list the queue as postqueue(1) does, or do to its messages what postqueue(1) and postsuper(1) do',
    )
    .option('-p, --print', 'list for people, like mailq (default)')
    .option('-j, --json', 'one JSON object per message and line, with the fields of postqueue -j')
    .option('-f, --flush', 'try to deliver all deferred mail now, or what a selector names')
    .option('-i, --flush-id <queue-id...>', 'try to deliver these deferred messages now')
    .option('-s, --flush-site <site>', 'try to deliver the deferred mail for this domain or nexthop now')
    .option('--hold [queue-id...]', 'keep messages from delivery')
    .option('--release [queue-id...]', 'release messages from hold, due when they were due before')
    .option('--requeue [queue-id...]', 'make them new mail: routed anew, with a new queue id and age')
    .option('--delete [queue-id...]', 'delete messages; nobody is told')
    .option('--expire [queue-id...]', 'return messages to their senders; held ones after their release')
    .option('--expire-release [queue-id...]', 'the same, and release them from hold')
    .option('--dry-run', 'say what a command would do to which messages, and do nothing');
  return withSelectOptions(command)
    .addHelpText(
      'after',
      '\nIn place of queue ids: ALL, or - for ids on standard input, or a selector (--sender to --queue).',
    )
    .action(async (options: QueueOptions) => {
      const asked = Object.entries(ASKED).filter(
        ([name]) => options[name as keyof typeof ASKED] !== undefined,
      );
      if (asked.length > 1) {
        fail(EX_USAGE, `queue takes one of ${Object.values(ASKED).join(', ')}`);
      }
      // Whoever reads us, `head` for one, may have seen enough.
      process.stdout.on('error', () => process.exit(0));
      const selection = selectionOf(options, Date.now());
      const looks = options.dryRun === true || asked.every(([name]) => name === 'print' || name === 'json');
      await withQueue(
        options,
        (queue, config) => run(queue, config, options, selection),
        looks ? undefined : 'postsuper',
      );
    });
}

async function run(
  queue: OperatorPort,
  config: Config,
  options: QueueOptions,
  selection: Selection,
): Promise<void> {
  const { dryRun = false } = options;
  if (options.flush === true && !isSelective(options) && !dryRun) return queue.flushAll();
  if (options.flushSite !== undefined) {
    if (isSelective(options)) fail(EX_USAGE, '-s names the messages; it takes no selector');
    return flushSite(queue, options.flushSite, dryRun);
  }
  const command = commandOf(config, options);
  if (command === undefined) {
    if (dryRun) fail(EX_USAGE, '--dry-run goes with a command, such as --delete');
    return list(queue, selection, options.json === true);
  }
  const [kind, named] = command;
  if (named !== true && named[0] !== 'ALL') {
    if (isSelective(options)) fail(EX_USAGE, 'name messages by queue id or by selector, not by both');
    return onIds(queue, kind, named, dryRun);
  }
  if (named === true && !isSelective(options) && options.flush !== true) {
    fail(EX_USAGE, 'say which messages: queue ids, ALL, - or a selector such as --sender');
  }
  const walk = (cursor: object): ReturnType<OperatorPort['commandWhere']> =>
    queue.commandWhere(kind, { ...selection, ...cursor, limit: PAGE, dryRun });
  return pages(kind.kind, dryRun, walk);
}

/** The command that is asked for, and for which messages. */
function commandOf(config: Config, options: QueueOptions): [OperatorCommand, Named] | undefined {
  if (options.flush === true) return [{ kind: 'flush' }, true];
  if (options.flushId !== undefined) return [{ kind: 'flush' }, options.flushId];
  for (const kind of SIMPLE) {
    const named = options[kind];
    if (named !== undefined) return [{ kind }, named];
  }
  if (options.expireRelease !== undefined) return [{ kind: 'expire-and-release' }, options.expireRelease];
  if (options.requeue !== undefined) return [{ kind: 'requeue', route: routeBy(config) }, options.requeue];
  return undefined;
}

/** Routes by the tables of this process' configuration, as intake does. */
function routeBy(config: Config): (address: string, sender: string) => Promise<NewRoute> {
  const router = createRouter(config, {
    warn: (sentence) => process.stderr.write(`mailfleet: warning: ${sentence}\n`),
  });
  return async (address, sender) => {
    const route = await router.route(address, sender);
    if (route.kind === 'error') return { problem: route.reason };
    return { address: route.address, transport: route.transport, nexthop: route.nexthop };
  };
}

async function flushSite(queue: OperatorPort, site: string, dryRun: boolean): Promise<void> {
  await pages('flush', dryRun, (cursor) =>
    dryRun
      ? queue.commandWhere({ kind: 'flush' }, { where: { site }, ...cursor, limit: PAGE, dryRun })
      : queue.flushSite(site, { ...cursor, limit: PAGE }),
  );
}

async function pages(
  kind: OperatorCommand['kind'],
  dryRun: boolean,
  page: (cursor: { readonly cursor?: string }) => Promise<OperatorResult & { readonly cursor?: string }>,
): Promise<void> {
  let touched = 0;
  let cursor: string | undefined;
  do {
    const result = await page(cursor === undefined ? {} : { cursor });
    touched += result.touched.length;
    tell(result);
    cursor = result.cursor;
  } while (cursor !== undefined);
  summarize(kind, dryRun, touched);
}

async function onIds(
  queue: OperatorPort,
  command: OperatorCommand,
  named: readonly string[],
  dryRun: boolean,
): Promise<void> {
  let touched = 0;
  let missing = 0;
  for await (const ids of chunksOf(named)) {
    const result = await queue.command(command, ids, { dryRun });
    const known = new Set([...result.touched, ...result.refused].map(({ queueId }) => queueId));
    touched += result.touched.length;
    tell(result);
    for (const queueId of ids) {
      if (known.has(queueId)) continue;
      missing += 1;
      process.stderr.write(
        `mailfleet: no message ${queueId} in a queue where this can be done; see mailfleet queue -p\n`,
      );
    }
  }
  if (touched > 0 || missing === 0) summarize(command.kind, dryRun, touched);
  if (missing > 0) process.exitCode = EX_UNAVAILABLE;
}

/** The ids in pages; `-` stands for standard input, an id to a line. */
async function* chunksOf(named: readonly string[]): AsyncGenerator<readonly string[]> {
  const source = named[0] === '-' ? createInterface({ input: process.stdin }) : named;
  let chunk: string[] = [];
  for await (const line of source) {
    const queueId = line.trim();
    if (queueId !== '') chunk.push(queueId);
    if (chunk.length < PAGE) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

function tell({ touched, refused }: OperatorResult): void {
  for (const { queueId, queue } of touched) process.stdout.write(`${queueId} ${queue}\n`);
  for (const { queueId, reason } of refused) {
    process.stderr.write(`mailfleet: ${queueId}: ${reason}\n`);
    process.exitCode = EX_UNAVAILABLE;
  }
}

function summarize(kind: OperatorCommand['kind'], dryRun: boolean, count: number): void {
  const [done, todo] = VERBS[kind];
  const verb = dryRun ? `Would ${todo}` : done;
  process.stdout.write(`-- ${verb} ${count} message${count === 1 ? '' : 's'}.\n`);
}
