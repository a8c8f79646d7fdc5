/**
 * The table of scenarios. The first part crosses the stages of a transaction with the kinds of replies; the others are single ones, a
 * line or two each, by subject as in smtp-client's rules: set-up, transaction, content, addresses and parameters, several hosts, LMTP.
 */
import type { Action, Stage } from '@mailfleet/test-kit';
import { contentScenarios } from './content-scenarios.ts';
import { dnsScenarios } from './dns-scenarios.ts';
import { oddScenarios } from './odd-scenarios.ts';
import { saslScenarios } from './sasl-scenarios.ts';
import type { Scenario } from './scenario.ts';
import { tlsScenarios } from './tls-scenarios.ts';
import { tlsTable } from './tls-table.ts';

const PLAIN = ['SIZE 10240000', '8BITMIME', 'DSN'];
const PIPELINED = ['PIPELINING', ...PLAIN];

/** Limits short enough to wait for. */
const SHORT = Object.fromEntries(
  ['helo', 'mail', 'rcpt', 'data_init', 'data_done', 'rset', 'quit'].map((step) => [
    `smtp_${step}_timeout`,
    '1s',
  ]),
);

/** What a reply may be; `good` is the code that the stage wants. */
const replies: readonly (readonly [kind: string, action: (good: string) => Action])[] = [
  ['4xx', () => '450 4.2.1 try later'],
  ['5xx', () => '550 5.7.1 not here'],
  ['3xx or 2xx, whichever is wrong', (good) => (good === '354' ? '250 2.0.0 no' : '354 what')],
  ['1xx', () => '150 hm'],
  ['421 and close', () => ({ reply: '421 4.3.2 shutting down', close: true })],
  ['close', () => ({ close: true })],
  ['a garbage line first', (good) => ({ raw: `garbage\r\n${good} 2.0.0 go on\r\n` })],
  ['several lines', () => '550-5.7.1 first\n550-5.7.2 second\n550 5.7.3 third'],
  ['an enhanced code of another class', () => '450 5.7.1 which one'],
  ['a syntax error code', () => '500 5.5.2 pardon'],
  ['a bare code', (good) => ({ raw: `${good}\r\n` })],
];

const crossed = (
  stage: Stage,
  good: string,
  groups: readonly (readonly [string, readonly string[]])[],
): Scenario[] =>
  groups.flatMap(([group, keywords]) =>
    replies.map(([kind, action]) => ({
      name: `${stage}: ${kind}${group}`,
      servers: [{ keywords, hooks: { [stage]: action(good) } }],
    })),
  );

const BOTH = [
  [', pipelined', PIPELINED],
  [', one by one', PLAIN],
] as const;
const ONCE = [['', PIPELINED]] as const;

const stages: readonly Scenario[] = [
  ...crossed('greeting', '220', ONCE),
  ...crossed('ehlo', '250', ONCE),
  ...crossed('mail', '250', BOTH),
  ...crossed('rcpt', '250', BOTH),
  ...crossed('data', '354', BOTH),
  ...crossed('dot', '250', ONCE),
  ...(['greeting', 'ehlo', 'mail', 'rcpt', 'data', 'dot', 'quit'] as const).map(
    (stage): Scenario => ({
      name: `${stage}: silence`,
      servers: [{ hooks: { [stage]: { silent: true } } }],
      config: SHORT,
    }),
  ),
  {
    name: 'rset: close after a refused MAIL',
    servers: [{ keywords: PLAIN, hooks: { mail: '550 no', rset: { close: true } } }],
  },
  { name: 'quit: close', servers: [{ hooks: { quit: { close: true } } }] },
];

const setUp: readonly Scenario[] = [
  { name: 'no extensions', servers: [{ keywords: [] }] },
  {
    name: 'HELO after a refused EHLO',
    servers: [{ hooks: { ehlo: ({ line }) => (line.startsWith('EHLO') ? '502 5.5.2 what' : undefined) } }],
  },
  {
    name: 'HELO refused for now',
    servers: [
      { hooks: { ehlo: ({ line }) => (line.startsWith('EHLO') ? '502 5.5.2 what' : '450 4.3.2 later') } },
    ],
  },
  {
    name: '5xx greeting not skipped',
    servers: [{ hooks: { greeting: '554 5.7.1 go away' } }],
    config: { smtp_skip_5xx_greeting: 'no' },
  },
  {
    name: 'HELO unless the greeting says ESMTP',
    servers: [{ hooks: { greeting: '220 old server' } }],
    config: { smtp_always_send_ehlo: 'no' },
  },
  { name: 'never EHLO', config: { smtp_never_send_ehlo: 'yes' } },
  {
    name: 'a greeting of many lines',
    servers: [{ hooks: { greeting: '220-one\n220-two\n220 three ESMTP' } }],
  },
  { name: 'a greeting of stars', servers: [{ hooks: { greeting: '220 ****************' } }] },
  {
    name: 'a greeting of stars, all workarounds at once',
    servers: [{ hooks: { greeting: '220 **0**2**' } }],
    config: { smtp_pix_workaround_threshold_time: '0s', smtp_pix_workaround_delay_time: '1s' },
  },
  { name: 'my own name in the greeting', servers: [{ hostname: 'client.test' }] },
  {
    name: 'keywords on the line of the name',
    servers: [{ hooks: { ehlo: '250-\n250-PIPELINING\n250-8BITMIME\n250 SIZE' } }],
  },
  {
    name: 'keywords in any case, with =',
    servers: [{ keywords: ['pipelining', 'Size=100000', '8BitMime', 'dsn'] }],
    encoding: '8bit',
  },
  { name: 'SIZE that is no number', servers: [{ keywords: ['SIZE lots', '8BITMIME'] }] },
  { name: 'discarded keywords', config: { smtp_discard_ehlo_keywords: 'pipelining, dsn, nonsense' } },
  { name: 'discarded keywords, silently', config: { smtp_discard_ehlo_keywords: 'size, silent-discard' } },
  { name: 'another helo name', config: { smtp_helo_name: '[127.0.0.1]' } },
  { name: 'a long reply line', servers: [{ hooks: { mail: `550 5.7.1 ${'x'.repeat(1500)}` } }] },
  {
    name: 'a reply with bytes that do not print',
    servers: [{ hooks: { mail: { raw: Buffer.from('550 5.7.1 caf\u00e9\ttab\r\n', 'utf8') } } }],
  },
  {
    name: 'a reply in UTF-8 and in no encoding at all',
    servers: [
      {
        hooks: {
          rcpt: { raw: Buffer.from('550 5.1.1 \xe2\x82\xac \xf0\x9f\x93\xa7 \xff \xe9\r\n', 'latin1') },
        },
      },
    ],
  },
  {
    name: 'a reply in UTF-8, which is not enabled',
    servers: [{ hooks: { rcpt: { raw: '550 5.1.1 caf\u00e9\r\n' } } }],
    config: { smtputf8_enable: 'no' },
  },
  { name: 'a reply that ends in a bare LF', servers: [{ hooks: { mail: { raw: '550 5.7.1 bare\n' } } }] },
  {
    name: 'replies of different codes in one',
    servers: [{ hooks: { rcpt: '450-4.1.1 one\n550 5.1.1 other' } }],
  },
  { name: 'STARTTLS offered at level none', servers: [{ keywords: [...PIPELINED, 'STARTTLS'] }] },
  { name: 'TLS required and not offered', config: { smtp_tls_security_level: 'encrypt' } },
  {
    name: 'TLS required and refused',
    servers: [{ keywords: [...PIPELINED, 'STARTTLS'], hooks: { starttls: '454 4.7.0 not now' } }],
    config: { smtp_tls_security_level: 'encrypt' },
  },
  {
    name: 'TLS required and refused for good',
    servers: [{ keywords: [...PIPELINED, 'STARTTLS'], hooks: { starttls: '554 5.7.0 never' } }],
    config: { smtp_tls_security_level: 'encrypt' },
  },
  {
    name: 'TLS wanted and refused',
    servers: [{ keywords: [...PIPELINED, 'STARTTLS'], hooks: { starttls: '454 4.7.0 not now' } }],
    config: { smtp_tls_security_level: 'may' },
  },
  {
    name: 'TLS wanted and the connection lost',
    servers: [{ keywords: [...PIPELINED, 'STARTTLS'], hooks: { starttls: { close: true } } }],
    config: { smtp_tls_security_level: 'may' },
  },
  { name: 'XFORWARD', servers: [{ keywords: ['XFORWARD NAME ADDR PROTO HELO SOURCE'] }] },
  {
    name: 'a reply filter',
    servers: [{ hooks: { rcpt: '550 5.1.1 gone' } }],
    config: { smtp_reply_filter: 'regexp:{{/^550 (.*)/ 450 4.1.1 but $$1}}' },
  },
  {
    name: 'XFORWARD asked for',
    servers: [{ keywords: ['XFORWARD NAME ADDR PROTO HELO SOURCE', '8BITMIME'] }],
    config: { smtp_send_xforward_command: 'yes' },
  },
  {
    name: 'XFORWARD refused',
    servers: [{ keywords: ['XFORWARD ADDR HELO', '8BITMIME'], hooks: { other: '550 5.7.0 not you' } }],
    config: { smtp_send_xforward_command: 'yes' },
  },
];

const transaction: readonly Scenario[] = [
  { name: 'three recipients', recipients: ['a', 'b', 'c'] },
  {
    name: 'accepted, refused, delayed',
    recipients: ['ok', 'hard', 'soft'],
    servers: [{ hooks: { rcpt: ({ recipient }) => verdictFor(recipient) } }],
  },
  {
    name: 'accepted, refused, delayed, one by one',
    recipients: ['ok', 'hard', 'soft'],
    servers: [{ keywords: PLAIN, hooks: { rcpt: ({ recipient }) => verdictFor(recipient) } }],
  },
  {
    name: 'some refused, and the dot too',
    recipients: ['ok', 'hard', 'soft'],
    servers: [{ hooks: { rcpt: ({ recipient }) => verdictFor(recipient), dot: '451 4.3.0 disk full' } }],
  },
  {
    name: 'some refused, and the connection lost',
    recipients: ['ok', 'hard', 'soft'],
    servers: [{ hooks: { rcpt: ({ recipient }) => verdictFor(recipient), dot: { close: true } } }],
  },
  {
    name: 'all refused, DATA answered 354',
    recipients: ['a', 'b'],
    servers: [{ hooks: { rcpt: '550 5.1.1 nobody', data: '354 go' } }],
  },
  {
    name: 'all refused, one by one',
    recipients: ['a', 'b'],
    servers: [{ keywords: PLAIN, hooks: { rcpt: '550 5.1.1 nobody' } }],
  },
  {
    name: 'too many recipients',
    recipients: ['a', 'b', 'c'],
    servers: [
      {
        hooks: {
          rcpt: ({ recipient }) => (recipient?.startsWith('a') === true ? undefined : '452 4.5.3 too many'),
        },
      },
    ],
  },
  {
    name: '552 for a recipient',
    recipients: ['a', 'b'],
    servers: [
      {
        hooks: {
          rcpt: ({ recipient }) => (recipient?.startsWith('a') === true ? undefined : '552 5.2.2 full'),
        },
      },
    ],
  },
  {
    name: '421 for a recipient, and no hang-up',
    recipients: ['soft', 'ok'],
    servers: [
      {
        hooks: {
          rcpt: ({ recipient }) => (recipient?.startsWith('ok') === true ? undefined : '421 4.7.0 slow down'),
        },
      },
    ],
  },
  {
    name: 'connection lost at the second recipient',
    recipients: ['a', 'b', 'c'],
    servers: [
      {
        keywords: PLAIN,
        hooks: {
          rcpt: ({ recipient }) => (recipient?.startsWith('b') === true ? { close: true } : undefined),
        },
      },
    ],
  },
  {
    name: 'fifty recipients in chunks of 4096 bytes',
    recipients: Array.from({ length: 50 }, (_, index) => `recipient-with-a-long-name-${index}`),
  },
  { name: 'message too big', servers: [{ keywords: ['SIZE 100', 'PIPELINING'] }] },
  { name: 'soft_bounce', servers: [{ hooks: { rcpt: '550 5.1.1 nobody' } }], config: { soft_bounce: 'yes' } },
  {
    name: 'a status filter',
    servers: [{ hooks: { rcpt: '550 5.1.1 nobody' } }],
    config: { smtp_delivery_status_filter: 'regexp:{{/^5(.*)/ 4$$1}}' },
  },
  { name: 'MAIL and DATA refused', servers: [{ hooks: { mail: '450 4.1.8 no', data: '503 5.5.1 no' } }] },
  {
    name: 'MAIL refused, DATA answered 354',
    servers: [{ hooks: { mail: '450 4.1.8 no', rcpt: '503 5.5.1 no', data: '354 go' } }],
  },
  { name: 'wait for the answer to QUIT', config: { smtp_skip_quit_response: 'no' } },
];

const verdictFor = (recipient = ''): string | undefined =>
  recipient.startsWith('hard')
    ? '550 5.1.1 nobody'
    : recipient.startsWith('soft')
      ? '450 4.2.1 later'
      : undefined;

const content: readonly Scenario[] = [
  { name: 'dots', body: '.\r\n..\r\n.dot\r\nnot.\r\n.\r\n' },
  { name: 'no body', body: '' },
  ...[997, 998, 999, 1996, 1995, 2047, 2048, 2049, 5000].map(
    (length): Scenario => ({ name: `a line of ${length} bytes`, body: `${'x'.repeat(length)}\r\nend\r\n` }),
  ),
  { name: 'a long line that begins with a dot', body: `.${'x'.repeat(998)}\r\n` },
  { name: 'a long line whose rest begins with a dot', body: `${'x'.repeat(998)}.y\r\n` },
  { name: 'another line limit', body: `${'x'.repeat(100)}\r\n`, config: { smtp_line_length_limit: '30' } },
  { name: 'no line limit', body: `${'x'.repeat(3000)}\r\n`, config: { smtp_line_length_limit: '0' } },
  { name: 'NUL and 8-bit bytes', body: 'a\0b\xe9\r\n' },
  { name: '8bit to a server with 8BITMIME', body: 'caf\xc3\xa9\r\n', encoding: '8bit' },
  { name: '7bit to a server with 8BITMIME', encoding: '7bit' },
  {
    name: '8bit to a server without 8BITMIME',
    body: 'caf\xc3\xa9\r\n',
    encoding: '8bit',
    servers: [{ keywords: ['SIZE', 'PIPELINING'] }],
  },
  { name: 'a body of 300 kB', body: `${'0123456789 '.repeat(6)}\r\n`.repeat(4500) },
];

const envelope: readonly Scenario[] = [
  { name: 'the null sender', sender: '' },
  ...[
    'a b',
    'a"b',
    'a\\b',
    '.a',
    'a.',
    'a..b',
    'a@b',
    'a,b',
    'a<b>',
    "it's+x",
    'a;b:c',
    'a(b)c',
    'a%b',
    'a!b',
    'a=b+c',
  ].map((localPart): Scenario => ({ name: `recipient ${localPart}`, recipients: [localPart] })),
  { name: 'recipient a b, not quoted', recipients: ['a b'], config: { smtp_quote_rfc821_envelope: 'no' } },
  {
    name: 'DSN parameters',
    recipients: [
      {
        localPart: 'a',
        parameters: 'NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@example.net',
        notify: ['SUCCESS', 'DELAY'],
        orcpt: 'rfc822;x+y@example.net',
      },
      { localPart: 'b', parameters: 'NOTIFY=NEVER', notify: ['NEVER'] },
      { localPart: 'c', parameters: 'NOTIFY=DELAY,FAILURE', notify: ['DELAY', 'FAILURE'] },
    ],
    envid: 'id-1',
    ret: 'HDRS',
  },
  {
    name: 'DSN parameters for a server without DSN',
    servers: [{ keywords: ['SIZE', '8BITMIME'] }],
    recipients: [{ localPart: 'a', parameters: 'NOTIFY=FAILURE', notify: ['FAILURE'] }],
    envid: 'id-1',
    ret: 'FULL',
  },
  { name: 'SMTPUTF8 asked for, not needed', smtputf8: true },
  {
    name: 'SMTPUTF8 asked for, not needed, not offered',
    smtputf8: true,
    servers: [{ keywords: ['8BITMIME'] }],
  },
  {
    name: 'SMTPUTF8 needed for a recipient',
    smtputf8: true,
    recipients: ['jörg'],
    servers: [{ keywords: ['8BITMIME', 'SMTPUTF8'] }],
  },
  {
    name: 'SMTPUTF8 needed for a recipient, not offered',
    smtputf8: true,
    recipients: ['jörg'],
    servers: [{ keywords: ['8BITMIME'] }],
  },
  {
    name: 'SMTPUTF8 needed for the sender, not offered',
    smtputf8: true,
    sender: 'jörg@example.org',
    servers: [{ keywords: ['8BITMIME'] }],
  },
  {
    name: 'SMTPUTF8 and DSN',
    smtputf8: true,
    recipients: ['jörg'],
    servers: [{ keywords: ['8BITMIME', 'SMTPUTF8', 'DSN'] }],
  },
  { name: 'SMTPUTF8 without 8BITMIME', smtputf8: true, servers: [{ keywords: ['SMTPUTF8'] }] },
];

const hosts: readonly Scenario[] = [
  { name: 'connection refused', servers: ['refused'] },
  { name: 'the first refuses the connection', servers: ['refused', {}] },
  { name: 'the first greets with 4xx', servers: [{ hooks: { greeting: '421 4.3.2 busy' } }, {}] },
  { name: 'the first greets with 5xx', servers: [{ hooks: { greeting: '554 5.7.1 no' } }, {}] },
  { name: 'the first refuses EHLO and HELO for now', servers: [{ hooks: { ehlo: '450 4.3.2 no' } }, {}] },
  { name: 'the first refuses MAIL for now', servers: [{ hooks: { mail: '450 4.3.2 no' } }, {}] },
  { name: 'the first refuses MAIL for good', servers: [{ hooks: { mail: '550 5.7.1 no' } }, {}] },
  {
    name: 'the first refuses a recipient for now',
    recipients: ['ok', 'hard', 'soft'],
    servers: [{ hooks: { rcpt: ({ recipient }) => verdictFor(recipient) } }, {}],
  },
  { name: 'the first refuses DATA for now', servers: [{ hooks: { data: '450 4.3.2 no' } }, {}] },
  { name: 'the first refuses the content for now', servers: [{ hooks: { dot: '450 4.3.2 no' } }, {}] },
  { name: 'the first is lost after the dot', servers: [{ hooks: { dot: { close: true } } }, {}] },
  { name: 'the first is lost at MAIL', servers: [{ hooks: { mail: { close: true } } }, {}] },
  { name: 'the first finds the message too big', servers: [{ keywords: ['SIZE 100'] }, {}] },
  {
    name: 'the first refuses for now, the second the connection',
    servers: [{ hooks: { rcpt: '450 4.2.1 later' } }, 'refused'],
  },
  {
    name: 'a fallback relay',
    servers: ['refused', {}],
    nexthop: '[127.0.0.1]:%1',
    config: { smtp_fallback_relay: '[127.0.0.1]:%2' },
  },
  {
    name: 'a fallback relay for some recipients',
    recipients: ['ok', 'hard', 'soft'],
    servers: [{ hooks: { rcpt: ({ recipient }) => verdictFor(recipient) } }, {}],
    nexthop: '[127.0.0.1]:%1',
    config: { smtp_fallback_relay: '[127.0.0.1]:%2' },
  },
  {
    name: 'SMTPUTF8 asked for, the first does not offer it',
    smtputf8: true,
    servers: [{ keywords: ['8BITMIME'] }, {}],
  },
  {
    name: 'soft_bounce, and a second host',
    servers: [{ hooks: { rcpt: '550 5.1.1 nobody' } }, {}],
    config: { soft_bounce: 'yes' },
  },
];

const lmtp: readonly Scenario[] = (
  [
    { name: 'three recipients', recipients: ['a', 'b', 'c'] },
    { name: 'no pipelining', recipients: ['a', 'b'], servers: [{ keywords: ['8BITMIME'] }] },
    {
      name: 'a reply for each recipient',
      recipients: ['ok', 'hard', 'soft'],
      servers: [{ hooks: { dot: ({ recipient }) => verdictFor(recipient) } }],
    },
    {
      name: 'refused at RCPT and at the dot',
      recipients: ['hard', 'ok', 'soft'],
      servers: [
        {
          hooks: {
            rcpt: ({ recipient }) =>
              recipient?.startsWith('hard') === true ? '550 5.1.1 nobody' : undefined,
            dot: ({ recipient }) => verdictFor(recipient),
          },
        },
      ],
    },
    {
      name: 'lost after the first reply',
      recipients: ['a', 'b', 'c'],
      servers: [
        {
          hooks: {
            dot: ({ recipient }) => (recipient?.startsWith('b') === true ? { close: true } : undefined),
          },
        },
      ],
    },
    {
      name: 'all refused, DATA answered 354',
      recipients: ['a', 'b'],
      servers: [{ hooks: { rcpt: '550 5.1.1 nobody', data: '354 go' } }],
    },
    { name: 'LHLO refused', servers: [{ hooks: { ehlo: '500 5.5.1 what' } }] },
    { name: 'LHLO refused for now', servers: [{ hooks: { ehlo: '450 4.3.2 later' } }] },
    { name: '5xx greeting', servers: [{ hooks: { greeting: '554 5.7.1 no' } }] },
    { name: 'MAIL refused', recipients: ['a', 'b'], servers: [{ hooks: { mail: '550 5.7.1 no' } }] },
    { name: 'DATA refused', recipients: ['a', 'b'], servers: [{ hooks: { data: '451 4.3.0 no' } }] },
    { name: 'my own name', servers: [{ hostname: 'client.test' }] },
    {
      name: 'no answer to QUIT',
      servers: [{ hooks: { quit: { silent: true } } }],
      config: { lmtp_quit_timeout: '1s' },
    },
    {
      name: 'a second host for one recipient',
      recipients: ['ok', 'soft'],
      servers: [{ hooks: { dot: ({ recipient }) => verdictFor(recipient) } }, {}],
    },
    { name: 'inet:', nexthop: 'inet:[127.0.0.1]:%1' },
    {
      name: 'a fallback relay',
      servers: ['refused', {}],
      nexthop: '[127.0.0.1]:%1',
      config: { lmtp_fallback_relay: '[127.0.0.1]:%2' },
    },
    { name: 'a garbage line', servers: [{ hooks: { mail: { raw: 'oops\r\n250 2.1.0 Ok\r\n' } } }] },
  ] satisfies readonly Scenario[]
).map((scenario) => ({ ...scenario, name: `LMTP: ${scenario.name}`, protocol: 'lmtp' }));

export const scenarios: readonly Scenario[] = [
  ...stages,
  ...setUp,
  ...transaction,
  ...content,
  ...contentScenarios,
  ...envelope,
  ...hosts,
  ...lmtp,
  ...saslScenarios,
  ...tlsScenarios,
  ...tlsTable.map(({ scenario }) => scenario),
  ...dnsScenarios,
  ...oddScenarios,
];
