import { expect, test } from 'vitest';
import { openTable } from './open.ts';
import { patternCost } from './pattern-cost.ts';
import { withinTimeLimit } from './time-limit.ts';

/** Patterns that take exponential or high polynomial time, each with a key that shows it. */
const CATASTROPHES: readonly [pattern: string, key: string][] = [
  ['/(a+)+$/', `${'a'.repeat(40)}b`],
  ['/^(a|a)*$/', `${'a'.repeat(40)}b`],
  ['/^(([a-z])+.)+[A-Z]([a-z])+$/', `${'a'.repeat(60)}1`],
  ['/(?=(a+)+$)b/', `${'a'.repeat(40)}b`],
  ['/^(a+)+\\1$/', `${'a'.repeat(40)}b`],
  ['/(x?y?){50}z/', 'x'.repeat(45)],
  ['/.*a.*b.*c.*d.*e$/', 'abcd'.repeat(3000)],
  ['/^Subject: .*x.*y.*z.*w$/', `Subject: ${'xyz'.repeat(10_000)}`],
];

test.each(CATASTROPHES)('pcre: %s does not hang: the lookup is an error in time', async (pattern, key) => {
  const table = openTable(`pcre:{{${pattern} found}}`);
  const began = performance.now();
  const result = await table.lookup(key);
  // The limit is 100 ms; the rest is for a busy machine. Without a limit each of these takes minutes at least.
  expect(performance.now() - began).toBeLessThan(5_000);
  expect(result.kind).not.toBe('found');
  if (result.kind === 'error')
    expect(result.reason).toContain('rule 1 of the table takes longer than 100 ms');
});

test('after a key that took too long the table still answers others', async () => {
  const table = openTable('regexp:{{/^(a+)+$/ letters}, {/./ other}}');
  expect((await table.lookup(`${'a'.repeat(40)}b`)).kind).toBe('error');
  expect(await table.lookup('aaa')).toEqual({ kind: 'found', value: 'letters' });
  expect(await table.lookup('b')).toEqual({ kind: 'found', value: 'other' });
});

test('a rule under the time limit gives its groups, and the rules before it are not tried again', async () => {
  const table = openTable('pcre:{{/^no$/ no}, {/^((?:a|b)+)-(.*)$/ $2/$1}}');
  expect(await table.lookup('abba-x')).toEqual({ kind: 'found', value: 'x/abba' });
});

test('common patterns are cheap for common keys, so that no clock is watched', () => {
  for (const pattern of [
    /^(.*)@example\.com$/i,
    /^user\+[^@]*@(example|test)\.(com|org)$/i,
    /^Received: from .* by .*/i,
    /\.(exe|com|pif|scr|vbs)"?$/i,
    /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/,
  ]) {
    expect([pattern, patternCost(pattern).steps(60) <= 1_000_000]).toEqual([pattern, true]);
  }
});

test('a pattern that begins with a fixed text costs nothing for keys that do not', async () => {
  expect(patternCost(/^Content-Type: (a+)+$/i).prefix).toBe('content-type:');
  expect(patternCost(/^abc*/).prefix).toBe('ab');
  expect(patternCost(/^a|b/).prefix).toBe('');
  expect(patternCost(/^ab/m).prefix).toBe('');
  const table = openTable('pcre:{{/^Content-Type: (a+)+$/ bad}, {/^!subject/ x}, {/./ rest}}');
  expect(await table.lookup('Subject: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab')).toEqual({
    kind: 'found',
    value: 'rest',
  });
  expect(await table.lookup('CONTENT-TYPE: aaa')).toEqual({ kind: 'found', value: 'bad' });
});

test('work that throws throws, and nothing is left for the next', () => {
  expect(() =>
    withinTimeLimit(1000, () => {
      throw new RangeError('own');
    }),
  ).toThrow(RangeError);
  expect(withinTimeLimit(1000, () => 7)).toEqual({ value: 7 });
});
