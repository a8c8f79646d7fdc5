/**
 * Listings of `mailfleet queue`, read page by page and written as they come, so that a long queue costs neither Redis nor this
 * process more than one page. The layout is that of postqueue with long queue ids, byte for byte: programs read it.
 */
import type { MessageSelector, OperatorPort, QueueListing, QueueName } from '@mailfleet/queue';

/** Messages looked at in one call. */
export const PAGE = 500;

export interface Selection {
  readonly queues?: readonly QueueName[];
  readonly where: MessageSelector;
}

export async function list(queue: OperatorPort, selection: Selection, json: boolean): Promise<void> {
  const format = json ? jsonLine : printed;
  let cursor: string | undefined;
  let requests = 0;
  let bytes = 0;
  do {
    const page = await queue.list({ ...selection, limit: PAGE, ...(cursor === undefined ? {} : { cursor }) });
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

/** Postfix lists no corrupt queue; `?` is ours. */
const MARKS: Readonly<Record<string, string>> = { active: '*', hold: '!', corrupt: '?' };

/** One message as mailq shows it: recipients stand under the reason they wait for. */
export function printed(message: QueueListing): string {
  const { envelope } = message;
  const marks = `${MARKS[message.queue] ?? ''}${message.forcedExpire ? '#' : ''}`;
  const id = `${envelope.queueId}${marks || ' '}`;
  const arrival = stamp(new Date(envelope.arrivalMs));
  const sender = envelope.sender === '' ? 'MAILER-DAEMON' : envelope.sender;
  const { corruption } = message;
  const lines = [`${id.padEnd(17)} ${String(envelope.sizeBytes).padStart(8)} ${arrival} ${sender}`];
  if (corruption !== undefined) lines.push(`(${corruption})`.padStart(78));
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
    ...(message.corruption === undefined ? {} : { corruption: message.corruption }),
    sender: envelope.sender === '' ? 'MAILER-DAEMON' : envelope.sender,
    recipients: message.recipients.map(({ address, delayReason, delayClass }) => ({
      address,
      ...(delayReason === undefined ? {} : { delay_reason: delayReason }),
      ...(delayClass === undefined ? {} : { delay_class: delayClass }),
    })),
    // Ours: postqueue lists them all, however many there are.
    ...(message.unlisted === undefined ? {} : { recipients_not_listed: message.unlisted }),
  });
}
