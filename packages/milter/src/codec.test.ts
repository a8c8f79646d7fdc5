/** Packets, one by one: what a reply of a milter says, and what is none. */
import { describe, expect, it } from 'vitest';
import { agreement, firstPacket, offer, packet, parseReply, texts } from './codec.ts';

const index = Buffer.from([0, 0, 0, 2]);

describe('non_smtpd_milters: replies', () => {
  it.each<[string, Buffer, object]>([
    ['continue', Buffer.from('c'), { kind: 'continue' }],
    ['accept', Buffer.from('a'), { kind: 'accept' }],
    ['reject', Buffer.from('r'), { kind: 'reject' }],
    ['tempfail', Buffer.from('t'), { kind: 'tempfail' }],
    ['discard', Buffer.from('d'), { kind: 'discard' }],
    ['skip', Buffer.from('s'), { kind: 'skip' }],
    ['progress', Buffer.from('p'), { kind: 'progress' }],
    ['shutdown', Buffer.from('4'), { kind: 'tempfail' }],
    [
      'reply code',
      Buffer.from('y550 5.7.9 100%% spam\0'),
      { kind: 'reply', code: 550, status: '5.7.9', text: '100% spam' },
    ],
    [
      'reply code of two lines, without a status',
      Buffer.from('y451-one\r\n451 two\0'),
      { kind: 'reply', code: 451, status: '4.7.1', text: 'one two' },
    ],
    ['add header', Buffer.from('hX-A\0b\0'), { kind: 'add-header', name: 'X-A', value: 'b' }],
    [
      'insert header',
      Buffer.concat([Buffer.from('i'), index, Buffer.from('X-A\0b\0')]),
      { kind: 'insert-header', index: 2, name: 'X-A', value: 'b' },
    ],
    [
      'change header',
      Buffer.concat([Buffer.from('m'), index, Buffer.from('X-A\0\0')]),
      { kind: 'change-header', index: 2, name: 'X-A', value: '' },
    ],
    ['change sender', Buffer.from('e<>\0'), { kind: 'change-sender', address: '' }],
    [
      'change sender with parameters',
      Buffer.from('e<"a b"@x.test>\0RET=HDRS\0'),
      { kind: 'change-sender', address: 'a b@x.test' },
    ],
    ['add recipient', Buffer.from('+<a@x.test>\0'), { kind: 'add-recipient', address: 'a@x.test' }],
    [
      'add recipient with parameters',
      Buffer.from('2a@x.test\0NOTIFY=NEVER\0'),
      { kind: 'add-recipient', address: 'a@x.test' },
    ],
    ['delete recipient', Buffer.from('-a@x.test\0'), { kind: 'delete-recipient', address: 'a@x.test' }],
    ['replace body', Buffer.from('bx\0y'), { kind: 'replace-body', bytes: Buffer.from('x\0y') }],
    ['quarantine', Buffer.from('qa\nb\0'), { kind: 'quarantine', reason: 'a b' }],
  ])('%s', (_name, bytes, reply) => {
    expect(parseReply(bytes)).toEqual(reply);
  });

  it.each([
    ['a letter that is not known', 'z', /kind that is not known \(0x7a\)/],
    ['a header without an end', 'hX-A\0b', /without its end/],
    ['a header name with a line end', 'hX: y\r\nZ\0b\0', /header name/],
    ['an index that is cut', 'i\0\0', /without its index/],
    ['a reply of another class', 'y250 2.0.0 ok\0', /none of SMTP/],
    ['a status that belies its code', 'y550 4.0.0 no\0', /none of SMTP/],
    ['a recipient with a line end', '+a@x.test\r\nDATA\0', /address that cannot be one/],
    ['a recipient with two domains', '+<a@@x.test>\0', /address that cannot be one/],
    ['no recipient', '+<>\0', /empty recipient/],
  ])('none: %s', (_name, text, why) => {
    expect(() => parseReply(Buffer.from(text, 'latin1'))).toThrow(why);
  });
});

describe('non_smtpd_milters: packets', () => {
  it('are read as they arrive, byte by byte', () => {
    const bytes = packet('L', texts('Subject', 'a\0b'));
    expect(bytes.toString('latin1')).toBe('\0\0\0\x0cLSubject\0ab\0');
    for (let length = 0; length < bytes.length; length += 1) {
      expect(firstPacket(bytes.subarray(0, length))).toBeUndefined();
    }
    expect(firstPacket(Buffer.concat([bytes, bytes]))).toEqual(bytes.subarray(4));
  });

  it.each([[0], [131_073], [0xffffffff]])('of %i bytes are refused before they arrive', (length) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(length);
    expect(() => firstPacket(bytes)).toThrow(`a packet of ${length} bytes`);
  });

  it('milter_protocol decides what is offered; a milter may want less, and nothing else', () => {
    expect(offer(6).toString('hex')).toBe('0000000d4f00000006000000ff001ff7ff');
    expect(offer(2).toString('hex')).toBe('0000000d4f000000020000003f0000007f');
    const answer = (version: number, actions: number, steps: number): Buffer => {
      const bytes = Buffer.alloc(13, 'O');
      [version, actions, steps].map((value, at) => bytes.writeUInt32BE(value, 1 + 4 * at));
      return bytes;
    };
    expect(agreement(answer(6, 1, 0x10), 6)).toEqual({ version: 6, actions: 1, steps: 0x10 });
    expect(() => agreement(answer(6, 1, 0), 2)).toThrow(
      /wants protocol version 6, and milter_protocol says 2/,
    );
    expect(() => agreement(answer(2, 0x40, 0), 2)).toThrow(/not offered/);
    expect(() => agreement(answer(6, 0, 0x10000000), 6)).toThrow(/not offered/);
    expect(() => agreement(Buffer.from('c'), 6)).toThrow(/did not answer the offer/);
  });
});
