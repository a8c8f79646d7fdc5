/**
 * Scenarios in which our client does other than Debian's Postfix (3.7; the release we follow is 3.12), each with its reason.
 * docs/differences-from-postfix.md tells operators; whoever closes a difference removes its line here and there.
 */
import type { Account } from './scenario.ts';

export interface Difference {
  /** The one part of the account that differs. */
  readonly in: keyof Account;
  readonly because: string;
}

const LIST_OF_NAMES = 'Postfix 3.12 puts a comma between the names of such a list, 3.7 a blank';
const WRONG_NAME =
  'Postfix 3.7 counts a wrong name as a failed verification; to us, as to 3.12, trust and name are two questions';
const SMTPUTF8_TEXT = 'Postfix 3.12 tries other hosts, and says so; 3.7 bounced at the first one';
const WORDS_OF_HANDSHAKE =
  'what OpenSSL has to say about a handshake stands in the one line about it; Postfix writes a number and a warning';
const WORDS_OF_CYRUS =
  'what our side makes of a challenge is told in words of ours; Cyrus SASL has one for many troubles';

export const differences: Readonly<Record<string, Difference>> = {
  'a greeting of stars, all workarounds at once': { in: 'remarks', because: LIST_OF_NAMES },
  'discarded keywords': { in: 'remarks', because: LIST_OF_NAMES },
  '7bit: one boundary more than mime_nesting_limit and two': {
    in: 'sessions',
    because: 'a small message is looked at as a whole before any of it is sent',
  },
  'checks: the log shows 200 characters': {
    in: 'remarks',
    because: 'Postfix 3.12 shows 200 characters, 3.7 showed 60',
  },
  'checks: a table that cannot be asked': {
    in: 'remarks',
    because: 'our line tells which table it was, and why',
  },
  'SMTPUTF8 needed for a recipient, not offered': { in: 'verdicts', because: SMTPUTF8_TEXT },
  'SMTPUTF8 needed for the sender, not offered': { in: 'verdicts', because: SMTPUTF8_TEXT },
  'odd: NUL in a reply': {
    in: 'verdicts',
    because: 'to Postfix a NUL ends the line; we print ? for it, as for anything else that does not print',
  },
  'TLS: verify, another name': { in: 'remarks', because: WRONG_NAME },
  'TLS: secure, another name': { in: 'remarks', because: WRONG_NAME },
  'TLS: verify, then a second host': { in: 'remarks', because: WRONG_NAME },
  'TLS table: verify, another name': { in: 'remarks', because: WRONG_NAME },
  'TLS table: secure, another name': { in: 'remarks', because: WRONG_NAME },
  'TLS table: may, an old protocol': { in: 'remarks', because: WORDS_OF_HANDSHAKE },
  'TLS table: encrypt, an old protocol': { in: 'remarks', because: WORDS_OF_HANDSHAKE },
  'TLS table: fingerprint, an old protocol': { in: 'remarks', because: WORDS_OF_HANDSHAKE },
  'TLS table: verify, an old protocol': { in: 'remarks', because: WORDS_OF_HANDSHAKE },
  'TLS table: secure, an old protocol': { in: 'remarks', because: WORDS_OF_HANDSHAKE },
  'TLS: a server that speaks no TLS': { in: 'remarks', because: WORDS_OF_HANDSHAKE },
  'SASL: a challenge that is no Base64': { in: 'verdicts', because: WORDS_OF_CYRUS },
  'SASL: LOGIN asks a third time': { in: 'verdicts', because: WORDS_OF_CYRUS },
  'SASL: PLAIN asks for more': { in: 'verdicts', because: WORDS_OF_CYRUS },
  'TLS: a policy that is none': {
    in: 'remarks',
    because: 'one warning says what is wrong with a TLS policy; Postfix needs two',
  },
};
