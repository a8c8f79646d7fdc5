/** The dialogues of the sender/receiver engine, byte order included: what is sent together, and what waits for what. */
import { type AddressInfo, createServer } from 'node:net';
import { type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const ehlo = {
  plain: ['S: 220 sink.test ESMTP', 'C: EHLO client.test', 'S: 250 sink.test'],
  pipelining: ['S: 220 sink.test ESMTP', 'C: EHLO client.test', 'S: 250-sink.test', 'S: 250 PIPELINING'],
  lmtp: ['S: 220 sink.test LMTP', 'C: LHLO client.test', 'S: 250 sink.test'],
  lmtpPipelining: ['S: 220 sink.test LMTP', 'C: LHLO client.test', 'S: 250-sink.test', 'S: 250 PIPELINING'],
};
const mail = 'C: MAIL FROM:<sender@example.org>';
const rcpt = (name: string): string => `C: RCPT TO:<${name}@example.com>`;

const talk = async (script: readonly string[], delivery: TestDelivery = {}): Promise<TestResult> => {
  const server = await startSmtpServer({ scripts: [script] });
  servers.push(server);
  const result = await deliver({ servers: [server], ...delivery });
  await server.dialogueDone();
  return result;
};

interface Case {
  readonly name: string;
  readonly script: readonly string[];
  readonly verdicts: readonly string[];
  readonly delivery?: TestDelivery;
}

const said = (text: string, stage: string): string =>
  `host mx1.test[127.0.0.1] said: ${text} (in reply to ${stage})`;
const two: TestDelivery = { requests: [['a@example.com', 'b@example.com']] };

const cases: readonly Case[] = [
  {
    name: 'D1 without pipelining every command waits',
    script: [
      ...ehlo.plain,
      mail,
      'S: 250 ok',
      rcpt('one'),
      'S: 250 ok',
      'C: DATA',
      'S: 354 go',
      'content',
      'S: 250 2.0.0 taken as 1',
      'C: QUIT',
      'S: 221 bye',
    ],
    verdicts: ['delivered 2.0.0 250 2.0.0 taken as 1'],
  },
  {
    name: 'D2 pipelining: envelope in one flush, QUIT along with the dot',
    script: [
      ...ehlo.pipelining,
      mail,
      rcpt('a'),
      rcpt('b'),
      'C: DATA',
      'S: 250 ok',
      'S: 250 ok',
      'S: 250 ok',
      'S: 354 go',
      'content',
      'C: QUIT',
      'S: 250 2.6.0 taken',
      'S: 221 bye',
      'eof',
    ],
    delivery: two,
    verdicts: ['delivered 2.6.0 250 2.6.0 taken', 'delivered 2.6.0 250 2.6.0 taken'],
  },
  {
    name: 'D3 MAIL refused without pipelining',
    script: [
      ...ehlo.plain,
      mail,
      'S: 450 4.7.1 later',
      'C: RSET',
      'S: 250 ok',
      'C: QUIT',
      'S: 221 bye',
      'eof',
    ],
    verdicts: [`deferred 4.7.1 ${said('450 4.7.1 later', 'MAIL FROM command')}`],
  },
  {
    name: 'D4 MAIL 450 and DATA 5xx under pipelining',
    script: [
      ...ehlo.pipelining,
      mail,
      rcpt('one'),
      'C: DATA',
      'S: 450 later',
      'S: 503 no',
      'S: 503 no',
      'C: RSET',
      'C: QUIT',
      'S: 250 ok',
      'S: 221 bye',
      'eof',
    ],
    verdicts: [`deferred 4.0.0 ${said('450 later', 'MAIL FROM command')}`],
  },
  {
    name: 'D5 MAIL 450 and DATA 354 under pipelining: a lone dot',
    script: [
      ...ehlo.pipelining,
      mail,
      rcpt('one'),
      'C: DATA',
      'S: 450 later',
      'S: 503 no',
      'S: 354 go',
      'C: .',
      'C: QUIT',
      'S: 554 nobody',
      'S: 221 bye',
      'eof',
    ],
    verdicts: [`deferred 4.0.0 ${said('450 later', 'MAIL FROM command')}`],
  },
  {
    name: 'D6 all recipients refused without pipelining: no DATA',
    script: [
      ...ehlo.plain,
      mail,
      'S: 250 ok',
      rcpt('a'),
      'S: 550 5.1.1 unknown',
      rcpt('b'),
      'S: 552 full',
      'C: RSET',
      'S: 250 ok',
      'C: QUIT',
      'S: 221 bye',
      'eof',
    ],
    delivery: two,
    verdicts: [
      `bounced 5.1.1 ${said('550 5.1.1 unknown', 'RCPT TO command')}`,
      `bounced 5.0.0 ${said('552 full', 'RCPT TO command')}`,
    ],
  },
  {
    name: 'D7 all recipients refused, DATA 554 under pipelining',
    script: [
      ...ehlo.pipelining,
      mail,
      rcpt('a'),
      rcpt('b'),
      'C: DATA',
      'S: 250 ok',
      'S: 550 no',
      'S: 550 no',
      'S: 554 nobody',
      'C: RSET',
      'C: QUIT',
      'S: 250 ok',
      'S: 221 bye',
      'eof',
    ],
    delivery: two,
    verdicts: [
      `bounced 5.0.0 ${said('550 no', 'RCPT TO command')}`,
      `bounced 5.0.0 ${said('550 no', 'RCPT TO command')}`,
    ],
  },
  {
    name: 'D8 all recipients refused, DATA 354 under pipelining',
    script: [
      ...ehlo.pipelining,
      mail,
      rcpt('one'),
      'C: DATA',
      'S: 250 ok',
      'S: 550 no',
      'S: 354 go',
      'C: .',
      'C: QUIT',
      'S: 250 ok',
      'S: 221 bye',
      'eof',
    ],
    verdicts: [`bounced 5.0.0 ${said('550 no', 'RCPT TO command')}`],
  },
  {
    name: 'D9 DATA refused without pipelining',
    script: [
      ...ehlo.plain,
      mail,
      'S: 250 ok',
      rcpt('one'),
      'S: 250 ok',
      'C: DATA',
      'S: 554 no',
      'C: RSET',
      'S: 250 ok',
      'C: QUIT',
      'S: 221 bye',
      'eof',
    ],
    verdicts: [`bounced 5.0.0 ${said('554 no', 'DATA command')}`],
  },
  {
    name: 'D9 DATA refused under pipelining; 2xx to DATA is a protocol error',
    script: [
      ...ehlo.pipelining,
      mail,
      rcpt('one'),
      'C: DATA',
      'S: 250 ok',
      'S: 250 ok',
      'S: 250 what',
      'C: RSET',
      'C: QUIT',
      'S: 250 ok',
      'S: 221 bye',
      'eof',
    ],
    verdicts: [`bounced 5.5.0 Protocol error: ${said('250 what', 'DATA command')}`],
  },
  {
    name: 'D10 a session that is wanted ends after the dot, and serves the next request without greeting',
    script: [
      ...ehlo.pipelining,
      mail,
      rcpt('a'),
      'C: DATA',
      'S: 250 ok',
      'S: 250 ok',
      'S: 354 go',
      'content',
      'S: 250 first',
      mail,
      rcpt('b'),
      'C: DATA',
      'S: 550 no sender',
      'S: 503 no',
      'S: 503 no',
      'C: RSET',
      'S: 250 ok',
      mail,
      rcpt('c'),
      'C: DATA',
      'S: 250 ok',
      'S: 250 ok',
      'S: 354 go',
      'content',
      'C: QUIT',
      'S: 250 third',
      'S: 221 bye',
      'eof',
    ],
    delivery: { requests: [['a@example.com'], ['b@example.com'], ['c@example.com']] },
    verdicts: [
      'delivered 2.0.0 250 first',
      `bounced 5.0.0 ${said('550 no sender', 'MAIL FROM command')}`,
      'delivered 2.0.0 250 third',
    ],
  },
  {
    name: 'D13 LMTP: one reply per accepted recipient in RCPT order, then the QUIT reply is awaited',
    script: [
      ...ehlo.lmtpPipelining,
      mail,
      rcpt('a'),
      rcpt('b'),
      rcpt('c'),
      rcpt('d'),
      'C: DATA',
      'S: 250 ok',
      'S: 250 ok',
      'S: 550 no',
      'S: 250 ok',
      'S: 250 ok',
      'S: 354 go',
      'content',
      'C: QUIT',
      'S: 250 2.1.5 a',
      'S: 452 4.2.2 c full',
      'S: 554 5.6.0 d no',
      'S: 221 bye',
      'eof',
    ],
    delivery: {
      protocol: 'lmtp',
      requests: [['a@example.com', 'b@example.com', 'c@example.com', 'd@example.com']],
    },
    verdicts: [
      `bounced 5.0.0 ${said('550 no', 'RCPT TO command')}`,
      'delivered 2.1.5 250 2.1.5 a',
      `deferred 4.2.2 ${said('452 4.2.2 c full', 'end of DATA command')}`,
      `bounced 5.6.0 ${said('554 5.6.0 d no', 'end of DATA command')}`,
    ],
  },
  {
    name: 'LMTP without pipelining',
    script: [
      ...ehlo.lmtp,
      mail,
      'S: 250 ok',
      rcpt('a'),
      'S: 250 ok',
      rcpt('b'),
      'S: 250 ok',
      'C: DATA',
      'S: 354 go',
      'content',
      'S: 250 a',
      'S: 250 b',
      'C: QUIT',
      'S: 221 bye',
      'eof',
    ],
    delivery: { ...two, protocol: 'lmtp' },
    verdicts: ['delivered 2.0.0 250 a', 'delivered 2.0.0 250 b'],
  },
  {
    name: 'LMTP: lost after one of two replies',
    script: [
      ...ehlo.lmtpPipelining,
      mail,
      rcpt('a'),
      rcpt('b'),
      'C: DATA',
      'S: 250 ok',
      'S: 250 ok',
      'S: 250 ok',
      'S: 354 go',
      'content',
      'S: 250 a',
      'close',
    ],
    delivery: { ...two, protocol: 'lmtp' },
    verdicts: [
      'delivered 2.0.0 250 a',
      'deferred 4.4.2 lost connection with mx1.test[127.0.0.1] while sending end of data -- message may be sent more than once',
    ],
  },
  {
    name: 'LMTP: nobody accepted, DATA 354: exactly one reply to the lone dot',
    script: [
      ...ehlo.lmtpPipelining,
      mail,
      rcpt('a'),
      rcpt('b'),
      'C: DATA',
      'S: 250 ok',
      'S: 550 no',
      'S: 450 no',
      'S: 354 go',
      'C: .',
      'C: QUIT',
      'S: 503 nobody',
      'S: 221 bye',
      'eof',
    ],
    delivery: { ...two, protocol: 'lmtp' },
    verdicts: [
      `bounced 5.0.0 ${said('550 no', 'RCPT TO command')}`,
      `deferred 4.0.0 ${said('450 no', 'RCPT TO command')}`,
    ],
  },
  {
    name: 'D14 RCPT 421 without hang-up: the transaction goes on',
    script: [
      ...ehlo.plain,
      mail,
      'S: 250 ok',
      rcpt('a'),
      'S: 421 4.3.2 busy',
      rcpt('b'),
      'S: 250 ok',
      'C: DATA',
      'S: 354 go',
      'content',
      'S: 250 taken',
      'C: QUIT',
      'S: 221 bye',
    ],
    delivery: two,
    verdicts: [`deferred 4.3.2 ${said('421 4.3.2 busy', 'RCPT TO command')}`, 'delivered 2.0.0 250 taken'],
  },
  {
    name: 'unexpected 1xx to RCPT bounces with 5.5.0 and no prefix',
    script: [
      ...ehlo.plain,
      mail,
      'S: 250 ok',
      rcpt('one'),
      'S: 150 hm',
      'C: RSET',
      'S: 250 ok',
      'C: QUIT',
      'S: 221 bye',
    ],
    verdicts: [`bounced 5.5.0 ${said('150 hm', 'RCPT TO command')}`],
  },
  {
    name: 'end of data refused, multi-line: the final line gives the status',
    script: [
      ...ehlo.plain,
      mail,
      'S: 250 ok',
      rcpt('one'),
      'S: 250 ok',
      'C: DATA',
      'S: 354 go',
      'content',
      'S: 554-5.7.0 spam',
      'S: 554 5.7.1 see example.com',
      'C: QUIT',
      'S: 221 bye',
    ],
    verdicts: [`bounced 5.7.1 ${said('554-5.7.0 spam 554 5.7.1 see example.com', 'end of DATA command')}`],
  },
];

it.each(cases)('$name', async ({ script, verdicts, delivery }) => {
  const result = await talk(script, delivery);
  expect(result.verdicts).toEqual(verdicts);
});

it('reports relay, reply and count of use', async () => {
  const server = await startSmtpServer();
  servers.push(server);
  const { outcomes, dots, results } = await deliver({
    servers: [server],
    requests: [['a@example.com', 'b@example.com'], ['c@example.com']],
  });
  const relay = `mx1.test[127.0.0.1]:${server.port}`;
  expect(
    outcomes.map(({ recipient, relay, connectionUse, action, remoteMta }) => ({
      recipient,
      relay,
      connectionUse,
      action,
      remoteMta,
    })),
  ).toEqual([
    { recipient: 0, relay, connectionUse: undefined, action: 'relayed', remoteMta: 'mx1.test' },
    { recipient: 1, relay, connectionUse: undefined, action: 'relayed', remoteMta: 'mx1.test' },
    { recipient: 0, relay, connectionUse: 2, action: 'relayed', remoteMta: 'mx1.test' },
  ]);
  expect(dots).toEqual([[0, 1], [0]]);
  expect(results[0]?.steps.map(({ step }) => step)).toEqual([
    'connected',
    'ehlo',
    'mail',
    'rcpt',
    'data',
    'dot',
  ]);
  expect(server.connections.total).toBe(1);
});

it('never has more than 4096 bytes of commands unanswered', async () => {
  const chunks: number[] = [];
  // Collects what arrives until the client falls silent, then answers all of it.
  const server = createServer((socket) => {
    let input = '';
    let content = false;
    let timer: NodeJS.Timeout | undefined;
    const answer = (): void => {
      if (content) {
        if (!input.endsWith('\r\n.\r\nQUIT\r\n')) return;
        socket.end('250 taken\r\n221 bye\r\n');
        return;
      }
      chunks.push(input.length);
      const commands = input.split('\r\n').slice(0, -1);
      content = commands.at(-1) === 'DATA';
      const replies = commands.map((command) => {
        if (command.startsWith('EHLO')) return '250-x\r\n250 PIPELINING\r\n';
        return command === 'DATA' ? '354 go\r\n' : '250 ok\r\n';
      });
      input = '';
      socket.write(replies.join(''));
    };
    socket.on('error', () => undefined).write('220 x\r\n');
    socket.on('data', (chunk) => {
      input += chunk.toString('latin1');
      clearTimeout(timer);
      timer = setTimeout(answer, 15);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const addresses = Array.from({ length: 300 }, (_, index) => `recipient${index}@example.com`);
  const { outcomes } = await deliver({
    servers: [{ host: '127.0.0.1', port }],
    requests: [addresses],
    config: { smtp_data_done_timeout: '3s' },
  });
  server.close();
  expect(outcomes.filter((outcome) => outcome.kind === 'delivered')).toHaveLength(300);
  const [, ...transaction] = chunks;
  expect(Math.max(...transaction)).toBeLessThanOrEqual(4096);
  // All but the last are as full as the next command allows.
  expect(Math.min(...transaction.slice(0, -1))).toBeGreaterThan(4096 - 45);
  expect(transaction.length).toBe(3);
});
