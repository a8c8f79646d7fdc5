/**
 * Recipients of a message in Redis. Up to PAGE of them stand in its record; a longer list stands beside it in pages, so that no answer
 * of Redis, and nobody's memory, grows with its length. Marks of recipients (`x<i>`, `o<i>`) are the same for both.
 */
import type { MessageRecord, PagedRecord } from './message-record.ts';
import type { RoutedRecipient } from './ports.ts';
import type { Connection } from './redis/connection.ts';

/** A list of an ordinary message of many recipients is one page; it comes with the record and costs no read of its own. */
const PAGE = 500;
/** Pages of one look, so that who asks for much gets it in parts. */
const MOST_PAGES = 10;

/** Field of a page in the message's hash. */
const fieldOf = (page: number): string => `r${page}`;

/** A record as text, with the pages of a long list behind it: what scripts store. */
export function storedRecord(
  record: Omit<MessageRecord, 'recipients'>,
  recipients: readonly RoutedRecipient[],
): readonly [string, ...string[]] {
  if (recipients.length <= PAGE) return [JSON.stringify({ ...record, recipients })];
  const inOrder = recipients.toSorted((a, b) => a.index - b.index);
  const pages = Array.from({ length: Math.ceil(inOrder.length / PAGE) }, (_, page) =>
    inOrder.slice(page * PAGE, (page + 1) * PAGE),
  );
  const paged: PagedRecord['paged'] = {
    count: inOrder.length,
    size: PAGE,
    first: pages.map(([first]) => first?.index ?? 0),
  };
  return [JSON.stringify({ ...record, paged }), ...pages.map((page) => JSON.stringify(page))];
}

/** A recipient and its final state, if it has one. */
export interface RecipientState {
  readonly recipient: RoutedRecipient;
  readonly state: string | undefined;
}

/** Recipients in the order of their indexes. */
export interface Look {
  readonly seen: readonly RecipientState[];
  /** Recipients behind those seen. */
  readonly unread: number;
}

/** Reads some recipients behind the one with index `after`: the rest of its page, and more pages when `count` is larger. None: there are no more. */
export async function look(
  redis: Connection,
  message: string,
  record: MessageRecord,
  after: number,
  count: number,
): Promise<Look> {
  const [recipients, unread] = await behind(redis, message, record, after, count);
  if (recipients.length === 0) return { seen: [], unread };
  const states = await redis.hmget(message, ...recipients.map(({ index }) => `x${index}`));
  return { seen: recipients.map((recipient, i) => ({ recipient, state: states[i] ?? undefined })), unread };
}

async function behind(
  redis: Connection,
  message: string,
  record: MessageRecord,
  after: number,
  count: number,
): Promise<[recipients: readonly RoutedRecipient[], unread: number]> {
  if ('recipients' in record) {
    const rest = record.recipients.filter(({ index }) => index > after);
    return [rest.toSorted((a, b) => a.index - b.index), 0];
  }
  const { count: total, size, first } = record.paged;
  let from = Math.max(
    first.findLastIndex((index) => index <= after + 1),
    0,
  );
  for (;;) {
    const to = Math.min(from + Math.min(Math.ceil(count / size), MOST_PAGES), first.length);
    const fields = Array.from({ length: to - from }, (_, i) => fieldOf(from + i));
    const pages = await redis.hmget(message, ...fields);
    // Null: the message left meanwhile.
    if (pages.includes(null)) return [[], 0];
    const recipients = pages
      .flatMap((page) => JSON.parse(page ?? '[]') as RoutedRecipient[])
      .filter(({ index }) => index > after);
    if (recipients.length > 0 || to === first.length) return [recipients, Math.max(total - to * size, 0)];
    // `after` was the last of its page.
    from = to;
  }
}

/**
 * A page of open recipients, and how many stand in others: the first page with one that is `wanted`, or else the first with any.
 */
export async function firstOpen(
  redis: Connection,
  message: string,
  record: MessageRecord,
  wanted: (recipient: RoutedRecipient) => boolean,
): Promise<{ readonly open: readonly RoutedRecipient[]; readonly unlisted: number }> {
  let found: { readonly open: readonly RoutedRecipient[]; readonly unlisted: number } | undefined;
  for (let [after, before] = [-1, 0]; ; ) {
    const { seen, unread } = await look(redis, message, record, after, PAGE);
    const open = openOf(seen);
    const here = { open, unlisted: before + unread };
    if (open.some(wanted)) return here;
    if (open.length > 0) found ??= here;
    const last = seen.at(-1);
    if (last === undefined) return found ?? here;
    after = last.recipient.index;
    before += open.length;
  }
}

function openOf(seen: readonly RecipientState[]): readonly RoutedRecipient[] {
  return seen.filter(({ state }) => state === undefined).map(({ recipient }) => recipient);
}
