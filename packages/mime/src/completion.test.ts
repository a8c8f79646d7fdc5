import { describe, expect, it } from 'vitest';
import { type CompletionOptions, ContentCompletion } from './completion.ts';

const limits = {
  headerSizeLimit: 102_400,
  lineLengthLimit: 2048,
  nestingLimit: 100,
  boundaryLengthLimit: 2048,
};
const base: CompletionOptions = {
  dropHeaders: ['bcc', 'return-path'],
  limits,
  hopcountLimit: 50,
  sizeLimit: 0,
  detectEncoding: true,
};
const addMissing = {
  queueId: '4XYZ',
  timeMs: Date.UTC(2026, 10, 23, 22, 28, 35),
  hostname: 'mail.example',
  from: 'ann@example.com',
  undisclosedRecipients: '',
};

async function run(
  chunks: readonly (string | Buffer)[],
  options: Partial<CompletionOptions> = {},
): Promise<{ text: string; facts: ReturnType<ContentCompletion['facts']> }> {
  const completion = new ContentCompletion({ ...base, ...options });
  async function* source(): AsyncGenerator<Buffer> {
    for (const chunk of chunks) yield Buffer.from(chunk as string, 'latin1');
  }
  const output: Uint8Array[] = [];
  for await (const chunk of completion.complete(source())) output.push(chunk);
  return { text: Buffer.concat(output).toString('latin1'), facts: completion.facts() };
}

/** The same text cut at every place, and byte by byte, must come out the same. */
async function everyCut(text: string, options: Partial<CompletionOptions> = {}): Promise<string> {
  const whole = await run([text], options);
  expect(await run([...text], options)).toEqual(whole);
  for (let at = 1; at < text.length; at += 1) {
    expect(await run([text.slice(0, at), text.slice(at)], options), `cut at ${at}`).toEqual(whole);
  }
  return whole.text;
}

describe('line ends', () => {
  it.each([
    ['A: b\r\n\r\nx\r\n', 'A: b\r\n\r\nx\r\n', 'canonical text passes unchanged'],
    ['A: b\n\nx\n', 'A: b\r\n\r\nx\r\n', 'bare LF becomes a line end'],
    ['A: b\n\nx', 'A: b\r\n\r\nx\r\n', 'the last line gets its end'],
    ['A: b\r\n\r\nx\ry\r\n', 'A: b\r\n\r\nx y\r\n', 'bare CR becomes a space'],
    ['A: b\r\n\r\nx\r\r\n', 'A: b\r\n\r\nx \r\n', 'CR CR LF'],
    ['A: b\r\n\r\nx\r', 'A: b\r\n\r\nx \r\n', 'CR at the very end'],
    [
      'A: b\r\n\r\nx\n.\r\nMAIL FROM:<>\r\n',
      'A: b\r\n\r\nx\r\n.\r\nMAIL FROM:<>\r\n',
      'a smuggled end of data is content',
    ],
    ['A: b\r\n\r\nx\r.\r\n', 'A: b\r\n\r\nx .\r\n', 'CR dot'],
  ])('%j -> %j: %s', async (input, expected) => {
    expect(await everyCut(input)).toBe(expected);
  });
});

describe('header block', () => {
  it.each([
    ['Subject  : a\r\n\r\n', 'Subject: a\r\n\r\n', 'white space before the colon goes'],
    ['A: b\r\n c\r\n\td\r\n\r\nx\r\n', 'A: b\r\n c\r\n\td\r\n\r\nx\r\n', 'folding stays'],
    ['A: b\r\nnot a header\r\n', 'A: b\r\n\r\nnot a header\r\n', 'text ends the block'],
    [' x\r\n', '\r\n x\r\n', 'a continuation of nothing is text'],
    ['A: b\r\n', 'A: b\r\n\r\n', 'headers only'],
    ['', '\r\n', 'nothing at all'],
    ['\r\nbody\r\n', '\r\nbody\r\n', 'no headers'],
    ['From ann Mon\r\nA: b\r\n\r\n', 'X-Mailbox-Line: From ann Mon\r\nA: b\r\n\r\n', 'mbox line'],
    [
      'A: b\r\nBcc: x@y\r\n z@y\r\nReturn-Path: <>\r\nC: d\r\n\r\n',
      'A: b\r\nC: d\r\n\r\n',
      'dropped headers',
    ],
    ['\xe9: b\r\n\r\n', '\r\n\xe9: b\r\n\r\n', '8-bit name is no header'],
  ])('%j -> %j: %s', async (input, expected) => {
    expect(await everyCut(input)).toBe(expected);
  });

  it('header_size_limit: lines of a header beyond it are dropped', async () => {
    const { text } = await run([`A: ${'x'.repeat(50)}\r\n ${'y'.repeat(50)}\r\n z\r\nB: c\r\n\r\nbody\r\n`], {
      limits: { ...limits, headerSizeLimit: 60 },
    });
    expect(text).toBe(`A: ${'x'.repeat(50)}\r\n ${'y'.repeat(50)}\r\nB: c\r\n\r\nbody\r\n`);
  });

  it('holds no more than the limit of an endless header or text line', async () => {
    const chunk = Buffer.alloc(65_536, 'x').toString();
    const header = await run(['A: ', ...Array.from({ length: 50 }, () => chunk), '\r\nB: c\r\n\r\n']);
    expect(header.facts.sizeBytes).toBeLessThan(103_000);
    expect(header.text.endsWith('x\r\nB: c\r\n\r\n')).toBe(true);
    const body = await run([...Array.from({ length: 50 }, () => chunk)]);
    expect(body.text).toBe(`\r\n${chunk.repeat(50)}\r\n`);
  });
});

describe('missing headers', () => {
  it('adds Message-Id, Date and From after the headers that are there', async () => {
    const { text, facts } = await run(['Subject: x\r\n\r\nbody\r\n'], { addMissing });
    expect(text).toMatch(
      /^Subject: x\r\nMessage-Id: <2026112\d{7}\.4XYZ@mail\.example>\r\nDate: \w{3}, 2\d Nov 2026 \d\d:28:35 [+-]\d{4} \(.+\)\r\nFrom: ann@example\.com\r\n\r\nbody\r\n$/,
    );
    expect(facts.messageId).toMatch(/4XYZ/);
  });

  it('adds nothing to a complete message and reports its Message-ID', async () => {
    const message = 'from: a@b\r\nDATE: now\r\nMessage-ID:\r\n <x@y>\r\n\r\n';
    const { text, facts } = await run([message], { addMissing });
    expect(text).toBe(message);
    expect(facts.messageId).toBe('<x@y>');
  });

  it('adds Resent- headers to a resent message', async () => {
    const { text } = await run(['Resent-To: a@b\r\nFrom: x@y\r\nMessage-Id: <1@2>\r\n\r\n'], { addMissing });
    expect(text).toMatch(
      /\r\nResent-Message-Id: .*\r\nResent-Date: .*\r\nResent-From: ann@example\.com\r\n\r\n$/,
    );
    expect(text).not.toMatch(/\r\n(Date|From: ann)/);
  });

  it('adds undisclosed recipients when configured and none is visible', async () => {
    const options = { addMissing: { ...addMissing, undisclosedRecipients: 'To: undisclosed-recipients:;' } };
    expect((await run(['Bcc: a@b\r\n\r\n'], options)).text).toContain('To: undisclosed-recipients:;\r\n\r\n');
    expect((await run(['Cc: a@b\r\n\r\n'], options)).text).not.toContain('undisclosed');
  });
});

describe('limits', () => {
  const received = 'Received: from a by b\r\n';
  it('refuses from the hop that reaches hopcount_limit, our own included', async () => {
    expect((await run([`${received.repeat(48)}\r\n`])).facts.refused).toBeUndefined();
    expect((await run([`${received.repeat(49)}\r\n`])).facts.refused).toBe('too-many-hops');
  });

  it('refuses more than sizeLimit bytes and stops reading', async () => {
    expect((await run(['A: b\r\n\r\n', '12'], { sizeLimit: 10 })).facts.refused).toBeUndefined();
    let read = 0;
    const completion = new ContentCompletion({ ...base, sizeLimit: 10 });
    async function* source(): AsyncGenerator<Buffer> {
      for (;;) {
        read += 1;
        yield Buffer.from('A: bcd\r\n');
      }
    }
    for await (const chunk of completion.complete(source())) expect(chunk.length).toBeGreaterThan(0);
    expect(completion.facts().refused).toBe('too-large');
    expect(read).toBe(2);
  });
});

describe('8-bit label', () => {
  const part = (encoding: string): string =>
    `Content-Type: multipart/mixed;\r\n boundary="=_1"\r\n\r\npre\r\n--=_1\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\nx\r\n--=_1--\r\n`;
  it.each([
    ['Content-Transfer-Encoding: 8BIT\r\n\r\n', true],
    ['Content-Transfer-Encoding: binary\r\n\r\n', true],
    ['Content-Transfer-Encoding: 8bit (really)\r\n\r\n', false],
    ['Content-Transfer-Encoding: base64\r\n\r\n', false],
    ['A: b\r\n\r\nContent-Transfer-Encoding: 8bit\r\n', false],
    [part('8bit'), true],
    [part('quoted-printable'), false],
    [part('7bit').replace('--=_1--', '--=_1--\r\nContent-Transfer-Encoding: 8bit\r\n'), false],
    ['Content-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n', true],
    ['Content-Type: text/rfc822\r\n\r\nSubject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n', false],
    [
      'Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n--b--\r\n',
      true,
    ],
  ])('%j: %s', async (message, expected) => {
    await everyCut(message);
    expect((await run([message])).facts.eightBit).toBe(expected);
  });
});
