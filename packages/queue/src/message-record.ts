/**
 * The record of a message on one shard, and what scripts answer about it, in words of the ports. The record itself never changes after
 * accept; everything that does stands in other fields of its hash.
 */
import type { Envelope, Outcome } from '@mailfleet/smtp';
import type { ActiveMessage, RoutedRecipient } from './ports.ts';

interface RecordHead {
  readonly envelope: Envelope;
  /** Home shard: holds the content. */
  readonly home: number;
}

interface WholeRecord extends RecordHead {
  /** This shard's recipients. */
  readonly recipients: readonly RoutedRecipient[];
}

/** Of a long list: recipients stand in pages beside it, and recipients.ts reads them. */
export interface PagedRecord extends RecordHead {
  readonly paged: {
    /** This shard's recipients. */
    readonly count: number;
    /** Recipients of each page but the last. */
    readonly size: number;
    /** Index of each page's first recipient. */
    readonly first: readonly number[];
  };
}

export type MessageRecord = WholeRecord | PagedRecord;

export function parseRecord(text: string): MessageRecord {
  return JSON.parse(text) as MessageRecord;
}

/** Reads a `view` of the scripts: [record, pass, warned, activated, [field, state, …], held, forced]; of a long list it has no states. */
export function parseView(view: unknown): ActiveMessage {
  const [text, pass, warned, activatedMs, marks, held, forced] = view as [
    string,
    string,
    string,
    string,
    string[],
    string,
    string,
  ];
  const record = parseRecord(text);
  const recipients = 'recipients' in record ? record.recipients : [];
  const unread = 'recipients' in record ? 0 : record.paged.count;
  const final = new Map<number, string>();
  for (let i = 0; i + 1 < marks.length; i += 2) final.set(Number(marks[i]?.slice(1)), marks[i + 1] ?? '');
  const inState = (wanted: string): number[] =>
    [...final].filter(([, state]) => state === wanted).map(([index]) => index);
  return {
    envelope: record.envelope,
    recipients: recipients.filter(({ index }) => !final.has(index)),
    unread,
    recipientCount: recipients.length + unread,
    contentShard: record.home,
    activatedMs: Number(activatedMs),
    pass: Number(pass),
    warned: warned !== '',
    held: held !== '',
    forcedExpire: forced !== '',
    unreported: inState('b'),
    unreportedSuccess: inState('s'),
  };
}

/** What a message's hash says of its recipients. */
export interface RecipientStates {
  /** Last outcome kept, by recipient index. */
  readonly outcomes: ReadonlyMap<number, Outcome>;
  /** `d` delivered, `s` delivered and a success notice is due, `b` bounced and unreported, `n` bounced and reported. */
  readonly final: ReadonlyMap<number, string>;
}

export function parseStates(fields: ReadonlyMap<string, string>): RecipientStates {
  const outcomes = new Map<number, Outcome>();
  const final = new Map<number, string>();
  for (const [field, value] of fields) {
    const index = Number(field.slice(1));
    if (/^o\d+$/.test(field)) outcomes.set(index, JSON.parse(value) as Outcome);
    if (/^x\d+$/.test(field)) final.set(index, value);
  }
  return { outcomes, final };
}

/** Pairs of a flat [field, value, …] answer. */
export function pairs(flat: readonly string[]): Map<string, string> {
  const map = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) map.set(flat[i] ?? '', flat[i + 1] ?? '');
  return map;
}
