/**
 * `mailfleet queue`: what postqueue(1) and the common half of postsuper(1) do. Listings are read page by page and
 * written as they come, so that a long queue costs neither Redis nor this process more than one page. The layout is
 * that of postqueue with long queue ids, byte for byte: programs read it.
 */
import type { OperatorPort, QueueListing } from '@mailfleet/queue';
import { Command } from 'commander';
import { type CommonOptions, EX_UNAVAILABLE, EX_USAGE, fail, withCommonOptions } from './options.ts';
import { withQueue } from './with-queue.ts';

const PAGE = 500;

const COMMANDS = ['print', 'json', 'flush', 'flushId', 'hold', 'release', 'delete'] as const;

interface QueueOptions extends CommonOptions {
  readonly print?: boolean;
  readonly json?: boolean;
  readonly flush?: boolean;
  readonly flushId?: string;
  readonly hold?: string;
  readonly release?: string;
  readonly delete?: string;
}

export function queueCommand(): Command {
  return withCommonOptions(new Command('queue'))
    .description('list the queue as postqueue(1) does, flush it, or hold, release and delete a message')
    .option('-p, --print', 'list for people, like mailq (default)')
    .option('-j, --json', 'one JSON object per message and line, with the fields of postqueue -j')
    .option('-f, --flush', 'try to deliver all deferred mail now')
    .option('-i, --flush-id <queue-id>', 'try to deliver this deferred message now')
    .option('--hold <queue-id>', 'keep this message from delivery')
    .option('--release <queue-id>', 'release this message from hold')
    .option('--delete <queue-id>', 'delete this message; nobody is told')
    .action(async (options: QueueOptions) => {
      const asked = COMMANDS.filter((command) => options[command] !== undefined);
      if (asked.length > 1)
        fail(EX_USAGE, 'queue takes one of -p, -j, -f, -i, --hold, --release and --delete');
      await withQueue(options, (queue) => run(queue, options));
    });
}

async function run(queue: OperatorPort, options: QueueOptions): Promise<void> {
  if (options.flush === true) return queue.flush();
  if (options.flushId !== undefined) return flushOne(queue, options.flushId);
  if (options.hold !== undefined) return did(await queue.hold(options.hold), options.hold);
  if (options.release !== undefined) return did(await queue.release(options.release), options.release);
  if (options.delete !== undefined) return did(await queue.remove(options.delete), options.delete);
  await list(queue, options.json === true ? jsonLine : printed, options.json === true);
}

async function flushOne(queue: OperatorPort, queueId: string): Promise<void> {
  const view = await queue.find(queueId);
  did(view?.listing?.queue === 'deferred', queueId);
  await queue.flush(queueId);
}

function did(found: boolean, queueId: string): void {
  if (!found)
    fail(EX_UNAVAILABLE, `no message ${queueId} in a queue where this can be done; see mailfleet queue -p`);
}

async function list(
  queue: OperatorPort,
  format: (message: QueueListing) => string,
  json: boolean,
): Promise<void> {
  // Whoever reads us, `head` for one, may have seen enough.
  process.stdout.on('error', () => process.exit(0));
  let cursor: string | undefined;
  let requests = 0;
  let bytes = 0;
  do {
    const page = await queue.list({ limit: PAGE, ...(cursor === undefined ? {} : { cursor }) });
    if (requests === 0 && page.messages.length > 0 && !json) {
      process.stdout.write('----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n');
    }
    for (const message of page.messages) {
      requests += 1;
      bytes += message.envelope.sizeBytes;
      process.stdout.write(`${format(message)}\n`);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  if (!json) {
    process.stdout.write(
      requests === 0
        ? 'Mail queue is empty\n'
        : `-- ${Math.floor(bytes / 1024)} Kbytes in ${requests} Request${requests === 1 ? '' : 's'}.\n`,
    );
  }
}

const MARKS: Readonly<Record<string, string>> = { active: '*', hold: '!' };

/** One message as mailq shows it: recipients stand under the reason they wait for. */
export function printed(message: QueueListing): string {
  const { envelope } = message;
  const id = `${envelope.queueId}${MARKS[message.queue] ?? ' '}`;
  const arrival = stamp(new Date(envelope.arrivalMs));
  const sender = envelope.sender === '' ? 'MAILER-DAEMON' : envelope.sender;
  const lines = [`${id.padEnd(17)} ${String(envelope.sizeBytes).padStart(8)} ${arrival} ${sender}`];
  let reason: string | undefined;
  for (const recipient of [...message.recipients].sort((a, b) => compare(a.delayReason, b.delayReason))) {
    if (recipient.delayReason !== undefined && recipient.delayReason !== reason) {
      reason = recipient.delayReason;
      lines.push(`(${reason})`.padStart(78));
    }
    lines.push(`${' '.repeat(47)}${recipient.address}`);
  }
  if (message.unlisted !== undefined) lines.push(`${' '.repeat(47)}(and ${message.unlisted} more)`);
  return `${lines.join('\n')}\n`;
}

const compare = (a = '', b = ''): number => (a < b ? -1 : a > b ? 1 : 0);

/** `Mon Nov 23 22:28:35`, local time as in mailq. */
function stamp(date: Date): string {
  const [day = '', month = '', dayOfMonth = ''] = date.toDateString().split(' ');
  return `${day} ${month} ${String(Number(dayOfMonth)).padStart(2)} ${date.toTimeString().slice(0, 8)}`;
}

/** The fields of postqueue -j. */
export function jsonLine(message: QueueListing): string {
  const { envelope } = message;
  return JSON.stringify({
    queue_name: message.queue,
    queue_id: envelope.queueId,
    arrival_time: Math.floor(envelope.arrivalMs / 1000),
    message_size: envelope.sizeBytes,
    forced_expire: message.forcedExpire,
    sender: envelope.sender === '' ? 'MAILER-DAEMON' : envelope.sender,
    recipients: message.recipients.map(({ address, delayReason }) => ({
      address,
      ...(delayReason === undefined ? {} : { delay_reason: delayReason }),
    })),
    // Ours: postqueue lists them all, however many there are.
    ...(message.unlisted === undefined ? {} : { recipients_not_listed: message.unlisted }),
  });
}
