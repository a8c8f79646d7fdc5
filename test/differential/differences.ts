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
const WORDS_OF_TLS = "why a certificate is not trusted is told in the words of Node's TLS";
const WORDS_OF_HANDSHAKE =
  'what OpenSSL has to say about a handshake stands in the one line about it; Postfix writes a number and a warning';

export const differences: Readonly<Record<string, Difference>> = {
  'a greeting of stars, all workarounds at once': { in: 'remarks', because: LIST_OF_NAMES },
  'discarded keywords': { in: 'remarks', because: LIST_OF_NAMES },
  '8bit to a server without 8BITMIME': {
    in: 'sessions',
    because: 'not there yet: conversion to 7 bits (disable_mime_output_conversion); with it, no SIZE is sent',
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
  'TLS: verify, an unknown authority': { in: 'remarks', because: WORDS_OF_TLS },
  'TLS: verify, expired': { in: 'remarks', because: WORDS_OF_TLS },
  'TLS: a server that speaks no TLS': { in: 'remarks', because: WORDS_OF_HANDSHAKE },
  'TLS: a policy that is none': {
    in: 'remarks',
    because: 'one warning says what is wrong with a TLS policy; Postfix needs two',
  },
};
