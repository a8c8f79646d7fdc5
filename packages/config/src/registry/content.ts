/** Parameters: header and body checks. See entry.ts for what the fields mean. */
import type { Entries } from './entry.ts';

export const content = {
  smtp_send_xforward_command: {
    type: 'boolean',
    default: 'no',
    seed: true,
    since: '2.1',
    lmtp: { since: '2.1' },
    doc: 'Send XFORWARD attributes of the original client to servers that announce the matching names.',
  },
  smtp_header_checks: {
    type: 'maps',
    default: '',
    since: '2.5',
    lmtp: { since: '2.5' },
    doc: 'Header match tables applied to primary non-MIME headers while delivering.',
  },
  smtp_mime_header_checks: {
    type: 'maps',
    default: '',
    since: '2.5',
    lmtp: { since: '2.5' },
    doc: 'Header match tables for MIME headers (in any header block) while delivering; does not default to smtp_header_checks.',
  },
  smtp_nested_header_checks: {
    type: 'maps',
    default: '',
    since: '2.5',
    lmtp: { since: '2.5' },
    doc: 'Header match tables for headers of attached messages while delivering.',
  },
  smtp_body_checks: {
    type: 'maps',
    default: '',
    since: '2.5',
    lmtp: { since: '2.5' },
    doc: 'Match tables applied to each body record while delivering.',
  },
  header_checks: {
    type: 'maps',
    default: '',
    seed: true,
    since: '<=2.0',
    doc: 'Tables of headers as mail comes in: REJECT, DISCARD, REPLACE, PREPEND, IGNORE, STRIP, WARN, INFO.',
  },
  mime_header_checks: {
    type: 'maps',
    default: '$header_checks',
    since: '2.0',
    doc: 'Receive-time tables for MIME headers; defaults to header_checks.',
  },
  nested_header_checks: {
    type: 'maps',
    default: '$header_checks',
    since: '2.0',
    doc: 'Receive-time tables for headers of attached messages; defaults to header_checks.',
  },
  body_checks: {
    type: 'maps',
    default: '',
    seed: true,
    since: '<=2.0',
    doc: 'The same of body lines.',
  },
  non_smtpd_milters: {
    type: 'string',
    default: '',
    seed: true,
    since: '2.3',
    doc: 'Milters for mail that does not arrive by SMTP, such as generated notices.',
  },
  body_checks_size_limit: {
    type: 'size',
    default: '51200',
    since: '2.0',
    doc: 'Bytes per body segment inspected at receive time; has no effect on smtp_body_checks.',
  },
} as const satisfies Entries;
