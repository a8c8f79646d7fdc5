/**
 * Requeue, as postsuper -r: what is still open of a message becomes new mail, under a new queue id, with routes by today's tables and
 * an age that starts anew; the time of arrival stays. No script reaches over shards, so the order keeps mail safe: the old message
 * goes on hold, the new one is accepted, the old one is removed. A crash in between leaves both, the old one on hold, and the
 * repeat finds the new one by the id that it claimed.
 */
import { readContent, spool } from './content.ts';
import type { QueueContext } from './context.ts';
import { type MessageRecord, parseRecord } from './message-record.ts';
import type { MessageCommands } from './operator-commands.ts';
import type { NewRoute, OperatorCommand } from './operator-ports.ts';
import type { Content, IntakePort, RoutedRecipient } from './ports.ts';
import { look } from './recipients.ts';

type Route = Extract<OperatorCommand, { kind: 'requeue' }>['route'];

/** Longer than an operator takes to repeat what a crash left undone. */
const REMEMBER_MS = 86_400_000;

/** @returns the new queue id, or why it cannot be done now; undefined: there is no such message */
export async function requeue(
  context: QueueContext,
  commands: MessageCommands,
  intake: Pick<IntakePort, 'newQueueId' | 'accept' | 'claimIdempotencyKey' | 'dropContent'>,
  queueId: string,
  route: Route,
): Promise<{ readonly queueId: string } | { readonly reason: string } | undefined> {
  const before = await partsOf(context, queueId);
  const [first] = before;
  if (first === undefined) return undefined;
  const busy = before.map(({ state }) => state).find((state) => state !== 'waiting');
  if (busy !== undefined) return { reason: REASONS[busy] };
  const { envelope, home } = first.record;
  const routes = new Map<number, NewRoute>();
  for (const { index, address } of await openRecipients(context, before)) {
    const found = await route(address, envelope.sender);
    if ('problem' in found) return { reason: `<${address}>: ${found.problem}` };
    routes.set(index, found);
  }
  if (routes.size === 0) return { reason: 'none of its recipients is open' };
  const content = await copyOf(context, home, queueId);
  if (content === undefined) return { reason: 'its content cannot be read here; see content_directory' };

  await commands.hold(queueId);
  const held = await partsOf(context, queueId);
  if (held.some(({ onHold }) => !onHold)) {
    await intake.dropContent(content);
    return { reason: 'its delivery began meanwhile; it goes on hold after that, requeue it then' };
  }
  const recipients: RoutedRecipient[] = [];
  for (const recipient of await openRecipients(context, held)) {
    const found = routes.get(recipient.index);
    if (found === undefined || 'problem' in found) continue;
    const moved = found.address === recipient.address ? {} : { originalAddress: recipient.address };
    recipients.push({ ...moved, ...recipient, ...found, index: recipients.length });
  }
  if (recipients.length === 0) return { reason: 'none of its recipients is open' };
  // No client can send a key with a NUL.
  const claimed = await intake.claimIdempotencyKey(`\0requeue ${queueId}`, intake.newQueueId(), REMEMBER_MS);
  await intake.accept({
    envelope: { ...envelope, queueId: claimed, createdMs: context.now() },
    recipients,
    content,
    rememberMs: REMEMBER_MS,
  });
  await commands.remove(queueId, { step: 'requeued', detail: `as ${claimed}` });
  return { queueId: claimed };
}

const REASONS = {
  active: 'it is in the active queue; hold it, and requeue it when it is on hold',
  copying: 'it is still being copied to its shards; try again in a minute',
} as const;

interface Part {
  /** Key of its hash. */
  readonly key: string;
  readonly record: MessageRecord;
  readonly state: 'waiting' | keyof typeof REASONS;
  readonly onHold: boolean;
}

async function partsOf({ redis, shards }: QueueContext, queueId: string): Promise<Part[]> {
  const parts = await Promise.all(
    shards.map(async (keys): Promise<Part | undefined> => {
      const key = keys.message(queueId);
      const [text, active, hold, copying] = await Promise.all([
        redis.hget(key, 'e'),
        redis.zscore(keys.active, queueId),
        redis.zscore(keys.hold, queueId),
        redis.exists(keys.copies(queueId)),
      ]);
      if (text === null) return undefined;
      const state = active !== null ? 'active' : copying > 0 ? 'copying' : 'waiting';
      return { key, record: parseRecord(text), state, onHold: hold !== null };
    }),
  );
  return parts.filter((part) => part !== undefined);
}

const LOOK = 5_000;

/** Those without a final outcome, and those whose bounce nobody was told of: they bounce again and are reported then. */
async function openRecipients({ redis }: QueueContext, parts: readonly Part[]): Promise<RoutedRecipient[]> {
  const open: RoutedRecipient[] = [];
  for (const { key, record } of parts) {
    for (let after: number | undefined = -1; after !== undefined; ) {
      const { seen, unread } = await look(redis, key, record, after, LOOK);
      for (const { recipient, state } of seen) {
        if (state === undefined || state === 'b') open.push(recipient);
      }
      after = unread > 0 ? seen.at(-1)?.recipient.index : undefined;
    }
  }
  return open.sort((a, b) => a.index - b.index);
}

/** A copy, since the content of the old message goes with it. */
async function copyOf(context: QueueContext, home: number, queueId: string): Promise<Content | undefined> {
  const content = await readContent(context, home, queueId);
  if (content === undefined || content === 'file-missing') return undefined;
  if (Buffer.isBuffer(content)) return { kind: 'inline', bytes: content };
  return spool(context, content, context.config.get('content_inline_limit'));
}
