/** Connections that break, stall or talk nonsense, at every step: what is recorded, and what the server sees last. */
import { type AddressInfo, createServer } from 'node:net';
import { Readable } from 'node:stream';
import { type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const start = async (options: Parameters<typeof startSmtpServer>[0]): Promise<SmtpServer> => {
  const server = await startSmtpServer(options);
  servers.push(server);
  return server;
};

const talk = async (
  script: readonly string[],
  delivery: TestDelivery = {},
): Promise<{ result: TestResult; server: SmtpServer }> => {
  const server = await start({ scripts: [script] });
  return { result: await deliver({ servers: [server], ...delivery }), server };
};

const lost = 'lost connection with mx1.test[127.0.0.1] while';
const timedOut = 'conversation with mx1.test[127.0.0.1] timed out while';

/** A dialogue up to a step, with what the server does there. */
const upTo = (step: string, end: string, protocol: 'smtp' | 'lmtp', pipelining: boolean): string[] => {
  const hello = protocol === 'smtp' ? 'EHLO' : 'LHLO';
  const steps: [string, string[]][] = [
    ['greeting', ['S: 220 x ESMTP']],
    [
      'hello',
      [`C: ${hello} client.test`, ...(pipelining ? ['S: 250-x', 'S: 250 PIPELINING'] : ['S: 250 x'])],
    ],
  ];
  const commands: [string, string, string][] = [
    ['mail', 'C: MAIL*', 'S: 250 ok'],
    ['rcpt', 'C: RCPT*', 'S: 250 ok'],
    ['data', 'C: DATA', 'S: 354 go'],
  ];
  const script: string[] = [];
  for (const [name, lines] of steps) {
    if (name === step) return [...script, ...lines.filter((line) => line.startsWith('C:')), end];
    script.push(...lines);
  }
  if (pipelining) script.push(...commands.map(([, command]) => command));
  for (const [name, command, reply] of commands) {
    if (!pipelining) script.push(command);
    if (name === step) return [...script, end];
    script.push(reply);
  }
  return [...script, 'content', end];
};

const wheres = {
  greeting: 'receiving the initial server greeting',
  hello: 'performing the HELLO handshake',
  mail: 'sending MAIL FROM',
  rcpt: 'sending RCPT TO',
  data: 'sending DATA command',
  dot: 'sending end of data -- message may be sent more than once',
};

const kinds = [
  { protocol: 'smtp', pipelining: true },
  { protocol: 'smtp', pipelining: false },
  { protocol: 'lmtp', pipelining: true },
  { protocol: 'lmtp', pipelining: false },
] as const;

describe.each(kinds)('$protocol, pipelining $pipelining', ({ protocol, pipelining }) => {
  const hello = protocol === 'smtp' ? 'EHLO' : 'LHLO';

  it.each(Object.entries(wheres))('lost connection at %s', async (step, where) => {
    const { result } = await talk(upTo(step, 'close', protocol, pipelining), { protocol });
    const reason = `${lost} ${where.replace('HELLO', hello)}`;
    expect(result.verdicts).toEqual([`deferred 4.4.2 ${reason}`]);
    expect(result.results[0]?.hopStatus).toEqual({ status: '4.4.2', reason });
    expect(result.outcomes[0]?.remoteMta).toBeUndefined();
  });
});

const limitOf: Readonly<Record<string, string>> = {
  greeting: 'helo',
  hello: 'helo',
  mail: 'mail',
  rcpt: 'rcpt',
  data: 'data_init',
  dot: 'data_done',
};

it('smtp_helo_timeout, lmtp_lhlo_timeout, smtp_mail_timeout, smtp_rcpt_timeout, smtp_data_init_timeout, smtp_data_done_timeout: every step has its own limit', async () => {
  // All at once: each waits for the shortest limit that main.cf can express, while all other limits are as they are by default.
  const cases = kinds.flatMap((kind) =>
    Object.entries(wheres).map(([step, where]) => ({ ...kind, step, where })),
  );
  const verdicts = await Promise.all(
    cases.map(async ({ protocol, pipelining, step }) => {
      const limit = protocol === 'lmtp' && limitOf[step] === 'helo' ? 'lhlo' : limitOf[step];
      const config = { [`${protocol}_${limit}_timeout`]: '1s' };
      const { result } = await talk(upTo(step, 'silence', protocol, pipelining), { protocol, config });
      return result.verdicts;
    }),
  );
  expect(verdicts).toEqual(
    cases.map(({ protocol, where }) => [
      `deferred 4.4.2 ${timedOut} ${where.replace('HELLO', protocol === 'smtp' ? 'EHLO' : 'LHLO')}`,
    ]),
  );
});

const toDot = upTo('dot', '', 'smtp', false).slice(0, -1);

it('a lost connection after the dot was answered costs nothing', async () => {
  const { result } = await talk([...toDot, 'S: 250 taken', 'close']);
  expect(result.verdicts).toEqual(['delivered 2.0.0 250 taken']);
});

it('a connection lost in the middle of the content: the reply that came first decides', async () => {
  const big = Buffer.alloc(8_000_000, 'x'.repeat(70).concat('\r\n'));
  const premature = await talk([...toDot.slice(0, -1), 'S: 552 5.3.4 too big', 'delay 50', 'reset'], {
    content: big,
  });
  expect(premature.result.verdicts).toEqual([
    'bounced 5.3.4 host mx1.test[127.0.0.1] said: 552 5.3.4 too big (in reply to end of DATA command)',
  ]);
  const silent = await talk([...toDot.slice(0, -1), 'delay 20', 'reset'], { content: big });
  expect(silent.result.verdicts).toEqual([`deferred 4.4.2 ${lost} sending message body`]);
});

it('smtp_data_xfer_timeout: a stalled content write times out', async () => {
  // A server that answers by the book and then reads no more.
  const stalled = createServer((socket) => {
    socket.on('error', () => undefined).write('220 x\r\n');
    socket.on('data', (chunk) => {
      const verb = chunk.toString('latin1').slice(0, 4);
      socket.write(verb === 'DATA' ? '354 go\r\n' : '250 x\r\n');
      if (verb === 'DATA') socket.pause();
    });
  });
  await new Promise<void>((resolve) => stalled.listen(0, '127.0.0.1', resolve));
  const { port } = stalled.address() as AddressInfo;
  const { verdicts } = await deliver({
    servers: [{ host: '127.0.0.1', port }],
    content: Buffer.alloc(20_000_000, 'x'.repeat(70).concat('\r\n')),
    config: { smtp_data_xfer_timeout: '1s' },
  });
  stalled.close();
  expect(verdicts).toEqual([`deferred 4.4.2 ${timedOut} sending message body`]);
});

it.each([
  ['421 4.3.2 busy', 'deferred 4.3.2', true],
  ['450 no', 'deferred 4.0.0', true],
  ['554 5.7.1 no', 'deferred 4.7.1', true],
  ['354 what', 'bounced 5.5.0', false],
])('greeting %s', async (reply, verdict, throttles) => {
  const { result, server } = await talk([`S: ${reply}`, 'C: QUIT', 'S: 221 bye']);
  expect(result.verdicts).toEqual([`${verdict} host mx1.test[127.0.0.1] refused to talk to me: ${reply}`]);
  expect(result.results[0]?.hopStatus !== undefined).toBe(throttles);
  await server.dialogueDone();
});

it('smtp_skip_5xx_greeting = no: a 5xx greeting bounces', async () => {
  const { result } = await talk(['S: 554 5.7.1 no', 'C: QUIT'], { config: { smtp_skip_5xx_greeting: 'no' } });
  expect(result.verdicts).toEqual([
    'bounced 5.7.1 host mx1.test[127.0.0.1] refused to talk to me: 554 5.7.1 no',
  ]);
});

it('smtp_always_send_ehlo and smtp_never_send_ehlo: what a server without ESMTP in its greeting is told', async () => {
  const told = async (greeting: string, config: Record<string, string>): Promise<string | undefined> => {
    const server = await start({ hooks: { greeting } });
    await deliver({ servers: [server], config });
    return server.sessions[0]?.commands[0]?.slice(0, 4);
  };
  const noAlways = { smtp_always_send_ehlo: 'no' };
  expect(await told('220 x', {})).toBe('EHLO');
  expect(await told('220 x', noAlways)).toBe('HELO');
  expect(await told('220 x ESMTP', noAlways)).toBe('EHLO');
  expect(await told('220 x ESMTP', { smtp_never_send_ehlo: 'yes' })).toBe('HELO');
});

it('EHLO refused: HELO; EHLO 421: no HELO', async () => {
  const helo = await talk([
    'S: 220 x',
    'C: EHLO client.test',
    'S: 502 what',
    'C: HELO client.test',
    'S: 550 5.7.0 no',
    'C: QUIT',
  ]);
  expect(helo.result.verdicts).toEqual([
    'bounced 5.7.0 host mx1.test[127.0.0.1] refused to talk to me: 550 5.7.0 no',
  ]);
  const busy = await talk(['S: 220 x', 'C: EHLO client.test', 'S: 421 later', 'C: QUIT']);
  expect(busy.result.verdicts).toEqual([
    'deferred 4.0.0 host mx1.test[127.0.0.1] refused to talk to me: 421 later',
  ]);
  await Promise.all([helo.server.dialogueDone(), busy.server.dialogueDone()]);
});

it('a PIX that hides its banner gets HELO', async () => {
  const { result, server } = await talk([
    'S: 220 *****2*****',
    'C: HELO client.test',
    'S: 250 x',
    'C: MAIL*',
    'S: 550 no',
    'C: RSET',
    'S: 250 ok',
    'C: QUIT',
  ]);
  expect(result.remarks).toEqual([
    expect.stringMatching(/^Q1: enabling PIX workarounds: disable_esmtp for mx1\.test\[127\.0\.0\.1\]:\d+$/),
  ]);
  await server.dialogueDone();
});

describe('settings by address of the server', () => {
  const hello = ['S: 220 x', 'C: EHLO*', 'S: 250-x', 'S: 250-PIPELINING', 'S: 250 DSN'];
  const oneByOne = [...hello, 'C: MAIL*', 'S: 550 no', 'C: RSET', 'S: 250 ok', 'C: QUIT'];
  const together = [
    ...hello,
    'C: MAIL*',
    'C: RCPT*',
    'C: DATA',
    'S: 550 no',
    'S: 503 x',
    'S: 503 x',
    'C: RSET',
    'C: QUIT',
  ];

  it.each([
    [
      'the list',
      { smtp_discard_ehlo_keywords: 'pipelining' },
      oneByOne,
      ['Q1: discarding EHLO keywords: PIPELINING'],
    ],
    [
      'a map entry in place of the list',
      {
        smtp_discard_ehlo_keywords: 'pipelining',
        smtp_discard_ehlo_keyword_address_maps: 'inline:{ 127.0.0.1=dsn }',
      },
      together,
      ['Q1: discarding EHLO keywords: DSN'],
    ],
    [
      'the list where the map has none, silently',
      {
        smtp_discard_ehlo_keywords: 'pipelining silent-discard',
        smtp_discard_ehlo_keyword_address_maps: 'inline:{ 127.0.0.2=dsn }',
      },
      oneByOne,
      [],
    ],
  ])(
    'smtp_discard_ehlo_keywords and smtp_discard_ehlo_keyword_address_maps: discards by %s',
    async (_, config, script, remarks) => {
      const { result, server } = await talk(script, { config });
      expect(result.remarks).toEqual(remarks);
      await server.dialogueDone();
    },
  );

  it.each<[Record<string, string>, string[]]>([
    [{ smtp_discard_ehlo_keywords: 'pipelining' }, []],
    [{ lmtp_discard_lhlo_keywords: 'dsn' }, ['Q1: discarding EHLO keywords: DSN']],
    [
      {
        lmtp_discard_lhlo_keywords: 'pipelining',
        lmtp_discard_lhlo_keyword_address_maps: 'inline:{ 127.0.0.1=dsn }',
      },
      ['Q1: discarding EHLO keywords: DSN'],
    ],
  ])(
    'lmtp_discard_lhlo_keywords and lmtp_discard_lhlo_keyword_address_maps are LMTP’s own: %j',
    async (config, remarks) => {
      const script = together.map((line) => line.replace('EHLO', 'LHLO'));
      const { result, server } = await talk(script, { protocol: 'lmtp', config });
      expect(result.remarks).toEqual(remarks);
      await server.dialogueDone();
    },
  );

  it('sends nothing when the map cannot be asked', async () => {
    const { result } = await talk(together, {
      config: { smtp_discard_ehlo_keyword_address_maps: 'texthash:/nonexistent/map' },
    });
    expect(result.verdicts).toEqual(['deferred 4.3.0 local data error while talking to mx1.test[127.0.0.1]']);
    expect(result.remarks[0]).toMatch(
      /^Q1: warning: smtp_discard_ehlo_keyword_address_maps map lookup error for 127\.0\.0\.1/,
    );
  });
});

it('a message beyond the SIZE limit is not offered, and the connection closes without QUIT', async () => {
  const { result, server } = await talk(['S: 220 x', 'C: EHLO*', 'S: 250-x', 'S: 250 SIZE 100', 'eof'], {
    envelope: { sizeBytes: 101 },
  });
  expect(result.verdicts).toEqual([
    'bounced 5.3.4 message size 101 exceeds size limit 100 of server mx1.test[127.0.0.1]',
  ]);
  await server.dialogueDone();
});

it('a message that needs SMTPUTF8 is not sent without', async () => {
  const server = await start({ keywords: ['PIPELINING'] });
  const delivery = { servers: [server], envelope: { smtputf8: true } };
  const needed = await deliver({ ...delivery, requests: [['jörg@example.com']] });
  const reason =
    'message requires SMTPUTF8, but no server was found that supports SMTPUTF8. The last attempted server was mx1.test[127.0.0.1]';
  expect(needed.verdicts).toEqual([`bounced 5.6.7 ${reason}`]);
  expect((await deliver({ ...delivery, content: 'Subject: ä\n\nx\n' })).verdicts).toEqual([
    `bounced 5.6.7 ${reason}`,
  ]);
  expect((await deliver({ ...delivery, content: 'Subject: a\n\nä\n' })).outcomes[0]?.kind).toBe('delivered');
});

it('a stream’s header is looked at too, and nothing of it is lost', async () => {
  const [ascii, utf8] = [await start({ keywords: [] }), await start({ keywords: ['8BITMIME', 'SMTPUTF8'] })];
  const body = Buffer.alloc(14 * 20_000, 'line of text\r\n');
  const stream = (subject: string) => () =>
    Promise.resolve(Readable.from([Buffer.from(`Subject: ${subject}\r\n\r\n`), body]));
  const envelope = { smtputf8: true };
  const needed = await deliver({ servers: [ascii, utf8], envelope, content: stream('grün') });
  expect(needed.outcomes).toMatchObject([
    { kind: 'delivered', relay: expect.stringMatching(/^mx2/) as string },
  ]);
  const sent = Buffer.concat([Buffer.from('Subject: grün\r\n\r\n'), body]);
  expect(utf8.messages[0]?.raw.equals(sent)).toBe(true);
  const not = await deliver({ servers: [ascii, utf8], envelope, content: stream('x') });
  expect(not.outcomes).toMatchObject([{ kind: 'delivered', relay: expect.stringMatching(/^mx1/) as string }]);
  const broken = async () =>
    new Readable({
      read() {
        this.destroy(new Error('disk on fire'));
      },
    });
  const failed = await deliver({ servers: [utf8], envelope, content: broken });
  expect(failed.verdicts).toEqual(['deferred 4.3.0 unreadable mail queue entry']);
});

it('addresses with line breaks never reach a command line', async () => {
  const server = await start({});
  const delivery = { servers: [server], requests: [['a@example.com\r\nDATA', 'b@example.com']] };
  const { verdicts } = await deliver(delivery);
  expect(verdicts).toEqual([
    'bounced 5.1.3 recipient address contains a line break or null byte',
    expect.stringMatching(/^delivered /),
  ]);
  expect(server.messages[0]?.recipients).toEqual(['b@example.com']);
  const sender = await deliver({ ...delivery, envelope: { sender: 'x\ny@example.org' } });
  expect(sender.outcomes.map((outcome) => outcome.status)).toEqual(['5.1.7', '5.1.7']);
});

it('a garbage line under pipelining is reported, and ends the use of the session', async () => {
  const talkOnce = (end: string[]): string[] => [
    'S: 220 x',
    'C: EHLO*',
    'S: 250-x',
    'S: 250 PIPELINING',
    'C: MAIL*',
    'C: RCPT*',
    'C: DATA',
    'S: 250 ok',
    ...end,
    'S: 250 ok',
    'S: 354 go',
    'content',
    'S: 250 taken',
    'C: QUIT',
  ];
  const server = await start({ scripts: [talkOnce(['S: noise']), talkOnce([])] });
  const { remarks, outcomes } = await deliver({
    servers: [server],
    requests: [['a@example.com'], ['b@example.com']],
  });
  expect(outcomes.map((outcome) => outcome.kind)).toEqual(['delivered', 'delivered']);
  expect(remarks[0]).toBe(`Q1: warning: non-ESMTP response from mx1.test[127.0.0.1]:${server.port}: noise`);
  expect(remarks[1]).toMatch(
    /^Q1: warning: to prevent loss of mail, turn off command pipelining for 127\.0\.0\.1/,
  );
  expect(server.connections.total).toBe(2);
});

it('a content that cannot be read to its end defers and leaves no message behind', async () => {
  const server = await start({});
  const { outcomes } = await deliver({
    servers: [server],
    content: async () =>
      (async function* () {
        yield Buffer.from('Subject: x\r\n');
        throw new Error('disk on fire');
      })(),
  });
  expect(outcomes).toMatchObject([
    { kind: 'deferred', status: '4.3.0', reason: 'unreadable mail queue entry' },
  ]);
  expect(server.messageCount).toBe(0);
});

it('content that cannot be opened defers its message and gives the rest of the batch back', async () => {
  const server = await start({});
  const { outcomes, returned, remarks } = await deliver({
    servers: [server],
    requests: [['a@example.com'], ['b@example.com'], ['c@example.com'], ['d@example.com']],
    content: async ({ envelope }) => {
      if (envelope.queueId === 'Q2') throw new Error('the folder is not mounted');
      return Buffer.from('Subject: x\r\n\r\nx\r\n');
    },
  });
  expect(outcomes).toMatchObject([
    { kind: 'delivered' },
    { kind: 'deferred', status: '4.3.0', reason: 'unreadable mail queue entry', relay: 'none' },
  ]);
  expect(returned).toEqual(['Q3', 'Q4']);
  expect(remarks).toContain('Q2: warning: content cannot be read: the folder is not mounted');
  expect(server.messageCount).toBe(1);
});

it('content that cannot be opened again for the second host defers its message', async () => {
  const broken = await start({ scripts: [upTo('mail', 'S: 451 later', 'smtp', false)] });
  const second = await start({});
  let calls = 0;
  const { outcomes } = await deliver({
    servers: [broken, second],
    content: async () => {
      if (calls++ > 0) throw new Error('the folder is not mounted');
      return Readable.from([Buffer.from('Subject: x\r\n\r\nx\r\n')]);
    },
  });
  expect(outcomes).toMatchObject([
    { kind: 'deferred', status: '4.3.0', reason: 'unreadable mail queue entry' },
  ]);
  expect(second.messageCount).toBe(0);
});

it('no transaction starts while an earlier record waits too long for its answer', async () => {
  const server = await start({});
  const abort = new AbortController();
  let clock = 0;
  const { outcomes, returned } = await deliver({
    servers: [server],
    requests: [['a@example.com'], ['b@example.com'], ['c@example.com']],
    environment: { steadyNow: () => clock },
    signal: abort.signal,
    onRecord: async ({ queueId }) => {
      if (queueId !== 'Q1') return;
      clock += 10_000;
      await new Promise((resolve) => setTimeout(resolve, 200));
      abort.abort();
    },
  });
  expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
  expect(returned).toEqual(['Q2', 'Q3']);
  expect(server.messageCount).toBe(1);
});

it('content that is gone bounces without a connection', async () => {
  const server = await start({});
  const { outcomes } = await deliver({ servers: [server], content: async () => undefined });
  expect(outcomes).toMatchObject([{ kind: 'deferred', status: '4.3.0', relay: 'none' }]);
  expect(server.connections.total).toBe(0);
});
