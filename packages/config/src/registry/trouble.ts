/** Parameters: trouble shooting and logs. See entry.ts for what the fields mean. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in main.cf syntax look like template strings
import type { Entries } from './entry.ts';

export const trouble = {
  debug_peer_level: {
    type: 'integer',
    default: '2',
    min: 1,
    seed: true,
    since: '3.6',
    doc: 'How much of the dialogue with a peer in debug_peer_list is logged: commands and replies from 1 on, also which hosts are tried and which sessions used again from 2 on.',
  },
  debug_peer_list: {
    type: 'list',
    default: '',
    seed: true,
    since: '<=2.0',
    doc: 'Servers (names, networks, tables) and nexthops whose dialogue is logged, without content and without what AUTH says.',
  },
  error_notice_recipient: {
    type: 'string',
    default: 'postmaster',
    minLength: 1,
    seed: true,
    since: '<=2.0',
    doc: 'Address for notices about protocol, policy, resource and software errors.',
  },
  internal_mail_filter_classes: {
    type: 'list',
    default: '',
    values: ['bounce', 'notify'],
    seed: true,
    since: '2.3',
    doc: 'Which notices header_checks and body_checks are asked about: bounce, those to senders; notify, those to the postmaster. One that is refused is thrown away.',
  },
  notify_classes: {
    type: 'list',
    default: 'resource, software',
    values: ['2bounce', 'bounce', 'data', 'delay', 'policy', 'protocol', 'resource', 'software'],
    seed: true,
    since: '<=2.0',
    doc: 'Error classes that produce a message to the postmaster.',
  },
  helpful_warnings: {
    type: 'boolean',
    default: 'yes',
    since: '2.0',
    doc: 'Log hints about likely configuration mistakes.',
  },
  info_log_address_format: {
    type: 'enum',
    default: 'external',
    minLength: 1,
    values: ['external', 'internal'],
    since: '3.5',
    doc: 'Quoted (external) or raw (internal) addresses in log lines.',
  },
  maillog_file: {
    type: 'file',
    default: '',
    since: '3.4',
    doc: 'Log to this file or stdout instead of syslog.',
  },
  respectful_logging: {
    type: 'boolean',
    default: '${{$compatibility_level} <level {3.6} ? {no} : {yes}}',
    since: '3.6',
    moot: 'no log line of Mailfleet has the older wording',
    doc: 'Use newer wording in logs.',
  },
} as const satisfies Entries;
