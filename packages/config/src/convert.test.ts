import { describe, expect, test } from 'vitest';
import { convert, splitList } from './convert.ts';

const value = (type: 'boolean' | 'integer' | 'size' | 'feedback' | 'list', text: string): unknown => {
  const result = convert({ type }, text);
  return result.ok ? result.value : undefined;
};
const seconds = (text: string, unit: 's' | 'd' = 's'): number | undefined => {
  const result = convert({ type: 'time', unit }, text);
  return result.ok && typeof result.value === 'number' ? result.value / 1000 : undefined;
};

test('boolean: yes and no in any case, nothing else', () => {
  expect([value('boolean', 'YES'), value('boolean', 'no')]).toEqual([true, false]);
  for (const text of ['', 'true', '1', 'yes ']) expect(value('boolean', text)).toBeUndefined();
});

test('integer: decimal with a sign, nothing after it, 32 bits', () => {
  expect([value('integer', '007'), value('integer', '-3'), value('integer', '+4')]).toEqual([7, -3, 4]);
  for (const text of ['', '1.5', '5x', '0x10', '2147483648']) expect(value('integer', text)).toBeUndefined();
});

test('size: bytes, and our k M G', () => {
  expect([value('size', '10240000'), value('size', '64k'), value('size', '10M'), value('size', '0')]).toEqual(
    [10240000, 65536, 10485760, 0],
  );
  for (const text of ['', '10 M', '1t', '99999999999999999']) expect(value('size', text)).toBeUndefined();
});

describe('time', () => {
  test.each([
    ['5', 5],
    ['5m', 300],
    ['2h', 7200],
    ['1d', 86400],
    ['1w', 604800],
    ['10min', 600],
    ['10ms', 600],
    ['1month', 60],
    ['0', 0],
  ])('%s is %d s', (text, expected) => expect(seconds(text)).toBe(expected));

  test('without a letter the unit of the default counts', () => expect(seconds('5', 'd')).toBe(432000));

  test.each(['1.5h', '-5', '1H', '5 m', '', '5x', '99999w'])('%s is refused', (text) => {
    expect(seconds(text)).toBeUndefined();
  });
});

test('limits are inclusive, and a limit of 0 is not enforced', () => {
  const limited = (text: string) => convert({ type: 'integer', min: 10, max: 100 }, text).ok;
  expect([limited('9'), limited('10'), limited('100'), limited('101')]).toEqual([false, true, true, false]);
  expect(convert({ type: 'integer', min: 0 }, '-5').ok).toBe(true);
  expect(convert({ type: 'time', unit: 's', min: 1 }, '0m').ok).toBe(false);
});

test('length limits hold for the text', () => {
  expect(convert({ type: 'string', minLength: 1 }, '')).toEqual({
    ok: false,
    message: 'the value must not be empty',
  });
  expect(convert({ type: 'string', maxLength: 1 }, 'ab').ok).toBe(false);
  expect(convert({ type: 'list', minLength: 1 }, '').ok).toBe(false);
});

test('keywords in any case, in lower case afterwards', () => {
  const values = ['', 'may', 'encrypt'];
  expect(convert({ type: 'enum', values }, 'May')).toEqual({ ok: true, value: 'may' });
  expect(convert({ type: 'enum', values }, '')).toEqual({ ok: true, value: '' });
  expect(convert({ type: 'enum', values }, 'must')).toEqual({
    ok: false,
    message: '"must" is not one of may, encrypt',
  });
});

test('a feedback that is none draws a warning and acts as 1', () => {
  for (const text of ['1', '0', '.5', '1/8', '1/concurrency', '1 / Concurrency']) {
    expect(convert({ type: 'feedback' }, text)).toEqual({ ok: true, value: text });
  }
  for (const text of ['2', 'x', '1/sqrt_concurrency', '1/0', '3/2']) {
    expect(convert({ type: 'feedback' }, text)).toMatchObject({
      ok: true,
      warning: expect.stringContaining('acts as 1'),
    });
  }
});

test('lists are split at commas and white space outside braces', () => {
  expect(splitList(' a, b\tc,,\n d ')).toEqual(['a', 'b', 'c', 'd']);
  expect(splitList('inline:{ {a = b, c}, d=e } hash:/f')).toEqual(['inline:{ {a = b, c}, d=e }', 'hash:/f']);
  expect(splitList('inline:{a')).toBeUndefined();
  expect(splitList('')).toEqual([]);
});
