/**
 * Whatever a message holds, the filter ends, keeps to its limits and gives the same however the bytes come.
 */
import { makeConfig } from '@mailfleet/config';
import { openTable } from '@mailfleet/lookup';
import { type Random, randomFrom, testSeeds } from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import { GenericMap } from '../rewriting/generic.ts';
import { structureLimits } from '../structure/limits.ts';
import { ContentFilter, type FilterPlan } from './filter.ts';

const limits = structureLimits(
  makeConfig({ header_size_limit: '300', line_length_limit: '512', mime_nesting_limit: '3' }),
);
const generic = new GenericMap({
  name: 'smtp_generic_maps',
  table: openTable('inline:{a@b=c@d, @e=@f}'),
  delimiters: '+',
  propagate: true,
  isLocal: async () => false,
  complete: (address) => address,
  tokenLimit: 200,
});
const rewriteHeader: FilterPlan['rewriteHeader'] = (name, bytes, note) =>
  generic.rewriteHeader(name, bytes, note);
const checked = (pattern: string) => ({ name: 'checks', table: openTable(pattern, { fold: false }) });
const plans: Readonly<Record<string, FilterPlan>> = {
  conversion: { convert: true, checks: {}, rewriteHeader: undefined, limits },
  'checks and rewriting': {
    convert: false,
    checks: {
      primary: checked('pcre:{{/^X/ PREPEND X-Y: z}}'),
      mime: checked('pcre:{{/8bit/ IGNORE}}'),
      body: checked('pcre:{{/^a/ REPLACE b} {/^--/ PREPEND c}}'),
    },
    rewriteHeader,
    limits,
  },
  everything: {
    convert: true,
    checks: { body: checked('pcre:{{/^=/ REPLACE x}}'), nested: checked('static:IGNORE') },
    rewriteHeader,
    limits,
    strict: { headers: true, bodies: true, encodingDomain: true },
  },
};

const WORDS: readonly [string, ...string[]] = [
  ...([
    '\r\n',
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    ' ',
    '\t',
    'a',
    '\xe9',
    '\0',
    '.',
    '--',
    '=',
    '-',
    ':',
  ] as const),
  ...[
    'From: ',
    'To: ',
    'Cc: a@b',
    'X: ',
    'Content-Type: ',
    'multipart/mixed; boundary=',
    'multipart/digest',
    ';',
  ],
  ...[
    'message/rfc822',
    'message/global',
    'text/plain',
    'boundary="',
    '"',
    '=_1',
    '--=_1',
    '--=_1--',
    '(',
    ')',
  ],
  ...[
    'Content-Transfer-Encoding: ',
    '8bit',
    'binary',
    'base64',
    '7bit',
    '<',
    '>',
    ',',
    ';',
    '@',
    'a@b',
    '@e',
    '\\',
  ],
  ...['x'.repeat(100), 'x'.repeat(600), '\xff'.repeat(80)],
] as [string, ...string[]];

async function filtered(plan: FilterPlan, pieces: readonly Buffer[]): Promise<string> {
  const filter = new ContentFilter(plan, () => undefined);
  const output: Buffer[] = [];
  async function* source(): AsyncGenerator<Buffer> {
    yield* pieces;
  }
  for await (const chunk of filter.stream(source())) output.push(Buffer.from(chunk));
  return filter.failure === undefined
    ? Buffer.concat(output).toString('latin1')
    : JSON.stringify(filter.failure);
}

const cut = (message: Buffer, random: Random): Buffer[] => {
  const pieces: Buffer[] = [];
  for (let at = 0; at < message.length; ) {
    const next = at + 1 + random.below(random.below(4) === 0 ? 600 : 8);
    pieces.push(message.subarray(at, next));
    at = next;
  }
  return pieces;
};

describe.each(Object.entries(plans))('%s', (_, plan) => {
  it.each(testSeeds)('seed %i', async (seed) => {
    const random = randomFrom(seed);
    for (let round = 0; round < 400; round += 1) {
      const message = Buffer.from(random.text(WORDS, 60), 'latin1');
      const whole = await filtered(plan, [message]);
      const inPieces = await filtered(plan, cut(message, random));
      if (inPieces !== whole) expect(inPieces, JSON.stringify(message.toString('latin1'))).toBe(whole);
      // Each line may gain a line before it, each byte become three and share a soft break.
      expect(whole.length).toBeLessThan(1000 + 12 * message.length);
    }
  });
});

it.each([
  ['nested comments', `To: ${'('.repeat(100_000)}`],
  ['nested quotes', `Content-Type: multipart/mixed; boundary=${'"\\'.repeat(50_000)}`],
  [
    'a thousand boundaries',
    `Content-Type: multipart/mixed${'; boundary=a'.repeat(1000)}\r\n\r\n${'--a\r\n'.repeat(20_000)}`,
  ],
  ['many addresses', `To: ${'<a@b>,'.repeat(20_000)}`],
  ['many headers', 'X: y\r\n'.repeat(50_000)],
  ['a long line of dashes', `Content-Type: multipart/mixed; boundary=a\r\n\r\n${'-'.repeat(1_000_000)}`],
  [
    'many lines of two dashes',
    `Content-Type: multipart/mixed; boundary=a\r\n\r\n${'--\r\n'.repeat(200_000)}`,
  ],
])('no message takes long: %s', async (_, text) => {
  const roomy = structureLimits(makeConfig({ header_size_limit: '1000000', mime_nesting_limit: '2000' }));
  const plan: FilterPlan = { convert: true, checks: {}, rewriteHeader, limits: roomy };
  const message = Buffer.from(`${text}\r\n\r\nbody\r\n`, 'latin1');
  const before = process.cpuUsage();
  await filtered(plan, [message]);
  const { user } = process.cpuUsage(before);
  expect(user / 1000, 'milliseconds of CPU').toBeLessThan(2000);
});
