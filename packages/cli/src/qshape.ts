/** `mailfleet qshape`: the queue by domain and age, with the options of qshape(1). Reads it page by page. */
import type { OperatorPort, QueueListing, QueueName } from '@mailfleet/queue';
import { Argument, Command, InvalidArgumentError } from 'commander';
import { type CommonOptions, withCommonOptions } from './options.ts';
import { Shape } from './qshape-table.ts';
import { PAGE } from './queue-listing.ts';
import { withQueue } from './with-queue.ts';

interface QshapeOptions extends CommonOptions {
  readonly senders?: boolean;
  readonly parents?: boolean;
  readonly minSubdomains: number;
  readonly buckets: number;
  readonly bucketTime: number;
  readonly linear?: boolean;
  readonly width: number;
  readonly top?: number;
  readonly json?: boolean;
}

const QUEUES: readonly QueueName[] = ['incoming', 'active', 'deferred', 'hold'];

export function qshapeCommand(): Command {
  return withCommonOptions(new Command('qshape'))
    .description('count the recipients in the queue by domain and age, as qshape(1) does')
    .addArgument(
      new Argument('[queue...]', 'queues to count').choices([...QUEUES]).default(['incoming', 'active']),
    )
    .option('-s, --senders', 'sender domains; each message counts once')
    .option('-p, --parents', 'a row for parent domains too, with a leading dot')
    .option('-m, --min-subdomains <count>', 'subdomains that a parent domain needs for a row', whole, 5)
    .option('-b, --buckets <count>', 'age groups', whole, 10)
    .option('-t, --bucket-time <minutes>', 'limit of the first age group', whole, 5)
    .option('-l, --linear', 'age groups of equal width, not each as wide as all before it')
    .option('-w, --width <columns>', 'columns of the screen', whole, 80)
    .option('-n, --top <count>', 'show this many domains', whole)
    .option('--json', 'one JSON object: limits of the age groups in minutes, and rows')
    .action(async (queues: readonly QueueName[], options: QshapeOptions) => {
      await withQueue(options, async (queue) => {
        const shape = await shapeOf(queue, queues, options);
        process.stdout.write(options.json === true ? `${jsonOf(shape)}\n` : shape.text());
      });
    });
}

function whole(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('A whole number from 1 is wanted.');
  return Number(text);
}

async function shapeOf(
  queue: OperatorPort,
  queues: readonly QueueName[],
  { senders, parents, minSubdomains, buckets, bucketTime, linear, width, top }: QshapeOptions,
): Promise<Shape> {
  const nowMs = Date.now();
  const shape = new Shape({
    buckets,
    bucketMinutes: bucketTime,
    linear: linear === true,
    width: Math.max(width, 80),
    ...(parents === true ? { minSubdomains } : {}),
    ...(top === undefined ? {} : { top }),
  });
  let cursor: string | undefined;
  do {
    const page = await queue.list({
      queues,
      limit: PAGE,
      once: senders === true,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const message of page.messages) {
      const ageMs = nowMs - message.envelope.arrivalMs;
      for (const address of addressesOf(message, senders === true)) shape.add(address, ageMs);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  return shape;
}

function addressesOf({ envelope, recipients }: QueueListing, senders: boolean): readonly string[] {
  return senders ? [envelope.sender] : recipients.map(({ address }) => address);
}

function jsonOf(shape: Shape): string {
  const limits = shape.heads().slice(1, -1).map(Number);
  const rows = shape.rows().map(({ domain, counts: [total, ...byAge] }) => ({ domain, total, byAge }));
  return JSON.stringify({
    bucket_limits: limits,
    rows: rows.map(({ byAge, ...row }) => ({ ...row, by_age: byAge })),
  });
}
