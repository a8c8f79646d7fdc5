/** A daemon's own log record as the text of one Postfix-format line: `warning: QID: what happened: why`. */
import { printable } from './printable.ts';

const PREFIXES: readonly (readonly [level: number, prefix: string])[] = [
  [60, 'fatal: '],
  [50, 'error: '],
  [40, 'warning: '],
];

/** @param json a record as pino serialises it */
export function remarkOf(json: string): string {
  const record: unknown = JSON.parse(json);
  if (typeof record !== 'object' || record === null) return printable(json);
  const level = 'level' in record && typeof record.level === 'number' ? record.level : 0;
  const prefix = PREFIXES.find(([least]) => level >= least)?.[1] ?? '';
  const queueId = textOf(record, 'queueId');
  const message = textOf(record, 'msg') ?? '';
  const cause = 'err' in record && typeof record.err === 'object' ? textOf(record.err, 'message') : undefined;
  const why = cause === undefined || message.includes(cause) ? '' : `${message === '' ? '' : ': '}${cause}`;
  return printable(`${prefix}${queueId === undefined ? '' : `${queueId}: `}${message}${why}`);
}

function textOf(record: object | null, key: string): string | undefined {
  const value: unknown = record === null ? undefined : Reflect.get(record, key);
  return typeof value === 'string' ? value : undefined;
}
