/** A scripted milter over real sockets: each reply does what it says, and what breaks counts as a milter that cannot be asked. */
import { makeConfig } from '@mailfleet/config';
import {
  freePort,
  indexed,
  type MilterScript,
  type MilterServer,
  type MilterServerOptions,
  type MilterStep,
  startMilter,
  waitFor,
} from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import { applyMilters, type MilterResult, type MilterStore } from './apply-milters.ts';
import { milterSettings } from './settings.ts';

const MAIL = [
  'Received: by mx.test; date',
  'Received: from elsewhere',
  'Subject: one',
  '\ttwo',
  'X-A: 1',
  'X-A: 2',
  '',
  'line',
  '',
].join('\r\n');

class Store implements MilterStore<{ bytes: Buffer }> {
  readonly kept = new Set<{ bytes: Buffer }>();
  read(content: { bytes: Buffer }): Promise<AsyncIterable<Uint8Array>> {
    if (!this.kept.has(content)) throw new Error('read after it was dropped');
    const { bytes } = content;
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let from = 0; from < bytes.length; from += 100_000) yield bytes.subarray(from, from + 100_000);
    }
    return Promise.resolve(pieces());
  }
  async spool(source: AsyncIterable<Uint8Array>): Promise<{ bytes: Buffer }> {
    const content = { bytes: Buffer.concat(await Array.fromAsync(source)) };
    this.kept.add(content);
    return content;
  }
  drop(content: { bytes: Buffer }): Promise<void> {
    this.kept.delete(content);
    return Promise.resolve();
  }
}

interface Ran {
  readonly result: MilterResult<{ bytes: Buffer }>;
  readonly text: string | undefined;
  readonly notes: readonly string[];
}

async function run(values: Record<string, string>, content = MAIL): Promise<Ran> {
  const settings = milterSettings(makeConfig({ myhostname: 'mx.test', mail_name: 'Mailfleet', ...values }));
  if (settings === undefined) throw new Error('no milters');
  const store = new Store();
  const first = { bytes: Buffer.from(content) };
  store.kept.add(first);
  const notes: string[] = [];
  const mail = {
    queueId: 'Q1',
    sender: 'a b@x.test',
    recipients: ['one@y.test', 'two@y.test'],
    content: first,
  };
  const result = await applyMilters(settings, store, mail, (text) => notes.push(text));
  // Exactly what passed is kept.
  expect([...store.kept]).toEqual(result.kind === 'pass' ? [result.content] : []);
  return { result, text: result.kind === 'pass' ? result.content.bytes.toString() : undefined, notes };
}

const lettersOf = ({ steps }: MilterServer): string => steps.map(({ letter }) => letter).join('');

const at =
  (letter: string, ...replies: (string | Buffer)[]) =>
  (step: MilterStep) =>
    step.letter === letter ? replies : undefined;

async function runWith(
  script: MilterScript,
  options: MilterServerOptions = {},
  values: Record<string, string> = {},
): Promise<Ran> {
  await using milter = await startMilter(script, options);
  return await run({ non_smtpd_milters: milter.address, ...values });
}

describe('non_smtpd_milters: what a milter is told', () => {
  it('is what cleanup(8) tells for mail of no session, without our own Received: header', async () => {
    await using milter = await startMilter();
    await run({ non_smtpd_milters: milter.address });
    await waitFor(() => lettersOf(milter) === 'CHMRRTLLLLNBEQ', 5000, 'the goodbye');
    expect(milter.told('C')).toEqual(['localhost|4||127.0.0.1']);
    expect(milter.told('H')).toEqual(['localhost']);
    expect(milter.told('M')).toEqual(['"a b"@x.test']);
    expect(milter.told('R')).toEqual(['one@y.test', 'two@y.test']);
    expect(milter.told('L')).toEqual(['Received|from elsewhere', 'Subject|one\n\ttwo', 'X-A|1', 'X-A|2']);
    expect(milter.told('B')).toEqual(['line\r\n']);
    const [connect, , mail, rcpt] = milter.steps;
    expect(connect?.macros).toEqual({
      j: 'mx.test',
      '{daemon_name}': 'mx.test',
      v: 'Mailfleet',
      _: 'localhost [127.0.0.1]',
    });
    expect(mail?.macros).toEqual({ i: 'Q1', '{mail_addr}': '"a b"@x.test' });
    expect(rcpt?.macros).toEqual({ i: 'Q1', '{rcpt_addr}': 'one@y.test' });
  });

  it('a large body goes in pieces that the protocol allows, and none after skip', async () => {
    const body = `${'x'.repeat(99)}\r\n`.repeat(3000);
    await using whole = await startMilter();
    const ran = await run({ non_smtpd_milters: whole.address }, `${MAIL}${body}`);
    expect(ran.text).toBe(`${MAIL}${body}`);
    expect(whole.told('B').join('')).toBe(`line\r\n${body}`);
    expect(Math.max(...whole.told('B').map(({ length }) => length))).toBeLessThanOrEqual(65_535);
    await using brief = await startMilter(at('B', 's'));
    await run({ non_smtpd_milters: brief.address }, `${MAIL}${body}`);
    expect(brief.told('B')).toHaveLength(1);
  });

  it('steps that it does not want are left out, replies that it does not owe are not waited for', async () => {
    await using milter = await startMilter(undefined, { steps: 0x01 | 0x10 | 0x2000 | 0x80 });
    const { result } = await run({ non_smtpd_milters: milter.address, milter_content_timeout: '3s' });
    expect(result.kind).toBe('pass');
    await waitFor(() => lettersOf(milter) === 'HMRRTLLLLNEQ', 5000, 'the goodbye');
  });

  it('milter_protocol 2: no DATA', async () => {
    await using milter = await startMilter(undefined, { version: 2, actions: 0x3f });
    expect((await run({ non_smtpd_milters: milter.address, milter_protocol: '2' })).result.kind).toBe('pass');
    expect(milter.told('T')).toEqual([]);
  });
});

describe('non_smtpd_milters: verdicts', () => {
  it.each([
    ['reject at the end', 'E', 'r', { kind: 'refuse', code: 550, status: '5.7.1' }],
    ['reject of the sender', 'M', 'r', { kind: 'refuse', code: 550, status: '5.7.1' }],
    ['tempfail of a header', 'L', 't', { kind: 'refuse', code: 451, status: '4.7.1' }],
    [
      'a reply code',
      'B',
      'y554 5.6.0 no such\0',
      { kind: 'refuse', code: 554, status: '5.6.0', reason: 'no such' },
    ],
    ['discard', 'N', 'd', { kind: 'discard' }],
    ['reject of a recipient, which must not be', 'R', 'r', { kind: 'refuse', code: 451, status: '4.3.5' }],
    ['accept at once', 'C', 'a', { kind: 'pass', hold: false }],
  ])('%s', async (_name, letter, reply, expected) => {
    expect((await runWith(at(letter, reply))).result).toMatchObject(expected);
  });

  it('accept ends the dialogue', async () => {
    await using milter = await startMilter(at('M', 'a'));
    await run({ non_smtpd_milters: milter.address });
    await waitFor(() => lettersOf(milter) === 'CHMQ', 5000, 'the goodbye');
  });
});

describe('non_smtpd_milters: changes', () => {
  const header = (text: string | undefined): string | undefined => text?.split('\r\n\r\n')[0];

  it('headers are added, inserted, changed and removed, and none smuggles in another', async () => {
    const { text } = await runWith(
      at(
        'E',
        'hX-End\0v\r\nnext: x\0',
        indexed('i', 0, 'X-First', 'f'),
        indexed('i', 3, 'X-Third', 't'),
        indexed('m', 2, 'x-a', 'changed'),
        indexed('m', 1, 'X-A', ''),
        indexed('m', 1, 'X-New', 'n'),
        indexed('m', 7, 'X-None', ''),
        'p',
        'c',
      ),
    );
    expect(header(text)?.split('\r\n')).toEqual([
      'X-First: f',
      'Received: by mx.test; date',
      'Received: from elsewhere',
      'X-Third: t',
      'Subject: one',
      '\ttwo',
      'x-a: changed',
      'X-End: v',
      '\tnext: x',
      'X-New: n',
    ]);
    expect(text?.split('\r\n\r\n')[1]).toBe('line\r\n');
  });

  it('leading space is as it stands for a milter that wants it so', async () => {
    await using milter = await startMilter(at('E', 'hX-End\0  v\0', 'c'), { steps: 0x100000 });
    const { text } = await run({ non_smtpd_milters: milter.address });
    expect(milter.told('L')[1]).toBe('Subject| one\n\ttwo');
    expect(header(text)).toContain('\r\nX-End:  v');
  });

  it('the body is another', async () => {
    const { text } = await runWith(at('E', 'bnew ', 'bbody\r\n', 'c'));
    expect(text).toBe(MAIL.replace('line\r\n', 'new body\r\n'));
  });

  it('sender and recipients', async () => {
    const { result } = await runWith(
      at('E', 'e<>\0', '+<"x y"@z.test>\0', '2<three@y.test>\0NOTIFY=NEVER\0', '-<one@y.test>\0', 'a'),
    );
    expect(result).toMatchObject({ sender: '', recipients: ['two@y.test', 'x y@z.test', 'three@y.test'] });
  });

  it('a message without recipients is thrown away', async () => {
    const { result } = await runWith(at('E', '-<one@y.test>\0', '-<two@y.test>\0', 'c'));
    expect(result.kind).toBe('discard');
  });

  it('quarantine is hold', async () => {
    const { result, notes } = await runWith(at('E', 'qodd\0', 'c'));
    expect(result).toMatchObject({ kind: 'pass', hold: true });
    expect(notes).toEqual([expect.stringMatching(/^milter-hold: inet:.*: odd$/)]);
  });

  it('the next milter sees what the one before left', async () => {
    await using first = await startMilter(at('E', 'hX-End\0v\0', 'bnew\r\n', 'c'));
    await using second = await startMilter(at('E', 'hX-Last\0w\0', 'c'));
    const { text } = await run({ non_smtpd_milters: `${first.address}, ${second.address}` });
    expect(second.told('L')).toContain('X-End|v');
    expect(second.told('B')).toEqual(['new\r\n']);
    expect(text).toMatch(/X-End: v\r\nX-Last: w\r\n\r\nnew\r\n$/);
  });

  it('a socket in the file system', async () => {
    const path = `/tmp/mailfleet-milter-${process.pid}.sock`;
    const { text } = await runWith(at('E', 'hX-End\0v\0', 'c'), { path });
    expect(text).toContain('X-End: v');
  });
});

describe('non_smtpd_milters that cannot be asked', () => {
  it.each([
    ['accept', { kind: 'pass', hold: false }],
    ['quarantine', { kind: 'pass', hold: true }],
    ['tempfail', { kind: 'refuse', code: 451, status: '4.7.1' }],
    ['reject', { kind: 'refuse', code: 550, status: '5.7.1' }],
  ])('milter_default_action = %s', async (action, expected) => {
    const { result, notes } = await run({
      non_smtpd_milters: `inet:127.0.0.1:${await freePort()}`,
      milter_default_action: action,
    });
    expect(result).toMatchObject(expected);
    expect(notes[0]).toMatch(new RegExp(`ECONNREFUSED.*milter_default_action: ${action}$`));
  });

  it.each<[string, MilterScript, RegExp]>([
    ['hangs up', ({ letter }) => (letter === 'L' ? 'hangup' : undefined), /closed the connection/],
    ['says what it must not', at('M', 'hX\0y\0'), /change before the end/],
    ['never comes to an end', at('E', ...Array<string>(10_000).fill('p')), /10000 replies/],
    [
      'milter_command_timeout',
      ({ letter }) => (letter === 'M' ? 'silence' : undefined),
      /no answer within 1 s/,
    ],
    [
      'milter_content_timeout',
      ({ letter }) => (letter === 'E' ? 'silence' : undefined),
      /no answer within 2 s/,
    ],
    [
      'message_size_limit',
      at('E', 'hX\0y\0', ...Array<string>(3).fill(`b${'x'.repeat(60_000)}`), 'c'),
      /more than 100000 bytes/,
    ],
  ])('%s', async (_name, script, why) => {
    const { text, notes } = await runWith(
      script,
      {},
      {
        milter_default_action: 'accept',
        milter_command_timeout: '1s',
        milter_content_timeout: '2s',
        message_size_limit: '100000',
      },
    );
    expect(notes[0]).toMatch(why);
    // Nothing of what it asked for before is done.
    expect(text).toBe(MAIL);
  });

  it('milter_connect_timeout: a server that says nothing', async () => {
    await using milter = await startMilter(undefined, { mute: true });
    const { notes } = await run({ non_smtpd_milters: milter.address, milter_connect_timeout: '1s' });
    expect(notes[0]).toMatch(/no answer within 1 s/);
  });

  it('asks for what it did not announce', async () => {
    const { result } = await runWith(at('E', 'hX\0y\0', 'c'), { actions: 0x02 });
    expect(result).toMatchObject({ kind: 'refuse', code: 451 });
  });

  it('names no socket', async () => {
    const { notes } = await run({ non_smtpd_milters: '/run/x', milter_default_action: 'accept' });
    expect(notes[0]).toMatch(/neither inet:host:port nor unix:path/);
  });
});
