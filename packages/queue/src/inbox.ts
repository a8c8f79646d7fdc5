/** The leader's inbox: reading it, and the words of its entries. A blocking read has a connection of its own. */
import type { HopStatus, OutcomeKind } from '@mailfleet/smtp';
import { keysOfShard, type QueueContext } from './context.ts';
import { parseChange, parseSubject } from './destination-words.ts';
import { pairs } from './message-record.ts';
import type { InboxEntry, NoticeRequest } from './ports.ts';
import type { Connection } from './redis/connection.ts';

/** Most entries of one answer: bounds the leader's memory, and its turn. */
const PAGE = 1_000;

export function makeInboxReader(
  context: QueueContext,
): (shard: number, after: string, blockMs: number) => Promise<readonly InboxEntry[]> {
  const readers = new Map<number, Connection>();
  return async (shard, after, blockMs) => {
    const { inbox } = keysOfShard(context, shard);
    let reader = readers.get(shard);
    if (reader === undefined) {
      reader = context.openBlocking(`mailfleet-inbox-${shard}`);
      readers.set(shard, reader);
    }
    const [, entries = []] = (await read(reader, inbox, after, blockMs))?.[0] ?? [];
    return entries.map(([id, fields]) => parseEntry(id, pairs(fields)));
  };
}

/** Null: nothing came, or the queue was closed meanwhile. */
async function read(
  reader: Connection,
  inbox: string,
  after: string,
  blockMs: number,
): Promise<[key: string, entries: [id: string, fields: string[]][]][] | null> {
  try {
    return blockMs > 0
      ? await reader.xread('COUNT', PAGE, 'BLOCK', Math.ceil(blockMs), 'STREAMS', inbox, after)
      : await reader.xread('COUNT', PAGE, 'STREAMS', inbox, after);
  } catch (error) {
    if (reader.status === 'end') return null;
    throw error;
  }
}

/** The id after an inbox id: the first one to keep when everything through that id is trimmed. */
export function nextInboxId(id: string): string {
  const [ms = '0', sequence = '0'] = id.split('-');
  return `${ms}-${BigInt(sequence) + 1n}`;
}

type Command = Extract<InboxEntry, { kind: 'command' }>;

function parseEntry(id: string, fields: ReadonlyMap<string, string>): InboxEntry {
  const field = (name: string): string => fields.get(name) ?? '';
  const queueId = field('q');
  switch (field('k')) {
    case 'mail':
      return { id, kind: 'mail', ...(field('d') === '' ? {} : { deferred: true }) };
    case 'result': {
      const hopStatus = field('h');
      return {
        id,
        kind: 'result',
        batchId: field('b'),
        queueId,
        outcomes: field('o').split(',').filter(Boolean).map(parseOutcome),
        reason: field('r'),
        ...(hopStatus === '' ? {} : { hopStatus: JSON.parse(hopStatus) as HopStatus }),
      };
    }
    case 'batch-end':
      return { id, kind: 'batch-end', batchId: field('b'), returned: JSON.parse(field('l')) as string[] };
    case 'notified':
      return {
        id,
        kind: 'notified',
        queueId,
        notice: field('n') as NoticeRequest['notice'],
        pass: Number(field('p')),
        term: field('t'),
      };
    case 'control':
      return { id, kind: 'control', change: parseChange(field('m'), field('v'), field('u')) };
    case 'ask':
      return { id, kind: 'ask', question: field('i'), subject: parseSubject(queueId, field('d')) };
    case 'command':
      return {
        id,
        kind: 'command',
        command: field('c') as Command['command'],
        ...(queueId === '' ? {} : { queueId }),
        ...(field('s') === '' ? {} : { nexthops: JSON.parse(field('s')) as string[] }),
      };
    default:
      throw new Error(`inbox entry ${id} is of unknown kind ${JSON.stringify(field('k'))}`);
  }
}

const KINDS: Readonly<Record<string, OutcomeKind>> = {
  d: 'delivered',
  s: 'delivered',
  b: 'bounced',
  n: 'bounced',
  f: 'deferred',
};

/** `<recipient><state>`, e.g. `0d`. */
function parseOutcome(text: string): { recipient: number; kind: OutcomeKind } {
  return { recipient: Number(text.slice(0, -1)), kind: KINDS[text.slice(-1)] ?? 'deferred' };
}
