/**
 * The record of a message on one shard, and what scripts answer about it, in words of the ports. The record itself never changes after
 * accept; everything that does stands in other fields of its hash.
 */
import type { Envelope, Outcome } from '@mailfleet/smtp';
import type { ActiveMessage, RoutedRecipient } from './ports.ts';

export interface MessageRecord {
  readonly envelope: Envelope;
  /** This shard's recipients. */
  readonly recipients: readonly RoutedRecipient[];
  /** Home shard: holds the content. */
  readonly home: number;
}

export function parseRecord(text: string): MessageRecord {
  return JSON.parse(text) as MessageRecord;
}

/** Reads a `view` of the scripts: [record, pass, warned, activated, [field, state, …], held, forced]. */
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
  const { envelope, recipients, home } = parseRecord(text);
  const final = new Map<number, string>();
  for (let i = 0; i + 1 < marks.length; i += 2) final.set(Number(marks[i]?.slice(1)), marks[i + 1] ?? '');
  const inState = (wanted: string): number[] =>
    [...final].filter(([, state]) => state === wanted).map(([index]) => index);
  return {
    envelope,
    recipients: recipients.filter(({ index }) => !final.has(index)),
    recipientCount: recipients.length,
    contentShard: home,
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
