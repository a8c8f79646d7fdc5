/** The steps of a mail transaction, and what Postfix calls them, times them by and thinks of their replies. */
import type { Timeouts } from './settings.ts';

export type Stage = 'xforward1' | 'xforward2' | 'mail' | 'rcpt' | 'data' | 'dot' | 'rset' | 'quit';

/** Commands that may stand in the server's input unanswered, in bytes (RFC 2920 section 3.1 and the usual buffer sizes). */
export const PIPELINE_BYTES = 4096;

/** What an I/O failure interrupted. */
export const whereOf: Readonly<Record<Stage, string>> = {
  xforward1: 'sending XFORWARD name/address',
  xforward2: 'sending XFORWARD protocol/helo_name',
  mail: 'sending MAIL FROM',
  rcpt: 'sending RCPT TO',
  data: 'sending DATA command',
  dot: 'sending end of data -- message may be sent more than once',
  rset: 'sending RSET',
  quit: 'sending QUIT',
};
export const whereContent = 'sending message body';

export const timeoutOf: Readonly<Record<Stage, keyof Timeouts>> = {
  xforward1: 'xforward',
  xforward2: 'xforward',
  mail: 'mail',
  rcpt: 'rcpt',
  data: 'dataInit',
  dot: 'dataDone',
  rset: 'rset',
  quit: 'quit',
};

/** Reply codes that betray a confused server: such a session serves no second message. */
export const isProtocolError = (code: number): boolean =>
  code < 400 || code > 599 || (code >= 500 && code <= 509) || code === 555;

/** Replies of a server that does not know a command or its parameters (RFC 5321 section 4.2.2). */
export const isUnknownCommand = (code: number): boolean => code >= 500 && code <= 504;
