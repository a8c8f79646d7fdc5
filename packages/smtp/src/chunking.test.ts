/** BDAT (RFC 3030): a small message in one round trip, and what each reply to it means. */
import { type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const talk = async (
  scripts: readonly (readonly string[])[],
  delivery: TestDelivery = {},
): Promise<{ result: TestResult; server: SmtpServer }> => {
  const server = await startSmtpServer({ scripts });
  servers.push(server);
  const result = await deliver({ servers: [server], content: 'a: b\n\n.\n', ...delivery });
  await server.dialogueDone();
  return { result, server };
};

const hello = ['S: 220 x ESMTP', 'C: EHLO*', 'S: 250-x', 'S: 250-PIPELINING', 'S: 250 CHUNKING'];
const lhlo = ['S: 220 x LMTP', 'C: LHLO*', 'S: 250-x', 'S: 250-PIPELINING', 'S: 250 CHUNKING'];
const chunk = ['C: BDAT 11 LAST', 'C: a: b', 'C: ', 'C: .'];
const chunked = (...names: string[]): string[] => [
  'C: MAIL*',
  ...names.map((name) => `C: RCPT TO:<${name}@*`),
  ...chunk,
];
const ahead = (name: string): string[] => ['C: RSET', 'C: MAIL*', `C: RCPT TO:<${name}@*`, 'C: DATA'];
const plain = (name: string): string[] => ['C: MAIL*', `C: RCPT TO:<${name}@*`, 'C: DATA'];
const willing = ['S: 250 ok', 'S: 250 ok', 'S: 354 go'];
const bye = ['C: QUIT', 'S: 221 bye', 'eof'];
const said = (text: string, stage = 'end of DATA command'): string =>
  `host mx1.test[127.0.0.1] said: ${text} (in reply to ${stage})`;

it('MAIL, RCPT and content go out together, the dot as it is', async () => {
  const { result } = await talk([
    [...hello, ...chunked('one'), 'S: 250 ok', 'S: 250 ok', 'S: 250 2.6.0 taken', ...bye],
  ]);
  expect(result.verdicts).toEqual(['delivered 2.6.0 250 2.6.0 taken']);
  expect(result.dots).toEqual([[0]]);
});

it.each<[string, Record<string, string>, string[]]>([
  ['smtp_chunking = no', { smtp_chunking: 'no' }, hello],
  ['the keyword is discarded', { smtp_discard_ehlo_keywords: 'chunking' }, hello],
  ['no CHUNKING', {}, hello.toSpliced(-2, 2, 'S: 250 PIPELINING')],
  [
    'a PIX',
    { smtp_pix_workarounds: 'delay_dotcrlf', smtp_pix_workaround_delay_time: '1s' },
    ['S: 220 ***', ...hello.slice(1)],
  ],
])('DATA: %s', async (_, config, opening) => {
  await talk([[...opening, ...plain('one'), ...willing, 'content', 'C: QUIT', 'S: 250 taken']], {
    config,
    envelope: { arrivalMs: Date.now() - 600_000 },
    environment: { sleep: async () => undefined },
  });
});

it('DATA without PIPELINING and for large contents: there is no round trip to win', async () => {
  const alone = [
    'S: 220 x',
    'C: EHLO*',
    'S: 250-x',
    'S: 250 CHUNKING',
    'C: MAIL*',
    'S: 550 no',
    'C: RSET',
    'S: 250 ok',
    'C: QUIT',
  ];
  await talk([alone]);
  await talk([[...hello, ...plain('one'), ...willing, 'content', 'C: QUIT', 'S: 250 taken']], {
    content: Buffer.alloc(65_537, 'x\n'),
  });
});

it('refused recipients are settled by their own replies, the content by its', async () => {
  const { result } = await talk(
    [
      [
        ...hello,
        ...chunked('a', 'b', 'c'),
        'S: 250 ok',
        'S: 250 ok',
        'S: 550 5.1.1 no',
        'S: 250 ok',
        'S: 452 4.3.1 full',
        ...bye,
      ],
    ],
    { requests: [['a@example.com', 'b@example.com', 'c@example.com']] },
  );
  expect(result.verdicts).toEqual([
    `bounced 5.1.1 ${said('550 5.1.1 no', 'RCPT TO command')}`,
    `deferred 4.3.1 ${said('452 4.3.1 full')}`,
    `deferred 4.3.1 ${said('452 4.3.1 full')}`,
  ]);
  expect(result.dots).toEqual([[0, 1, 2]]);
});

it('MAIL refused: the rest is answered and ignored, RSET clears the way for the next message', async () => {
  const { result } = await talk(
    [
      [
        ...hello,
        ...chunked('a'),
        'S: 550 5.7.1 no',
        'S: 503 x',
        'S: 503 x',
        'C: RSET',
        'S: 250 ok',
        ...chunked('b'),
        'S: 250 ok',
        'S: 250 ok',
        'S: 250 taken',
        ...bye,
      ],
    ],
    { requests: [['a@example.com'], ['b@example.com']] },
  );
  expect(result.verdicts).toEqual([
    `bounced 5.7.1 ${said('550 5.7.1 no', 'MAIL FROM command')}`,
    'delivered 2.0.0 250 taken',
  ]);
});

it('LMTP: one reply for each accepted recipient', async () => {
  const { result } = await talk(
    [
      [
        ...lhlo,
        ...chunked('a', 'b', 'c'),
        'S: 250 ok',
        'S: 250 ok',
        'S: 550 no',
        'S: 250 ok',
        'S: 250 first',
        'S: 450 third',
        ...bye,
      ],
    ],
    { protocol: 'lmtp', requests: [['a@example.com', 'b@example.com', 'c@example.com']] },
  );
  expect(result.verdicts.toSorted()).toEqual([
    `bounced 5.0.0 ${said('550 no', 'RCPT TO command')}`,
    `deferred 4.0.0 ${said('450 third')}`,
    'delivered 2.0.0 250 first',
  ]);
});

it('LMTP: nobody accepted, one reply', async () => {
  const { result } = await talk(
    [[...lhlo, ...chunked('one'), 'S: 250 ok', 'S: 550 no', 'S: 503 nobody', ...bye]],
    {
      protocol: 'lmtp',
    },
  );
  expect(result.verdicts).toEqual([`bounced 5.0.0 ${said('550 no', 'RCPT TO command')}`]);
});

it('a server that has shown it can gets QUIT or the next transaction along', async () => {
  const ok = ['S: 250 ok', 'S: 250 ok'];
  const { result } = await talk(
    [
      // First message with BDAT; the second too, and with it the third's opening; that one needs DATA then.
      [
        ...hello,
        ...chunked('a'),
        ...ok,
        'S: 250 first',
        ...chunked('b'),
        ...ahead('c'),
        ...ok,
        'S: 250 second',
        'S: 250 reset',
        ...willing,
        'content',
        'C: QUIT',
        'S: 250 third',
        'S: 221 bye',
        'eof',
      ],
    ],
    { requests: [['a@example.com'], ['b@example.com'], ['c@example.com']] },
  );
  expect(result.verdicts).toEqual([
    'delivered 2.0.0 250 first',
    'delivered 2.0.0 250 second',
    'delivered 2.0.0 250 third',
  ]);
});

it('a server that does not know BDAT after all gets DATA, now and from then on', async () => {
  const { result, server } = await talk(
    [
      [
        ...hello,
        ...chunked('a'),
        'S: 250 ok',
        'S: 250 ok',
        'S: 502 5.5.1 what',
        'C: RSET',
        'S: 250 ok',
        ...plain('a'),
        ...willing,
        'content',
        ...plain('b'),
        'S: 250 first',
        ...willing,
        'content',
        'C: QUIT',
        'S: 250 second',
        'S: 221 bye',
        'eof',
      ],
    ],
    { requests: [['a@example.com'], ['b@example.com']] },
  );
  expect(result.verdicts).toEqual(['delivered 2.0.0 250 first', 'delivered 2.0.0 250 second']);
  expect(result.remarks).toEqual([
    `Q1: host mx1.test[127.0.0.1]:${server.port} offers CHUNKING but does not take BDAT: using DATA`,
  ]);
});

it.each([
  ['MAIL', [], 'sending MAIL FROM'],
  ['RCPT', ['S: 250 ok'], 'sending RCPT TO'],
  ['BDAT', ['S: 250 ok', 'S: 250 ok'], 'sending end of data -- message may be sent more than once'],
])('lost at %s: deferred', async (_, replies, where) => {
  const { result } = await talk([[...hello, ...chunked('one'), ...replies, 'close']]);
  expect(result.verdicts).toEqual([`deferred 4.4.2 lost connection with mx1.test[127.0.0.1] while ${where}`]);
});
