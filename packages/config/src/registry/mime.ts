/** Parameters: MIME processing. See entry.ts for what the fields mean. */
import type { Entries } from './entry.ts';

export const mime = {
  disable_mime_output_conversion: {
    type: 'boolean',
    default: 'no',
    seed: true,
    since: '2.0',
    doc: 'Never convert 8-bit parts to quoted-printable on delivery, even if the server lacks 8BITMIME.',
  },
  mime_boundary_length_limit: {
    type: 'size',
    default: '2048',
    min: 1,
    seed: true,
    since: '2.0',
    doc: 'Number of leading boundary characters that are remembered and compared; the rest is ignored.',
  },
  mime_nesting_limit: {
    type: 'integer',
    default: '100',
    min: 1,
    seed: true,
    since: '2.0',
    doc: 'Allowed depth of nested multipart boundaries before the message is refused as too deeply nested.',
  },
  header_size_limit: {
    type: 'size',
    default: '102400',
    min: 1,
    since: '<=2.0',
    doc: 'Bytes kept of one logical header; excess is dropped.',
  },
  line_length_limit: {
    type: 'size',
    default: '2048',
    min: 512,
    since: '<=2.0',
    doc: 'Chunk size of queue-file text records and cap on one reply line.',
  },
  header_address_token_limit: {
    type: 'integer',
    default: '10240',
    min: 1,
    since: '<=2.0',
    doc: 'Tokens parsed from an address header at receive time.',
  },
  message_size_limit: {
    type: 'size',
    default: '10240000',
    since: '<=2.0',
    doc: 'Largest message incl. envelope; 0 is no limit.',
  },
  message_drop_headers: {
    type: 'list',
    default: 'bcc, content-length, resent-bcc, return-path',
    since: '3.0',
    doc: 'Headers removed at receive time.',
  },
  detect_8bit_encoding_header: {
    type: 'boolean',
    default: 'yes',
    since: '2.5',
    doc: 'Let a Content-Transfer-Encoding of 8bit or binary mark the message as 8-bit at receive time.',
  },
  disable_mime_input_processing: {
    type: 'boolean',
    default: 'no',
    since: '2.0',
    doc: 'Treat everything after the main header as body at receive time.',
  },
  force_mime_input_conversion: {
    type: 'boolean',
    default: 'no',
    since: '3.9',
    doc: 'Convert 8-bit content to quoted-printable already at receive time.',
  },
  strict_8bitmime: {
    type: 'boolean',
    default: 'no',
    since: '2.0',
    doc: 'Turns on strict_7bit_headers and strict_8bitmime_body.',
  },
  strict_8bitmime_body: {
    type: 'boolean',
    default: 'no',
    since: '2.0',
    doc: 'Refuse 8-bit text in parts not declared as 8-bit.',
  },
  strict_7bit_headers: { type: 'boolean', default: 'no', since: '2.0', doc: 'Refuse 8-bit text in headers.' },
  strict_mime_encoding_domain: {
    type: 'boolean',
    default: 'no',
    since: '2.0',
    doc: 'Refuse encoded message/* or multipart/* parts.',
  },
} as const satisfies Entries;
