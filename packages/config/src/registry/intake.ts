/** Parameters: who may hand in mail, and what the SMTP server says. See entry.ts for what the fields mean. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in main.cf syntax look like template strings
import type { Entries } from './entry.ts';

export const intake = {
  mynetworks: {
    type: 'list',
    default: '127.0.0.0/8 [::1]/128',
    since: '<=2.0',
    doc: 'Networks whose clients may hand in mail without a password. Addresses, net/length blocks, /file/name or type:table; `!` excludes. Unlike Postfix, which looks at the interfaces, the default is this machine only.',
  },
  relay_domains: {
    type: 'list',
    default: '${{$compatibility_level} <level {2} ? {$mydestination} : {}}',
    since: '<=2.0',
    doc: 'Domains, with their subdomains, that are delivered through relay_transport.',
  },
  smtpd_banner: {
    type: 'string',
    default: '$myhostname ESMTP $mail_name',
    since: '<=2.0',
    doc: 'Text after the 220 of the greeting of the SMTP intake. RFC 5321 wants the host name first.',
  },
  smtpd_timeout: {
    type: 'time',
    default: '${stress?{10}:{300}}s',
    unit: 's',
    min: 1,
    since: '<=2.0',
    doc: 'How long the SMTP intake waits for the next command or for content before it hangs up.',
  },
  smtpd_hard_error_limit: {
    type: 'integer',
    default: '${stress?{1}:{20}}',
    min: 1,
    since: '<=2.0',
    doc: 'Number of errors in a session without mail after which the SMTP intake hangs up.',
  },
  smtpd_authorized_xclient_hosts: {
    type: 'list',
    default: '',
    since: '2.1',
    doc: 'Clients that may use XCLIENT to speak for another client: name the proxies, and nobody else.',
  },
  smtpd_authorized_xforward_hosts: {
    type: 'list',
    default: '',
    since: '2.1',
    doc: 'Clients whose XFORWARD attributes of the original client are kept with the message.',
  },
  smtpd_client_connection_count_limit: {
    type: 'integer',
    default: '50',
    min: 0,
    since: '2.2',
    doc: 'Connections that one client may have open at a time with one SMTP intake; 0 for any number. Clients in mynetworks are not counted.',
  },
  hopcount_limit: {
    type: 'integer',
    default: '50',
    min: 1,
    since: '<=2.0',
    doc: 'A message with this many Received: headers, ours included, goes round in circles and is refused.',
  },
  undisclosed_recipients_header: {
    type: 'string',
    default: '',
    since: '<=2.0',
    doc: 'Header added to a message that names no recipient, for example `To: undisclosed-recipients:;`. Empty: none.',
  },
  enable_original_recipient: {
    type: 'boolean',
    default: 'yes',
    since: '2.1',
    doc: 'Whether recipients that differ only in what they were first addressed as are kept apart when duplicates are removed.',
  },
  duplicate_filter_limit: {
    type: 'integer',
    default: '1000',
    min: 0,
    since: '<=2.0',
    doc: 'Addresses remembered per message to drop duplicate recipients; 0 for all. Recipients beyond it are not filtered.',
  },
  multi_instance_name: {
    type: 'string',
    default: '',
    since: '2.6',
    doc: 'Name of this instance where several run on a machine; it begins the names of log lines.',
  },
  command_time_limit: {
    type: 'time',
    default: '1000s',
    unit: 's',
    min: 1,
    since: '<=2.0',
    moot: 'no transport runs a command',
    doc: 'Default of `<transport>_time_limit`.',
  },
} as const satisfies Entries;
