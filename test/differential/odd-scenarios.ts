/** Odd servers: replies that nobody should send, and parameters that decide about them. */
import type { Scenario } from './scenario.ts';

const PLAIN = ['SIZE 10240000', '8BITMIME', 'DSN'];
const everyThird = (recipient = ''): string | undefined =>
  Number(/\d+/.exec(recipient)?.[0]) % 3 === 0 ? '550 5.1.1 nobody' : undefined;

export const oddScenarios: readonly Scenario[] = [
  {
    name: 'odd: a bind address of another machine',
    config: { smtp_bind_address: '192.0.2.1' },
  },
  {
    name: 'odd: a bind address of another machine, enforced',
    config: { smtp_bind_address: '192.0.2.1', smtp_bind_address_enforce: 'yes' },
  },
  { name: 'odd: a greeting without words', servers: [{ hooks: { greeting: { raw: '220\r\n' } } }] },
  {
    name: 'odd: a greeting with a dash only',
    servers: [{ hooks: { greeting: { raw: '220-\r\n220 \r\n' } } }],
  },
  {
    name: 'odd: nothing but garbage, then the end',
    servers: [{ hooks: { greeting: { raw: 'hello\r\nworld\r\n', close: true } } }],
  },
  {
    name: 'odd: a greeting of another kind of server',
    servers: [{ hooks: { greeting: { raw: '+OK POP3 ready\r\n', close: true } } }],
  },
  {
    name: 'odd: half a reply, then the end',
    servers: [{ hooks: { mail: { raw: '250-almost\r\n25', close: true } } }],
  },
  { name: 'odd: CR CR LF', servers: [{ hooks: { mail: { raw: '550 5.7.1 no\r\r\n' } } }] },
  { name: 'odd: a bare CR in a reply', servers: [{ hooks: { mail: { raw: '550 5.7.1 a\rb\r\n' } } }] },
  { name: 'odd: NUL in a reply', servers: [{ hooks: { mail: { raw: '550 5.7.1 a\0b\r\n' } } }] },
  { name: 'odd: code 0', servers: [{ hooks: { mail: { raw: '000 what\r\n' } } }] },
  { name: 'odd: code 999', servers: [{ hooks: { rcpt: { raw: '999 what\r\n' } } }] },
  { name: 'odd: 555 for MAIL', servers: [{ hooks: { mail: '555 5.5.4 parameters' } }] },
  { name: 'odd: 251 for RCPT', servers: [{ hooks: { rcpt: '251 2.1.5 will forward' } }] },
  { name: 'odd: 252 for RCPT', servers: [{ hooks: { rcpt: '252 2.1.5 perhaps' } }] },
  { name: 'odd: 354 in several lines', servers: [{ hooks: { data: '354-go\n354 ahead' } }] },
  { name: 'odd: 355 for DATA', servers: [{ hooks: { data: '355 go' } }] },
  {
    name: 'odd: 250 in several lines for the dot',
    servers: [{ hooks: { dot: '250-2.0.0 one\n250 2.6.0 two' } }],
  },
  { name: 'odd: an enhanced code without words', servers: [{ hooks: { dot: '250 2.6.0' } }] },
  { name: 'odd: an enhanced code with a leading zero', servers: [{ hooks: { rcpt: '550 5.01.1 nobody' } }] },
  { name: 'odd: an enhanced code of two parts', servers: [{ hooks: { rcpt: '550 5.1 nobody' } }] },
  {
    name: 'odd: a tab behind the code',
    servers: [{ keywords: PLAIN, hooks: { rcpt: { raw: '550\t5.1.1 nobody\r\n550 5.1.2 nobody\r\n' } } }],
  },
  { name: 'odd: two enhanced codes', servers: [{ hooks: { rcpt: '550 5.1.1 5.7.1 nobody' } }] },
  {
    name: 'odd: RSET refused',
    servers: [{ keywords: PLAIN, hooks: { mail: '550 5.7.1 no', rset: '500 5.5.1 what' } }],
  },
  {
    name: 'odd: QUIT refused, and awaited',
    servers: [{ hooks: { quit: '500 5.5.1 stay' } }],
    config: { smtp_skip_quit_response: 'no' },
  },
  {
    name: 'odd: QUIT lost, and awaited',
    servers: [{ hooks: { quit: { close: true } } }],
    config: { smtp_skip_quit_response: 'no' },
  },
  { name: 'odd: SIZE 0', servers: [{ keywords: ['SIZE 0', '8BITMIME'] }] },
  { name: 'odd: SIZE twice', servers: [{ keywords: ['SIZE 10', 'SIZE 100000', '8BITMIME'] }] },
  { name: 'odd: SIZE with more words', servers: [{ keywords: ['SIZE 100000 bytes', '8BITMIME'] }] },
  { name: 'odd: SIZE below zero', servers: [{ keywords: ['SIZE -1', '8BITMIME'] }] },
  { name: 'odd: SIZE of 20 digits', servers: [{ keywords: ['SIZE 99999999999999999999', '8BITMIME'] }] },
  { name: 'odd: keywords behind tabs', servers: [{ keywords: ['SIZE\t100000', 'DSN\tx'] }] },
  {
    name: 'odd: EHLO with its name only, in two lines',
    servers: [{ hooks: { ehlo: '250-sink.test\n250 sink.test' } }],
  },
  { name: 'odd: EHLO 251', servers: [{ hooks: { ehlo: '251 sink.test' } }] },
  {
    name: 'odd: HELO 421',
    servers: [{ hooks: { ehlo: ({ line }) => (line.startsWith('EHLO') ? '500 what' : '421 4.3.2 no') } }],
  },
  {
    name: 'odd: HELO lost',
    servers: [{ hooks: { ehlo: ({ line }) => (line.startsWith('EHLO') ? '500 what' : { close: true }) } }],
  },
  {
    name: 'odd: PIX workarounds by table',
    servers: [{ hooks: { greeting: '220 ***' } }],
    config: { smtp_pix_workaround_maps: 'inline:{127.0.0.1=delay_dotcrlf}' },
  },
  {
    name: 'odd: PIX workarounds, none',
    servers: [{ hooks: { greeting: '220 ***' } }],
    config: { smtp_pix_workarounds: '' },
  },
  {
    name: 'odd: keywords discarded by table',
    config: {
      smtp_discard_ehlo_keyword_address_maps: 'inline:{127.0.0.1=dsn}',
      smtp_discard_ehlo_keywords: 'pipelining',
    },
  },
  {
    name: 'odd: 5xx greeting and soft_bounce',
    servers: [{ hooks: { greeting: '554 5.7.1 no' } }],
    config: { smtp_skip_5xx_greeting: 'no', soft_bounce: 'yes' },
  },
  {
    name: 'odd: MAIL refused and soft_bounce',
    servers: [{ hooks: { mail: '550 5.7.1 no' } }],
    config: { soft_bounce: 'yes' },
  },
  {
    name: 'odd: 2xx for DATA and soft_bounce',
    servers: [{ hooks: { data: '250 2.0.0 no' } }],
    config: { soft_bounce: 'yes' },
  },
  {
    name: 'odd: SIZE exceeded and soft_bounce',
    servers: [{ keywords: ['SIZE 100'] }],
    config: { soft_bounce: 'yes' },
  },
  {
    name: 'odd: a status filter that makes no sense',
    servers: [{ hooks: { rcpt: '550 5.1.1 nobody' } }],
    config: { smtp_delivery_status_filter: 'regexp:{{/^5(.*)/ 2$$1}}' },
  },
  {
    name: 'odd: a status filter for a success',
    config: { smtp_delivery_status_filter: 'regexp:{{/^2(.*)/ 2.9.9 fine}}' },
  },
  {
    name: 'odd: a reply filter on the greeting',
    servers: [{ hooks: { greeting: '554 5.7.1 go away' } }],
    config: { smtp_reply_filter: 'regexp:{{/^554 (.*)/ 220 welcome}}' },
  },
  {
    name: 'odd: ninety recipients, every third refused',
    recipients: Array.from({ length: 45 }, (_, n) => `user-with-a-rather-long-name-${n + 10}`),
    servers: [{ hooks: { rcpt: ({ recipient }) => everyThird(recipient) } }],
  },
  {
    name: 'odd: every third refused, one by one, then the dot',
    recipients: Array.from({ length: 9 }, (_, n) => `user${n}`),
    servers: [
      { keywords: PLAIN, hooks: { rcpt: ({ recipient }) => everyThird(recipient), dot: '552 5.3.4 big' } },
    ],
  },
  {
    name: 'odd: all delayed at the first, all taken by the second',
    recipients: ['a', 'b', 'c'],
    servers: [{ hooks: { rcpt: '450 4.2.1 later' } }, {}],
  },
  {
    name: 'odd: ENVID and ORCPT with characters to encode',
    recipients: [
      { localPart: 'a', parameters: 'ORCPT=rfc822;a+2Bb+3Dc@example.net', orcpt: 'rfc822;a+b=c@example.net' },
    ],
    envid: 'QQ314159',
    ret: 'FULL',
  },
  { name: 'odd: a sender to quote', sender: 'a b@example.org' },
  {
    name: 'odd: 421 for MAIL, no hang-up, pipelined',
    servers: [{ hooks: { mail: '421 4.3.2 busy' } }],
  },
  {
    name: 'odd: 421 for the dot, no hang-up, two hosts',
    servers: [{ hooks: { dot: '421 4.3.2 busy' } }, {}],
  },
  {
    name: 'odd: STARTTLS 421',
    servers: [{ keywords: ['STARTTLS', '8BITMIME'], hooks: { starttls: '421 4.3.2 busy' } }],
    config: { smtp_tls_security_level: 'may' },
  },
  {
    name: 'odd: STARTTLS 421, required',
    servers: [{ keywords: ['STARTTLS', '8BITMIME'], hooks: { starttls: '421 4.3.2 busy' } }],
    config: { smtp_tls_security_level: 'encrypt' },
  },
  {
    name: 'odd: STARTTLS 354, required',
    servers: [{ keywords: ['STARTTLS', '8BITMIME'], hooks: { starttls: '354 go' } }],
    config: { smtp_tls_security_level: 'encrypt' },
  },
  {
    name: 'odd: a bad destination after a good one that is shut',
    servers: ['refused'],
    nexthop: '[127.0.0.1]:%1, [gone.invalid]:%1',
  },
  {
    name: 'odd: LMTP, a reply too few',
    protocol: 'lmtp',
    recipients: ['a', 'b'],
    servers: [
      {
        hooks: {
          dot: ({ recipient }) => (recipient?.startsWith('b') === true ? { silent: true } : undefined),
        },
      },
    ],
    config: { lmtp_data_done_timeout: '1s' },
  },
  {
    name: 'odd: LMTP, 421 for the first of two',
    protocol: 'lmtp',
    recipients: ['a', 'b'],
    servers: [
      {
        hooks: {
          dot: ({ recipient }) => (recipient?.startsWith('a') === true ? '421 4.3.2 wait' : undefined),
        },
      },
    ],
  },
  {
    name: 'odd: LMTP, EHLO keywords in LHLO',
    protocol: 'lmtp',
    servers: [{ keywords: ['PIPELINING', 'SIZE 100000', '8BITMIME', 'DSN', 'XFORWARD NAME'] }],
    encoding: '8bit',
  },
  {
    name: 'odd: LMTP, the greeting is our own name',
    protocol: 'lmtp',
    servers: [{ hooks: { greeting: '220 client.test LMTP' } }],
  },
];
