/**
 * MAIL FROM and RCPT TO commands taken apart: path, then ESMTP parameters (RFC 5321 section 4.1.2, RFC 1870 SIZE, RFC 6152
 * BODY, RFC 6531 SMTPUTF8, RFC 3461 RET ENVID NOTIFY ORCPT, RFC 4954 AUTH). Nothing of the line is believed: a wrong value
 * is a reply, an unknown parameter as well.
 *
 * The smtp-server package reads them too, but turns A-labels into U-labels, takes no quoted local part, passes unknown
 * parameters over and merges recipients; hence our own.
 */
import type { Notify } from '@mailfleet/smtp';
import { type Address, type AddressRules, NULL_SENDER, parseAddress } from './address.ts';

/** An SMTP reply of ours; the text begins with the enhanced status. */
export interface Reply {
  readonly code: number;
  readonly text: string;
}

export interface MailCommand {
  readonly sender: Address;
  /** Declared size in bytes. */
  readonly sizeBytes?: number;
  readonly encoding?: '7bit' | '8bit';
  readonly smtputf8: boolean;
  readonly ret?: 'FULL' | 'HDRS';
  readonly envid?: string;
  /** RFC 8689 section 4.1. */
  readonly requireTls?: true;
  /** The two VERP delimiters. */
  readonly verp?: string;
}

/** What a client that may use XVERP gets without naming delimiters, and the characters it may name. */
interface VerpRules {
  readonly defaultDelimiters: string;
  readonly allowed: string;
}

export interface RcptCommand {
  readonly recipient: Address;
  readonly notify?: readonly Notify[];
  readonly orcpt?: string;
}

interface Offered {
  readonly smtputf8: boolean;
  /** @param asked the client wrote SMTPUTF8 */
  readonly rules: (asked: boolean) => AddressRules;
  readonly requireTls: boolean;
  readonly verpRules: VerpRules | undefined;
}

type Parsed<T> = { readonly ok: true; readonly command: T } | { readonly ok: false; readonly reply: Reply };

/**
 * @param offered extensions that this client was offered; `verpRules` undefined: it may not use XVERP (Postfix's VERP_README)
 */
export function parseMail(
  line: string,
  { smtputf8, rules, requireTls, verpRules }: Offered,
): Parsed<MailCommand> {
  const split = splitCommand('MAIL', 'FROM', line);
  if (split === undefined) return wrong(501, '5.5.4 Syntax: MAIL FROM:<address>');
  const parameters = readParameters(split.parameters);
  if (!(parameters instanceof Map)) return { ok: false, reply: parameters };
  const command: { -readonly [K in keyof MailCommand]: MailCommand[K] } = {
    sender: NULL_SENDER,
    smtputf8: false,
  };
  for (const [name, value] of parameters) {
    switch (name) {
      case 'SIZE':
        if (!/^\d{1,20}$/.test(value)) return wrong(501, '5.5.4 Bad message size syntax');
        command.sizeBytes = Number(value);
        break;
      case 'BODY':
        if (/^7bit$/i.test(value)) command.encoding = '7bit';
        else if (/^8bitmime$/i.test(value)) command.encoding = '8bit';
        else return wrong(501, '5.5.4 Unsupported BODY parameter, must be 7BIT or 8BITMIME');
        break;
      case 'SMTPUTF8':
        if (value !== '') return wrong(501, '5.5.4 SMTPUTF8 takes no value');
        if (!smtputf8) return wrong(555, '5.5.4 Unsupported option: SMTPUTF8');
        command.smtputf8 = true;
        break;
      case 'REQUIRETLS':
        if (value !== '') return wrong(501, '5.5.4 REQUIRETLS takes no value');
        if (!requireTls) return wrong(555, '5.5.4 Unsupported option: REQUIRETLS');
        command.requireTls = true;
        break;
      case 'RET':
        if (!/^(?:full|hdrs)$/i.test(value))
          return wrong(501, '5.5.4 Bad RET parameter, must be FULL or HDRS');
        command.ret = value.toUpperCase() === 'FULL' ? 'FULL' : 'HDRS';
        break;
      case 'ENVID': {
        const envid = decodeXtext(value);
        if (envid === undefined || envid === '' || envid.length > 100) {
          return wrong(501, '5.5.4 Bad ENVID parameter syntax');
        }
        command.envid = envid;
        break;
      }
      case 'AUTH':
        // Who first submitted it (RFC 4954 section 5): we vouch for nobody, so it goes no further.
        if (decodeXtext(value) === undefined) return wrong(501, '5.5.4 Bad AUTH parameter syntax');
        break;
      case 'XVERP': {
        if (verpRules === undefined) return wrong(555, '5.5.4 Unsupported option: XVERP');
        const delimiters = value === '' ? verpRules.defaultDelimiters : value;
        if (delimiters.length !== 2 || ![...delimiters].every((one) => verpRules.allowed.includes(one))) {
          return wrong(501, '5.5.4 Bad XVERP delimiters');
        }
        command.verp = delimiters;
        break;
      }
      default:
        return wrong(555, `5.5.4 Unsupported option: ${shown(name)}`);
    }
  }
  if (split.path === '') {
    return command.verp === undefined
      ? { ok: true, command }
      : wrong(503, '5.5.4 Error: XVERP requires a sender that is not null');
  }
  const parsed = parseAddress(split.path, rules(command.smtputf8));
  if (!parsed.ok) return wrong(parsed.reason.includes('SMTPUTF8') ? 553 : 501, senderFault(parsed.reason));
  command.sender = parsed.address;
  return { ok: true, command };
}

/** @param origin for a postmaster without domain, who must be taken (RFC 5321 section 4.5.1) whatever the rules say */
export function parseRcpt(line: string, rules: AddressRules, origin: string): Parsed<RcptCommand> {
  const split = splitCommand('RCPT', 'TO', line);
  if (split === undefined) return wrong(501, '5.5.4 Syntax: RCPT TO:<address>');
  const parsed = parseAddress(split.path, /^postmaster$/i.test(split.path) ? { ...rules, origin } : rules);
  if (!parsed.ok) return wrong(parsed.reason.includes('SMTPUTF8') ? 553 : 501, recipientFault(parsed.reason));
  const parameters = readParameters(split.parameters);
  if (!(parameters instanceof Map)) return { ok: false, reply: parameters };
  const command: { -readonly [K in keyof RcptCommand]: RcptCommand[K] } = { recipient: parsed.address };
  for (const [name, value] of parameters) {
    switch (name) {
      case 'NOTIFY': {
        const notify = readNotify(value);
        if (notify === undefined) return wrong(501, '5.5.4 Bad NOTIFY parameter syntax');
        command.notify = notify;
        break;
      }
      case 'ORCPT': {
        const [, type = '', xtext = ''] = /^([a-z0-9-]+);(.+)$/i.exec(value) ?? [];
        const address = decodeXtext(xtext);
        if (type === '' || address === undefined || value.length > 500) {
          return wrong(501, '5.5.4 Bad ORCPT parameter syntax');
        }
        command.orcpt = `${type};${address}`;
        break;
      }
      default:
        return wrong(555, `5.5.4 Unsupported option: ${shown(name)}`);
    }
  }
  return { ok: true, command };
}

/** Text of an xtext value; undefined when it is malformed or hides what is not printable ASCII (RFC 3461 section 4). */
export function decodeXtext(value: string): string | undefined {
  if (!/^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/.test(value)) return undefined;
  const text = value.replace(/\+(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return /^[\x20-\x7e]*$/.test(text) ? text : undefined;
}

function readNotify(value: string): readonly Notify[] | undefined {
  const notify: Notify[] = [];
  for (const word of value.toUpperCase().split(',')) {
    if (word !== 'NEVER' && word !== 'SUCCESS' && word !== 'FAILURE' && word !== 'DELAY') return undefined;
    if (!notify.includes(word)) notify.push(word);
  }
  return notify.includes('NEVER') && notify.length > 1 ? undefined : notify;
}

/** Path without brackets and source route, and the rest; undefined when there is no path in angle brackets. */
function splitCommand(
  verb: string,
  preposition: string,
  line: string,
): { readonly path: string; readonly parameters: readonly string[] } | undefined {
  const start = new RegExp(`^${verb}[ \\t]+${preposition}:[ \\t]*<`, 'i').exec(line);
  if (start === null) return undefined;
  const text = line.slice(start[0].length);
  const path = /^(?:"(?:[^"\\]|\\.)*"|[^"<>])*(?=>(?:[ \t]|$))/u.exec(text)?.[0];
  if (path === undefined) return undefined;
  const parameters = text
    .slice(path.length + 1)
    .split(/[ \t]+/)
    .filter((word) => word !== '');
  // A source route must be taken and may be ignored (RFC 5321 appendix C).
  return { path: path.replace(/^(?:@[^\s,:@"]+,?)+:/, ''), parameters };
}

function readParameters(words: readonly string[]): Map<string, string> | Reply {
  const parameters = new Map<string, string>();
  for (const word of words) {
    const equals = word.indexOf('=');
    const name = (equals < 0 ? word : word.slice(0, equals)).toUpperCase();
    if (parameters.has(name)) return { code: 501, text: `5.5.4 Parameter ${shown(name)} given twice` };
    parameters.set(name, equals < 0 ? '' : word.slice(equals + 1));
  }
  return parameters;
}

function wrong(code: number, text: string): { readonly ok: false; readonly reply: Reply } {
  return { ok: false, reply: { code, text } };
}

const senderFault = (reason: string): string =>
  reason.includes('SMTPUTF8') ? `5.6.7 ${reason}` : `5.1.7 Bad sender address syntax: ${reason}`;
const recipientFault = (reason: string): string =>
  reason.includes('SMTPUTF8') ? `5.6.7 ${reason}` : `5.1.3 Bad recipient address syntax: ${reason}`;

/** What a client sent, fit for a reply. */
function shown(text: string): string {
  return text.slice(0, 40).replace(/[^\x21-\x7e]/g, '?');
}
