/** 8-bit content for servers that take 7 bits (disable_mime_output_conversion): examples, and what holds for any message. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { makeConfig } from '@mailfleet/config';
import { type Random, randomFrom, readExamples, testSeeds } from '@mailfleet/test-kit';
import { simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import { structureLimits } from '../structure/limits.ts';
import { ContentFilter } from './filter.ts';

const filterFor = (config: Readonly<Record<string, string>> = {}): ContentFilter =>
  new ContentFilter(
    { convert: true, checks: {}, rewriteHeader: undefined, limits: structureLimits(makeConfig(config)) },
    () => undefined,
  );

async function convert(
  pieces: readonly Buffer[],
  config?: Readonly<Record<string, string>>,
): Promise<Buffer | string> {
  const filter = filterFor(config);
  const output: Buffer[] = [];
  async function* source(): AsyncGenerator<Buffer> {
    // What was given is its owner's again afterwards: nobody may look at it then.
    for (const piece of pieces) {
      const lent = Buffer.from(piece);
      yield lent;
      lent.fill(0x21);
    }
  }
  for await (const chunk of filter.stream(source())) output.push(Buffer.from(chunk));
  return filter.failure === undefined
    ? Buffer.concat(output)
    : `5.6.0 ${filter.failure.kind === 'unfit' ? filter.failure.reason : ''}`;
}

const shown = (result: Buffer | string): string =>
  typeof result === 'string' ? result : result.toString('latin1');

describe('the examples of conversion.txt', () => {
  it.each(readExamples(new URL('../../examples/conversion.txt', import.meta.url)))(
    '$name',
    async ({ config, input, output }) => {
      expect(shown(await convert([input], config))).toBe(shown(output));
      const bytes = [...input].map((byte) => Buffer.from([byte]));
      expect(shown(await convert(bytes, config)), 'byte by byte').toBe(shown(output));
      const step = Math.ceil(input.length / 150);
      for (let at = 1; at < input.length; at += step) {
        const halves = shown(await convert([input.subarray(0, at), input.subarray(at)], config));
        if (halves !== shown(output)) expect(halves, `cut at ${at}`).toBe(shown(output));
      }
    },
  );

  it('mime_nesting_limit: 102 boundaries pass by default, the 103rd is one too many', async () => {
    const nested = (count: number): Buffer =>
      Buffer.from(`Content-Type: multipart/mixed${'; boundary=b'.repeat(count)}\r\n\r\nx\r\n`);
    expect(shown(await convert([nested(102)]))).toContain('x\r\n');
    expect(await convert([nested(103)])).toBe('5.6.0 MIME nesting exceeds safety limit');
  });

  it('LF line ends, and a last line without its end', async () => {
    const input = Buffer.from('Content-Transfer-Encoding: 8bit\n\n\xe9\n\xe9 ', 'latin1');
    expect(shown(await convert([input]))).toBe(
      'Content-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n=E9=20\r\n',
    );
  });
});

/** A message of random structure, and the texts of its leaves in order. */
function randomMessage(random: Random): { message: Buffer; leaves: Buffer[] } {
  const leaves: Buffer[] = [];
  const line = (): Buffer =>
    Buffer.from(
      Array.from({ length: random.below(random.below(8) === 0 ? 4000 : 120) }, () => {
        const byte = random.below(4) === 0 ? 128 + random.below(128) : 32 + random.below(95);
        return byte;
      }),
    );
  const leaf = (): Buffer => {
    const lines = Array.from({ length: 1 + random.below(5) }, () =>
      Buffer.concat([Buffer.from('.'), line()]),
    );
    const text = Buffer.concat(lines.flatMap((each) => [each, Buffer.from('\r\n')]));
    leaves.push(text);
    return text;
  };
  const entity = (depth: number): Buffer => {
    const kind = depth > 3 ? 0 : random.below(4);
    if (kind === 1 || kind === 2) {
      const boundary = `=_${depth}_${random.below(1_000_000)}`;
      const parts = Array.from({ length: 1 + random.below(3) }, () =>
        Buffer.concat([Buffer.from(`--${boundary}\r\n`), entity(depth + 1), Buffer.from('\r\n')]),
      );
      return Buffer.concat([
        Buffer.from(`Content-Type: multipart/mixed;\r\n\tboundary="${boundary}"\r\n`),
        Buffer.from('Content-Transfer-Encoding: 8bit\r\n\r\n'),
        ...parts,
        Buffer.from(`--${boundary}--\r\n`),
      ]);
    }
    return Buffer.concat([
      Buffer.from('Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'),
      leaf(),
    ]);
  };
  const message = Buffer.concat([
    Buffer.from(
      'From: a@example.com\r\nSubject: a message\r\nX-Folded: one\r\n\ttwo\r\nMIME-Version: 1.0\r\n',
    ),
    entity(0),
  ]);
  return { message, leaves };
}

describe('any message', () => {
  it.each(testSeeds)(
    'seed %i: 7-bit lines of at most 998, the same text to an independent reader, headers kept',
    async (seed) => {
      const random = randomFrom(seed);
      for (let round = 0; round < 30; round += 1) await examine(random);
    },
    20_000,
  );

  async function examine(random: Random): Promise<void> {
    const { message, leaves } = randomMessage(random);
    const result = await convert([message]);
    if (typeof result === 'string') throw new Error(result);
    expect(result.every((byte) => byte < 128)).toBe(true);
    const text = result.toString('latin1');
    for (const line of text.split('\r\n')) expect(line.length).toBeLessThanOrEqual(998);
    for (const header of ['From: a@example.com', 'Subject: a message', 'X-Folded: one\r\n\ttwo']) {
      expect(text).toContain(`${header}\r\n`);
    }
    const read = await simpleParser(result);
    // The line end before a boundary is the boundary's (RFC 2046 section 5.1.1); a reader may or may not give it.
    const bare = (content: Buffer): string => content.toString('latin1').replace(/\r?\n$/, '');
    expect(read.attachments.map(({ content }) => bare(content))).toEqual(leaves.map(bare));
    const cuts: Buffer[] = [];
    for (let at = 0; at < message.length; ) {
      const next = at + 1 + random.below(700);
      cuts.push(message.subarray(at, next));
      at = next;
    }
    expect(shown(await convert(cuts))).toBe(text);
    expect(shown(await convert([result])), 'a second time nothing changes').toBe(text);
  }
});

it('100 MB in constant memory', async () => {
  const head = Buffer.from(
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n',
  );
  const line = Buffer.from(`${'\xe9bc'.repeat(30)}\r\n`, 'latin1');
  const chunk = Buffer.concat(Array.from({ length: Math.floor(65_536 / line.length) }, () => line));
  const size = 100 * 1024 * 1024;
  const filter = filterFor();
  async function* source(): AsyncGenerator<Buffer> {
    yield head;
    for (let sent = 0; sent < size; sent += chunk.length) yield Buffer.from(chunk);
  }
  // What is kept, not what waits to be collected.
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const kept = (): number => {
    // Twice: the buffers of the first are given back by the second.
    collect();
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  let bytes = 0;
  let measured = 0;
  let most = 0;
  const before = kept();
  for await (const piece of filter.stream(source())) {
    bytes += piece.length;
    if (bytes - measured < size / 8) continue;
    measured = bytes;
    most = Math.max(most, kept() - before);
  }
  expect(bytes).toBeGreaterThan(1.6 * size);
  expect(measured).toBeGreaterThan(size);
  expect(most).toBeLessThan(4 * 1024 * 1024);
}, 60_000);
