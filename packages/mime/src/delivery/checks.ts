/**
 * header_checks(5) and body_checks(5): one lookup for a header or a body line, and what its result asks for.
 *
 * At delivery only what concerns the text itself can be asked for (config-and-maps.md section 7): other actions come too late, the message was
 * accepted long ago. At receipt it may also be refused or thrown away. What cannot be done is warned about in Postfix's words and the
 * text stays.
 */
import type { Table } from '@mailfleet/lookup';
import { type HeaderClass, isHeaderLine } from '../structure/header-line.ts';

export type CheckClass = HeaderClass | 'body';

export interface CheckMap {
  /** The parameter's name, for warnings. */
  readonly name: string;
  readonly table: Table;
  /** The message is just being received: it may still be refused or thrown away. */
  readonly atReceipt?: true;
}

export type CheckMaps = Readonly<Partial<Record<CheckClass, CheckMap>>>;

export type Verdict =
  | { readonly kind: 'keep' | 'drop' }
  | { readonly kind: 'replace' | 'prepend'; readonly text: string }
  /** Of the whole message. */
  | Sentence
  | { readonly kind: 'failed'; readonly reason: string };

/** What a check at receipt says of the whole message. */
export type Sentence =
  | { readonly kind: 'reject'; readonly status: string; readonly reason: string }
  | { readonly kind: 'discard' };

/** Writes a log line of the message. */
export type Note = (text: string, warning: boolean) => void;

const KEEP: Verdict = { kind: 'keep' };
const DROP: Verdict = { kind: 'drop' };
const LOGGED = 200;

/** @param text a logical header, its line breaks as LF, or a body line; without the line end */
export async function check(
  map: CheckMap,
  where: 'header' | 'body',
  text: string,
  note: Note,
): Promise<Verdict> {
  const answer = await map.table.lookup(text);
  if (answer.kind === 'miss') return KEEP;
  if (answer.kind === 'error') return { kind: 'failed', reason: answer.reason };
  const [, command = '', argument = ''] = /^(\S*)\s*([\s\S]*?)\s*$/.exec(answer.value) ?? [];
  const action = command.toUpperCase();
  const log = (word: string, warning = false): void => {
    const shown = `${word}: ${where} ${printable(text.slice(0, LOGGED))}`;
    note(argument === '' ? shown : `${shown}: ${printable(argument)}`, warning);
  };
  const unsupported = (): Verdict => {
    note(`unsupported command in ${map.name} map: ${printable(answer.value)}`, true);
    return KEEP;
  };
  switch (action) {
    case 'OK':
    case 'DUNNO':
      return KEEP;
    case 'IGNORE':
      return DROP;
    case 'STRIP':
      log('strip');
      return DROP;
    case 'INFO':
      log('info');
      return KEEP;
    case 'WARN':
      log('warning');
      return KEEP;
    case 'REPLACE':
    case 'PREPEND':
      if (argument === '') {
        note(`${action} action without text in ${map.name} map`, true);
        return KEEP;
      }
      if (where === 'header' && !isHeaderLine(argument)) {
        const wanted = 'need "headername: headervalue"';
        note(`bad ${action} header text "${printable(argument)}" in ${map.name} map -- ${wanted}`, true);
        return KEEP;
      }
      log(action.toLowerCase());
      return { kind: action === 'REPLACE' ? 'replace' : 'prepend', text: argument };
    case 'REJECT':
    case 'DISCARD':
      if (map.atReceipt !== true) return unsupported();
      log(action.toLowerCase());
      return action === 'DISCARD' ? { kind: 'discard' } : rejection(argument);
    default:
      return unsupported();
  }
}

/** `text`, or `4.x.x text` or `5.x.x text`. */
function rejection(argument: string): Sentence {
  const [, status = '5.7.1', reason = argument] = /^([45]\.\d{1,3}\.\d{1,3})\s+(\S.*)$/s.exec(argument) ?? [];
  return { kind: 'reject', status, reason: reason === '' ? 'message content rejected' : printable(reason) };
}

/** Log lines are lines. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}
