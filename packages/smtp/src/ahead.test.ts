/** The next transaction's commands along with the end of data: what goes out together, and what each reply to it means. */
import { makeConfig } from '@mailfleet/config';
import {
  type Action,
  type HookInfo,
  type SmtpServer,
  startDelayProxy,
  startSmtpServer,
} from '@mailfleet/test-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { createDeliveryAgent } from './agent.ts';
import { HostMemory } from './host-memory.ts';
import { batchOf, deliver, hostsOf, requestTo, type TestDelivery, type TestResult } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const start = async (options: Parameters<typeof startSmtpServer>[0] = {}): Promise<SmtpServer> => {
  const server = await startSmtpServer(options);
  servers.push(server);
  return server;
};

const talk = async (
  scripts: readonly (readonly string[])[],
  delivery: TestDelivery,
): Promise<{ result: TestResult; server: SmtpServer }> => {
  const server = await start({ scripts });
  const result = await deliver({ servers: [server], ...delivery });
  await server.dialogueDone();
  return { result, server };
};

const hello = ['S: 220 x ESMTP', 'C: EHLO client.test', 'S: 250-x', 'S: 250 PIPELINING'];
const lhlo = ['S: 220 x LMTP', 'C: LHLO client.test', 'S: 250-x', 'S: 250 PIPELINING'];
const mail = 'C: MAIL FROM:<sender@example.org>';
const rcpt = (name: string): string => `C: RCPT TO:<${name}@example.com>`;
const envelope = (...names: string[]): string[] => [mail, ...names.map(rcpt), 'C: DATA'];
const willing = ['S: 250 ok', 'S: 250 ok', 'S: 354 go'];
const requests = [['a@example.com'], ['b@example.com']];
const said = (text: string, stage: string): string =>
  `host mx1.test[127.0.0.1] said: ${text} (in reply to ${stage})`;
const note = (port: number, id: string): string =>
  `${id}: host mx1.test[127.0.0.1]:${port} did not answer a transaction sent along with the end of data: from now on it gets one after the other`;

it('the server sees MAIL, RCPT and DATA of the next message before it answers the dot', async () => {
  const { result } = await talk(
    [
      [
        ...hello,
        ...envelope('a'),
        ...willing,
        'content',
        ...envelope('b'),
        'S: 250 first',
        ...willing,
        'content',
        'C: QUIT',
        'S: 250 second',
        'S: 221 bye',
        'eof',
      ],
    ],
    { requests },
  );
  expect(result.verdicts).toEqual(['delivered 2.0.0 250 first', 'delivered 2.0.0 250 second']);
  expect(result.outcomes.map(({ connectionUse }) => connectionUse)).toEqual([undefined, 2]);
  expect(result.dots).toEqual([[0], [0]]);
  expect(result.remarks).toEqual([]);
});

it('LMTP: all replies to the dot come first', async () => {
  const { result } = await talk(
    [
      [
        ...lhlo,
        ...envelope('a', 'b'),
        'S: 250 ok',
        ...willing,
        'content',
        ...envelope('c'),
        'S: 250 first',
        'S: 550 full',
        ...willing,
        'content',
        'C: QUIT',
        'S: 250 third',
        'S: 221 bye',
        'eof',
      ],
    ],
    { protocol: 'lmtp', requests: [['a@example.com', 'b@example.com'], ['c@example.com']] },
  );
  expect(result.verdicts).toEqual([
    'delivered 2.0.0 250 first',
    `bounced 5.0.0 ${said('550 full', 'end of DATA command')}`,
    'delivered 2.0.0 250 third',
  ]);
});

it.each([
  ['smtp_transaction_pipelining = no', { smtp_transaction_pipelining: 'no' }, 'smtp'],
  ['lmtp_transaction_pipelining = no', { lmtp_transaction_pipelining: 'no' }, 'lmtp'],
  ['PIPELINING discarded', { smtp_discard_ehlo_keywords: 'pipelining' }, 'smtp'],
] as const)('%s: one message after the other', async (_, config, protocol) => {
  const seen: string[] = [];
  const server = await start({
    protocol,
    hooks: { dot: ({ session }) => void seen.push(session.commands.at(-1) ?? '') },
  });
  const proxy = await startDelayProxy(server, 0);
  await deliver({ protocol, servers: [proxy], config, requests });
  await proxy.close();
  expect(server.messages.map((message) => message.session)).toEqual([1, 1]);
  // EHLO, MAIL + RCPT + DATA, content, and both again; more turns without pipelining.
  expect(proxy.turns).toBeGreaterThanOrEqual(5);
});

it('one turn per message', async () => {
  const server = await start();
  const proxy = await startDelayProxy(server, 0);
  await deliver({
    servers: [proxy],
    requests: Array.from({ length: 20 }, (_, index) => [`user${index}@example.com`]),
  });
  await proxy.close();
  expect(server.messages.map((message) => message.session)).toEqual(Array(20).fill(1));
  // EHLO, the first envelope, and twenty contents.
  expect(proxy.turns).toBe(22);
});

describe('the next message’s commands are judged by their own replies', () => {
  it.each<[string, string[], string[], string]>([
    [
      'MAIL 450, DATA 354: a lone dot',
      ['S: 450 later', 'S: 503 no', 'S: 354 go'],
      ['C: .', 'C: QUIT', 'S: 554 nobody', 'S: 221 bye', 'eof'],
      `deferred 4.0.0 ${said('450 later', 'MAIL FROM command')}`,
    ],
    [
      'MAIL 550, DATA 503: RSET',
      ['S: 550 5.7.1 no', 'S: 503 no', 'S: 503 no'],
      ['C: RSET', 'C: QUIT', 'S: 250 ok', 'S: 221 bye', 'eof'],
      `bounced 5.7.1 ${said('550 5.7.1 no', 'MAIL FROM command')}`,
    ],
    [
      'RCPT refused, DATA 354: a lone dot',
      ['S: 250 ok', 'S: 550 5.1.1 unknown', 'S: 354 go'],
      ['C: .', 'C: QUIT', 'S: 554 nobody', 'S: 221 bye', 'eof'],
      `bounced 5.1.1 ${said('550 5.1.1 unknown', 'RCPT TO command')}`,
    ],
    [
      'RCPT refused, DATA 503: RSET',
      ['S: 250 ok', 'S: 550 5.1.1 unknown', 'S: 503 nobody'],
      ['C: RSET', 'C: QUIT', 'S: 250 ok', 'S: 221 bye', 'eof'],
      `bounced 5.1.1 ${said('550 5.1.1 unknown', 'RCPT TO command')}`,
    ],
    [
      'DATA 451: RSET',
      ['S: 250 ok', 'S: 250 ok', 'S: 451 4.3.0 later'],
      ['C: RSET', 'C: QUIT', 'S: 250 ok', 'S: 221 bye', 'eof'],
      `deferred 4.3.0 ${said('451 4.3.0 later', 'DATA command')}`,
    ],
  ])('%s', async (_, replies, rest, verdict) => {
    const { result, server } = await talk(
      [
        [
          ...hello,
          ...envelope('a'),
          ...willing,
          'content',
          ...envelope('b'),
          'S: 250 first',
          ...replies,
          ...rest,
        ],
      ],
      { requests },
    );
    expect(result.verdicts).toEqual(['delivered 2.0.0 250 first', verdict]);
    expect(server.connections.total).toBe(1);
  });

  it('a refused first message does not touch them', async () => {
    const { result } = await talk(
      [
        [
          ...hello,
          ...envelope('a'),
          ...willing,
          'content',
          ...envelope('b'),
          'S: 550 5.6.0 spam',
          ...willing,
          'content',
          'C: QUIT',
          'S: 250 second',
          'S: 221 bye',
          'eof',
        ],
      ],
      { requests },
    );
    expect(result.verdicts).toEqual([
      `bounced 5.6.0 ${said('550 5.6.0 spam', 'end of DATA command')}`,
      'delivered 2.0.0 250 second',
    ]);
  });
});

describe('a fresh session, without penalty', () => {
  const afresh = [
    ...hello,
    ...envelope('b'),
    ...willing,
    'content',
    'C: QUIT',
    'S: 250 second',
    'S: 221 bye',
    'eof',
  ];
  it.each<[string, string[], string]>([
    [
      '421 to the dot',
      ['S: 421 4.3.2 bye', 'close'],
      `deferred 4.3.2 ${said('421 4.3.2 bye', 'end of DATA command')}`,
    ],
    ['lost after the dot’s reply', ['S: 250 first', 'close'], 'delivered 2.0.0 250 first'],
    [
      'lost after some of the replies',
      ['S: 250 first', 'S: 250 ok', 'S: 250 ok', 'close'],
      'delivered 2.0.0 250 first',
    ],
    ['silence', ['S: 250 first', 'silence'], 'delivered 2.0.0 250 first'],
    [
      '421 to MAIL',
      ['S: 250 first', 'S: 421 too many', 'S: 503 no', 'S: 503 no'],
      'delivered 2.0.0 250 first',
    ],
    [
      'bad sequence',
      ['S: 250 first', 'S: 503 5.5.1 what', 'S: 503 no', 'S: 503 no'],
      'delivered 2.0.0 250 first',
    ],
    [
      'improper pipelining',
      ['S: 250 first', 'S: 554 improper', 'S: 503 no', 'S: 503 no'],
      'delivered 2.0.0 250 first',
    ],
    ['one reply too many', ['S: 250 first', 'S: 250 first', ...willing], 'delivered 2.0.0 250 first'],
    ['a line that is none', ['S: 250 first', 'S: hm', ...willing], 'delivered 2.0.0 250 first'],
  ])('%s', async (_, end, first) => {
    const { result, server } = await talk(
      [[...hello, ...envelope('a'), ...willing, 'content', ...envelope('b'), ...end], afresh],
      { requests, config: { smtp_mail_timeout: '1s', helpful_warnings: 'no' } },
    );
    expect(result.verdicts).toEqual([first, 'delivered 2.0.0 250 second']);
    expect(result.outcomes.map(({ connectionUse }) => connectionUse)).toEqual([undefined, undefined]);
    expect(result.results.map(({ hopStatus }) => hopStatus)).toEqual([undefined, undefined]);
    expect(result.remarks.filter((text) => text.includes('along with'))).toHaveLength(1);
    expect(server.connections.total).toBe(2);
  });

  it('lost before the dot’s reply: the first message is in doubt, the second was never tried', async () => {
    const { result, server } = await talk(
      [[...hello, ...envelope('a'), ...willing, 'content', ...envelope('b'), 'close']],
      { requests },
    );
    expect(result.verdicts).toEqual([
      'deferred 4.4.2 lost connection with mx1.test[127.0.0.1] while sending end of data -- message may be sent more than once',
    ]);
    expect(result.returned).toEqual(['Q2']);
    expect(result.dots).toEqual([[0]]);
    expect(result.remarks).toEqual([note(server.port, 'Q1')]);
  });

  it('a message that goes on to the next host takes the session along; the other one starts there', async () => {
    const first = await start({ hooks: { dot: '450 4.2.0 later' } });
    const second = await start();
    const { outcomes } = await deliver({ servers: [first, second], requests });
    expect(outcomes.map(({ kind, relay }) => [kind, relay.slice(0, 3)])).toEqual([
      ['delivered', 'mx2'],
      ['delivered', 'mx2'],
    ]);
    expect(second.sessions.map(({ messages }) => messages)).toEqual([2]);
  });
});

it('a server that cannot do it is asked once', async () => {
  const server = await start({
    hooks: {
      dot: ({ session }) => (session.number === 1 ? { reply: '250 2.0.0 ok', close: true } : undefined),
    },
  });
  const result = await deliver({
    servers: [server],
    requests: ['a', 'b', 'c', 'd'].map((name) => [`${name}@example.com`]),
  });
  expect(result.outcomes.map(({ kind }) => kind)).toEqual(Array(4).fill('delivered'));
  expect(result.remarks).toEqual([note(server.port, 'Q2')]);
  expect(server.sessions.map(({ messages }) => messages)).toEqual([1, 3]);
});

it('what a host cannot do is remembered from batch to batch, for that host alone', async () => {
  const hangsUp = ({ session }: HookInfo): Action | undefined =>
    session.number === 1 ? { reply: '250 2.0.0 ok', close: true } : undefined;
  const clumsy = await start({ record: true, hooks: { dot: hangsUp } });
  const able = await start({ record: true, host: '127.0.0.2' });
  const agent = createDeliveryAgent({
    config: makeConfig({ myhostname: 'client.test', smtp_tls_security_level: 'none' }),
    transport: 'smtp',
    protocol: 'smtp',
    findHosts: async (destination) => ({
      kind: 'found',
      hosts: hostsOf([destination === 'clumsy.test' ? clumsy : able]),
      finalNexthop: false,
    }),
  });
  const send = async (destination: string): Promise<void> => {
    const batch = batchOf(
      ['a', 'b', 'c'].map((name) => requestTo([`${name}@example.com`], name)),
      destination,
    );
    await agent.deliverBatch(batch, {
      content: async () => Buffer.from('Subject: x\r\n\r\n'),
      beforeDot: () => undefined,
      record: async () => undefined,
      signal: new AbortController().signal,
    });
  };
  await send('clumsy.test');
  await send('clumsy.test');
  await send('able.test');
  const wentAlong = (server: SmtpServer): boolean[] =>
    server.sessions.map(({ rounds }) => rounds.some((round) => round.includes('\r\n.\r\nMAIL')));
  expect(wentAlong(clumsy)).toEqual([true, false, false]);
  expect(clumsy.sessions.map(({ messages }) => messages)).toEqual([1, 2, 3]);
  expect(wentAlong(able)).toEqual([true]);
});

it('waits for the reply where the next content is not at hand', async () => {
  const server = await start();
  let release = (): void => undefined;
  const slow = new Promise<void>((resolve) => {
    release = resolve;
  });
  const result = await deliver({
    servers: [server],
    requests,
    content: async (request) => {
      if (request.envelope.queueId === 'Q2') await slow;
      return Buffer.from('Subject: x\r\n\r\n');
    },
    onRecord: ({ queueId }) => {
      if (queueId !== 'Q1') return;
      expect(server.sessions[0]?.commands.filter((line) => line === 'DATA')).toHaveLength(1);
      release();
    },
  });
  expect(result.outcomes.map(({ kind }) => kind)).toEqual(['delivered', 'delivered']);
});

it('remembers servers: two failures in a row are needed once it has worked, and the oldest of 10,000 is forgotten', () => {
  const memory = new HostMemory();
  const host = (index: number) => ({ host: 'x', address: `192.0.2.${index}`, port: 25 });
  expect(memory.mayTry(host(1))).toBe(true);
  expect(memory.isProven(host(1))).toBe(false);
  memory.succeeded(host(1));
  expect(memory.isProven(host(1))).toBe(true);
  expect(memory.failed(host(1))).toBe(false);
  expect(memory.mayTry(host(1))).toBe(true);
  expect(memory.failed(host(1))).toBe(true);
  expect(memory.mayTry(host(1))).toBe(false);
  for (let index = 2; index <= 10_001; index++) memory.succeeded(host(index));
  expect(memory.mayTry(host(1))).toBe(true);
  expect(memory.isProven(host(2))).toBe(true);
});
