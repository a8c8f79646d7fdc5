/**
 * Properties of everything that reads a server's bytes or makes our own, on random input: the same in every run, the seeds are in
 * the names; `TEST_SEED=<seed>` tries another one.
 */
import { printable } from '@mailfleet/telemetry';
import { type Random, randomFrom, testSeeds } from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import { inStep } from './ahead.ts';
import { ContentEncoder } from './content/content.ts';
import { noFeatures, parseDiscard, parseEhlo, parseGreeting } from './ehlo.ts';
import { mailCommand, rcptCommand, xforwardCommands } from './envelope.ts';
import { isSafe, quoteAddress, utf8Xtext, xtext } from './quote.ts';
import { type Reply, type ReplyFilter, ReplyParser } from './reply.ts';

const ROUNDS = 400;

const cut = (whole: Buffer, random: Random): Buffer[] => {
  const pieces: Buffer[] = [];
  for (let at = 0; at < whole.length; ) {
    const end = at + 1 + random.below(9);
    pieces.push(whole.subarray(at, end));
    at = end;
  }
  return pieces;
};

const replyWords = [
  ...['250', '-', ' ', '\r\n', '\n', '\r', '2.1.0', '550 5.1.1', '354', '421 4', 'x', '\0', '\xe9'],
  ...['\xc3\xa9', '\xe2\x82\xac', '\xf0\x9f\x93\xa7', '\xc2\x85', '\xe2\x80'],
] as unknown as [string, ...string[]];

const LIMIT = 40;

const read = (pieces: readonly Buffer[], utf8: boolean, filter?: ReplyFilter) => {
  const replies: Reply[] = [];
  const told = { long: 0, garbage: 0, floods: 0 };
  const parser = new ReplyParser(
    {
      onReply: (reply) => replies.push(reply),
      onLongLine: () => told.long++,
      onGarbage: () => told.garbage++,
      onReplaced: () => undefined,
      onDataError: () => undefined,
      onFlood: () => told.floods++,
    },
    { lineLengthLimit: LIMIT, utf8Replies: utf8, ...(filter ? { filter } : {}) },
  );
  for (const piece of pieces) parser.push(piece);
  return { replies, told, parser };
};

describe.each(testSeeds)('random input, seed %i', (seed) => {
  it('replies: bounded, printable, the same in any pieces and behind a filter that changes nothing', async () => {
    const random = randomFrom(seed);
    for (let round = 0; round < ROUNDS; round++) {
      const bytes =
        random.below(3) === 0 ? random.bytes(200) : Buffer.from(random.text(replyWords, 60), 'latin1');
      const utf8 = random.below(2) === 0;
      const whole = read([bytes], utf8);
      expect(read(cut(bytes, random), utf8).replies).toEqual(whole.replies);
      for (const reply of whole.replies) {
        if (!utf8) expect(reply.text).toMatch(/^[\x20-\x7e\n]*$/);
        expect(reply.text.split('\n').map(printable).join('\n')).toBe(reply.text);
        expect(reply.text.length).toBeLessThanOrEqual(2 * LIMIT + 1);
        expect(Number.isInteger(reply.code), reply.text).toBe(true);
        expect(reply.status).toMatch(/^[245]\.\d{1,3}\.\d{1,3}$/);
      }
      if (round % 10 === 0 && whole.told.floods === 0) {
        const filtered = read(cut(bytes, random), utf8, async () => ({ kind: 'miss' }));
        await new Promise<void>((resolve) => filtered.parser.whenParsed(resolve));
        expect(filtered.replies).toEqual(whole.replies);
      }
    }
  });

  it('greetings and EHLO replies: no text is too strange, no number is not one', () => {
    const random = randomFrom(seed + 1);
    const words = [
      '250',
      '-',
      ' ',
      '\n',
      '=',
      '\t',
      'SIZE',
      'size 9',
      'PIPELINING',
      'XFORWARD NAME',
      'ESMTP',
      '*',
      '0',
      '?',
    ];
    const discard = parseDiscard(['dsn']);
    for (let round = 0; round < ROUNDS; round++) {
      const text = random.text(words as [string, ...string[]], 30);
      const { features, serverName } = parseEhlo(text, discard, 2048);
      expect(features.sizeLimit, text).toBeGreaterThanOrEqual(0);
      expect(features.dsn).toBe(false);
      expect(serverName).not.toMatch(/\s/);
      expect(parseGreeting(text).serverName).not.toMatch(/\s/);
    }
  });

  it('dot-stuffing: what a server takes out is what went in', () => {
    const random = randomFrom(seed + 2);
    for (let round = 0; round < ROUNDS; round++) {
      const words = ['.', '..', '\n', '\r\n', 'a', 'bc', '\xff', ' '] as [string, ...string[]];
      const content = Buffer.from(random.text(words, 60), 'latin1');
      const encoder = new ContentEncoder(0, () => undefined);
      const wire = Buffer.concat([
        ...cut(content, random).map((piece) => encoder.encode(piece)),
        encoder.end(''),
      ]);
      const lines = wire.toString('latin1').split('\r\n');
      expect(lines.slice(-2)).toEqual(['.', '']);
      const unstuffed = lines.slice(0, -2).map((line) => (line.startsWith('.') ? line.slice(1) : line));
      expect(unstuffed.includes('.') && !lines.includes('..')).toBe(false);
      const sent = content.toString('latin1').replace(/\r?\n/g, '\n');
      const back = unstuffed.map((line) => `${line}\n`).join('');
      expect(back).toBe(sent === '' || sent.endsWith('\n') ? sent : `${sent}\n`);
    }
  });

  it('folding: no line is longer than the limit, and unfolding gives the content back', () => {
    const random = randomFrom(seed + 3);
    for (let round = 0; round < ROUNDS; round++) {
      const limit = 3 + random.below(20);
      const content = Buffer.from(random.text(['a', 'b', 'cdefgh', '\n', '.'], 60));
      const encoder = new ContentEncoder(limit, () => undefined);
      const wire = [...cut(content, random).map((piece) => encoder.encode(piece)), encoder.end('')].join('');
      const unstuffed = wire.replace(/^\.(?!\r\n$)/gm, '');
      for (const line of unstuffed.split('\r\n')) expect(line.length).toBeLessThanOrEqual(limit);
      const text = content.toString();
      const ended = text === '' || text.endsWith('\n') ? text : `${text}\n`;
      expect(unstuffed.replaceAll('\r\n ', '').replaceAll('\r\n', '\n')).toBe(`${ended}.\n`);
    }
  });

  it('addresses: quoting can be undone, and nothing that passed the check breaks a command line', () => {
    const random = randomFrom(seed + 4);
    const words = ['a', '.', '@', '"', '\\', ' ', '<', '>', ',', 'ü', '\t', '\r', '\n', '\0', 'e.com'] as [
      string,
      ...string[],
    ];
    const features = {
      ...noFeatures,
      dsn: true,
      size: true,
      smtputf8: true,
      xforward: new Set(['NAME', 'HELO', 'IDENT']),
    };
    const settings = { quoteEnvelope: true, neverConvert: true };
    for (let round = 0; round < ROUNDS; round++) {
      const address = random.text(words, 12);
      const wire = quoteAddress(address);
      const quoted = /^"((?:[^"\\]|\\[\s\S])*)"(@[^@]*)?$/.exec(wire);
      if (quoted !== null) {
        const local = quoted[1]?.replace(/\\([\s\S])/g, '$1') ?? '';
        expect(`${local}${quoted[2] ?? ''}`).toBe(address);
      } else expect(wire).toBe(address);
      if (!isSafe(address)) continue;
      const value = random.text(words, 8);
      const envelope = {
        queueId: 'Q',
        sender: address,
        sizeBytes: 1,
        arrivalMs: 0,
        createdMs: 0,
        envid: value,
        smtputf8: random.below(2) === 0,
        client: { name: value, helo: value },
      };
      const recipient = { index: 0, address, orcpt: `rfc822;${value}`, originalAddress: address };
      const lines = [
        mailCommand(envelope, features, settings),
        rcptCommand(recipient, envelope, features, settings),
        ...Object.values(xforwardCommands(envelope, features)),
      ];
      for (const line of lines) expect(isSafe(line), JSON.stringify({ line, seed })).toBe(true);
    }
  });

  it('xtext can be undone', () => {
    const random = randomFrom(seed + 5);
    for (let round = 0; round < ROUNDS; round++) {
      const value = random.text(['a', '+', '=', ' ', 'ü', '\r', '\n', '~', '€', '\x7f'], 12);
      const encoded = xtext(value);
      expect(encoded).toMatch(/^[\x21-\x7e]*$/);
      const bytes = encoded.replace(/\+([0-9A-F]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      expect(Buffer.from(bytes, 'latin1').toString()).toBe(value);
      const back = utf8Xtext(value)?.replace(/\\x\{([0-9A-F]+)\}/g, (_, hex: string) =>
        String.fromCodePoint(Number.parseInt(hex, 16)),
      );
      expect(back).toBe(value);
    }
  });

  it('replies to an opening sent ahead: one too many or too few is never in step', () => {
    const random = randomFrom(seed + 6);
    const reply = (code: number): Reply => ({ code, status: '2.0.0', text: `${code}`, garbled: false });
    for (let round = 0; round < ROUNDS; round++) {
      const count = 1 + random.below(5);
      const stages = ['mail', ...Array<'rcpt'>(count).fill('rcpt'), 'data'] as const;
      const rcpts = Array.from({ length: count }, () => reply(random.pick([250, 450, 550])));
      const right = [reply(random.pick([250, 451])), ...rcpts, reply(random.pick([354, 451, 554]))];
      expect(inStep(stages, right, false)).toBe(true);
      expect(inStep(stages, right.slice(0, -1), false)).toBe(false);
      // Shifted by one: the dot's reply counted as MAIL's, so that a RCPT's 250 answers DATA.
      const shifted = [reply(250), ...right.slice(0, -2), reply(250)];
      expect(inStep(stages, shifted, true)).toBe(false);
      expect(inStep(stages, right.slice(1).concat(reply(250)), true)).toBe(false);
    }
  });
});
