/** Content on the wire: line ends, dots, folding, and no byte sequence that ends the message early. */
import { describe, expect, it } from 'vitest';
import { ContentEncoder } from './content.ts';

const encode = (content: string, limit = 998, pieces?: number): { text: string; folds: number } => {
  let folds = 0;
  const encoder = new ContentEncoder(limit, () => folds++);
  const bytes = Buffer.from(content, 'latin1');
  if (pieces === undefined) return { text: encoder.encodeWhole(bytes, '').toString('latin1'), folds };
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieces)
    parts.push(encoder.encode(bytes.subarray(at, at + pieces)));
  parts.push(encoder.end(''));
  return { text: Buffer.concat(parts).toString('latin1'), folds };
};

const L = 10;
const x = (count: number): string => 'x'.repeat(count);

const cases: readonly { name: string; content: string; wire: string; limit?: number }[] = (
  [
    ['empty content is just the dot', '', '.\r\n'],
    ['CR LF lines go out as they are', 'a\r\nb\r\n', 'a\r\nb\r\n.\r\n'],
    ['a bare LF is a line end', 'a\nb\n\nc\n', 'a\r\nb\r\n\r\nc\r\n.\r\n'],
    ['mixed line ends', 'a\r\nb\nc\r\n', 'a\r\nb\r\nc\r\n.\r\n'],
    ['a last line without newline gets one', 'a', 'a\r\n.\r\n'],
    ['a last CR is content', 'a\r', 'a\r\r\n.\r\n'],
    ['dots at the start of a line are doubled', '.\r\n..\r\n.a\r\na.\r\n', '..\r\n...\r\n..a\r\na.\r\n.\r\n'],
    ['a dot after a bare LF is doubled', 'a\n.\nb\n', 'a\r\n..\r\nb\r\n.\r\n'],
    ['a bare CR passes', 'a\rb\r\n', 'a\rb\r\n.\r\n'],
    ['CR CR LF keeps the extra CR', 'x\r\r\n', 'x\r\r\n.\r\n'],
    ['a bare CR in front of a dot becomes a space', 'a\r.\r\nMAIL\r\n', 'a .\r\nMAIL\r\n.\r\n'],
    ['so it does at the start of a line', '\r.\r\r\n', ' .\r\r\n.\r\n'],
    ['NUL and 8-bit bytes pass', 'a\0\xe4\r\n', 'a\0\xe4\r\n.\r\n'],
    ['L-1 bytes', `${x(9)}\r\n`, `${x(9)}\r\n.\r\n`, L],
    ['L bytes', `${x(10)}\r\n`, `${x(10)}\r\n.\r\n`, L],
    ['L+1 bytes', `${x(11)}\r\n`, `${x(10)}\r\n x\r\n.\r\n`, L],
    ['2L-1 bytes', `${x(19)}\r\n`, `${x(10)}\r\n ${x(9)}\r\n.\r\n`, L],
    ['2L bytes', `${x(20)}\r\n`, `${x(10)}\r\n ${x(9)}\r\n x\r\n.\r\n`, L],
    ['the stuffed dot does not count', `.${x(9)}\r\n`, `..${x(9)}\r\n.\r\n`, L],
    [
      'a dot at the start of a continuation needs no stuffing',
      `${x(10)}.y\r\n`,
      `${x(10)}\r\n .y\r\n.\r\n`,
      L,
    ],
    ['no limit', `${x(3000)}\r\n`, `${x(3000)}\r\n.\r\n`, 0],
    ['a limit starts anew on each line', `${x(11)}\n${x(10)}\n`, `${x(10)}\r\n x\r\n${x(10)}\r\n.\r\n`, L],
  ] as [string, string, string, number?][]
).map(([name, content, wire, limit]) => ({
  name,
  content,
  wire,
  ...(limit === undefined ? {} : { limit }),
}));

describe.each([
  ['whole', undefined],
  ['in pieces of 1 byte', 1],
  ['in pieces of 3 bytes', 3],
])('%s', (_, pieces) => {
  it.each(cases)('$name', ({ content, wire, limit }) => {
    expect(encode(content, limit, pieces).text).toBe(wire);
  });
});

it('reports folding once per message', () => {
  expect(encode(`${x(30)}\r\n${x(30)}\r\n`, L).folds).toBe(1);
  expect(encode(`${x(10)}\r\n`, L).folds).toBe(0);
});

it('no content can hold an end of data, however a server reads line ends', () => {
  let seed = 7;
  const random = (count: number): number => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed % count;
  };
  const alphabet = '\r\n..ab';
  for (let round = 0; round < 3000; round++) {
    const content = Array.from({ length: 1 + random(24) }, () => alphabet[random(alphabet.length)]).join('');
    const limit = random(3) === 0 ? 4 : 0;
    const whole = encode(content, limit).text;
    expect(encode(content, limit, 1 + random(5)).text, JSON.stringify(content)).toBe(whole);
    expect(whole.endsWith('.\r\n')).toBe(true);
    // CR LF, LF or CR as line end: a line that is a single dot may only be the last.
    const lines = whole.split(/\r\n|\r|\n/);
    expect(lines.indexOf('.'), JSON.stringify(content)).toBe(lines.length - 2);
    if (limit === 0) expect(whole, JSON.stringify(content)).not.toMatch(/[^\r]\n|^\n/);
  }
});
