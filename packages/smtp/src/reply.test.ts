/** Replies: codes, statuses, limits, and bytes that are no replies. */
import { describe, expect, it } from 'vitest';
import { type Reply, ReplyParser, replyText } from './reply.ts';

const read = (chunks: readonly (string | Buffer)[], limit = 2048, utf8 = false) => {
  const replies: Reply[] = [];
  const long: string[] = [];
  const garbage: string[] = [];
  let floods = 0;
  const parser = new ReplyParser(
    {
      onReply: (reply) => replies.push(reply),
      onLongLine: (head) => long.push(head),
      onReplaced: () => undefined,
      onDataError: () => undefined,
      onGarbage: (line) => garbage.push(line),
      onFlood: () => floods++,
    },
    { lineLengthLimit: limit, utf8Replies: utf8 },
  );
  for (const chunk of chunks) parser.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, 'latin1'));
  return { replies, long, garbage, floods };
};

describe('one reply', () => {
  it.each([
    ['250 2.1.0 Ok\r\n', 250, '2.1.0', '250 2.1.0 Ok'],
    ['250\r\n', 250, '2.0.0', '250'],
    ['250 Ok\n', 250, '2.0.0', '250 Ok'],
    ['250   2.1.5\r\r\n', 250, '2.1.5', '250   2.1.5'],
    ['250 2.1.5x no\r\n', 250, '2.0.0', '250 2.1.5x no'],
    ['250 5.1.1 wrong class\r\n', 250, '2.0.0', '250 5.1.1 wrong class'],
    ['550 5.1234.1 too many digits\r\n', 550, '5.0.0', '550 5.1234.1 too many digits'],
    ['354 go\r\n', 354, '5.5.0', '354 go'],
    ['150 hm\r\n', 150, '5.5.0', '150 hm'],
    ['650 4.1.1 hm\r\n', 650, '5.5.0', '650 4.1.1 hm'],
    ['250-2.0.0 a\r\n250 4.1.1 b\r\n', 250, '2.0.0', '250-2.0.0 a 250 4.1.1 b'],
    ['250-a\r\n450 4.7.1 b\r\n', 450, '4.7.1', '250-a 450 4.7.1 b'],
    ['250 t\tab \xe4\0\r\n', 250, '2.0.0', '250 t?ab ??'],
  ])('%j', (bytes, code, status, text) => {
    const { replies } = read([bytes]);
    expect(replies).toHaveLength(1);
    expect(replies[0]).toMatchObject({ code, status, garbled: false });
    expect(replies.map(replyText)).toEqual([text]);
  });
});

describe('bytes beyond ASCII', () => {
  const bytes = (text: string): Buffer => Buffer.from(`550 ${text}\r\n`, 'latin1');
  it.each<[string, string, string, string]>([
    ['well-formed UTF-8', 'caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\xa7', 'café € 📧', 'caf?? ??? ????'],
    ['latin1', 'caf\xe9 x', 'caf? x', 'caf? x'],
    ['an overlong form', '\xc0\x8a \xe0\x80\x8a', '?? ???', '?? ???'],
    ['half a surrogate pair', '\xed\xa0\x80', '???', '???'],
    ['beyond Unicode', '\xf4\x90\x80\x80', '????', '????'],
    ['a sequence without its end', '\xe2\x82 x', '?? x', '?? x'],
    ['a control character in two bytes', 'a\xc2\x9b31m', 'a?31m', 'a??31m'],
    ['a line separator', 'a\xe2\x80\xa8b', 'a?b', 'a???b'],
  ])('%s', (_, text, withUtf8, without) => {
    expect(read([bytes(text)], 2048, true).replies[0]?.text).toBe(`550 ${withUtf8}`);
    expect(read([bytes(text)], 2048, false).replies[0]?.text).toBe(`550 ${without}`);
  });

  it('a character that the limit cuts in two is none', () => {
    expect(read([bytes('caf\xc3\xa9')], 8, true).replies[0]?.text).toBe('550 caf?');
  });
});

it('reads the same whatever the pieces are', () => {
  const bytes = '250-one\r\n250 two\r\nnoise\r\n354 go\r\n';
  const whole = read([bytes]);
  expect(whole.replies).toHaveLength(2);
  expect(read([...bytes]).replies).toEqual(whole.replies);
});

it('keeps a line that is no reply in the text and marks the reply', () => {
  const { replies, garbage } = read(['hello\r\n25\r\n2500 x\r\n250 ok\r\n', '250 next\r\n']);
  expect(garbage).toEqual(['hello', '25', '2500 x']);
  expect(replies.map(replyText)).toEqual(['hello 25 2500 x 250 ok', '250 next']);
  expect(replies.map((reply) => reply.garbled)).toEqual([true, false]);
});

it('cuts a long line, says so, and gives up on a flood', () => {
  const { replies, long } = read([`250 ${'x'.repeat(100)}\r\n`], 64);
  expect(long).toEqual([`250 ${'x'.repeat(26)}`]);
  expect(replies[0]?.text).toBe(`250 ${'x'.repeat(60)}`);
  const flood = read(
    Array.from({ length: 1000 }, () => 'x'.repeat(10)),
    64,
  );
  expect(flood).toMatchObject({ replies: [], floods: 1 });
});

it('stores no more than the limit of a reply that goes on and on, and still takes the final code', () => {
  const { replies } = read(
    [...Array.from({ length: 1000 }, (_, n) => `250-line ${n}\r\n`), '550 5.7.1 end\r\n'],
    200,
  );
  expect(replies[0]).toMatchObject({ code: 550, status: '5.7.1' });
  expect(replies[0]?.text.length).toBeLessThan(220);
});

it('survives random bytes with bounded text and printable characters', () => {
  let seed = 1;
  const random = (): number => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed;
  };
  const alphabet = Buffer.from('0123456789- .\r\n\n\tab\xff\0', 'latin1');
  const chunks = Array.from({ length: 400 }, () =>
    Buffer.from(Array.from({ length: 50 }, () => alphabet[random() % alphabet.length] ?? 0)),
  );
  const { replies } = read(chunks, 64);
  expect(replies.length).toBeGreaterThan(10);
  for (const reply of replies) {
    expect(reply.text).toMatch(/^[\x20-\x7e\n]*$/);
    expect(reply.status).toMatch(/^[245]\.\d{1,3}\.\d{1,3}$/);
    expect(reply.text.length).toBeLessThan(200);
  }
});
