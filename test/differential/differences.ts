/**
 * Scenarios in which our client does other than Debian's Postfix (3.7; the release we follow is 3.12), each with its reason.
 * docs/differences-from-postfix.md tells operators; whoever closes a difference removes its line here and there.
 */
const LIST_OF_NAMES = 'Postfix 3.12 puts a comma between the names of such a list, 3.7 a blank';

export const differences: Readonly<Record<string, string>> = {
  'a greeting of stars, all workarounds at once': LIST_OF_NAMES,
  'discarded keywords': LIST_OF_NAMES,
  'a reply with bytes that do not print':
    'not there yet: with smtputf8_enable, well-formed UTF-8 in a reply passes; we print ? for each byte',
  '8bit to a server without 8BITMIME':
    'not there yet: conversion to 7 bits (disable_mime_output_conversion); with it, no SIZE is sent',
};
