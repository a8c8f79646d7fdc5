import { expect, test } from 'vitest';
import { logicalLines, parseAssignment, parseMainCf } from './main-cf.ts';

test('continuations join without the line break, comments and blank lines do not end a logical line', () => {
  const text = 'a = 1,\n\n# comment\n  2,\n\t3\n   # indented comment\n  4\nb=x # kept\n';
  expect(parseMainCf(text)).toEqual([
    { kind: 'set', name: 'a', value: '1,  2,\t3  4', line: 1 },
    { kind: 'set', name: 'b', value: 'x # kept', line: 8 },
  ]);
});

test('name ends at white space or "="; the value keeps quotes and further "="', () => {
  expect(parseMainCf('a="x = y"\nb   =\nc = \r\n')).toEqual([
    { kind: 'set', name: 'a', value: '"x = y"', line: 1 },
    { kind: 'set', name: 'b', value: '', line: 2 },
    { kind: 'set', name: 'c', value: '', line: 3 },
  ]);
});

test('a line without "=", without a name or with a NUL byte is an error, an orphaned continuation a warning', () => {
  const kinds = parseMainCf('  orphan\nno equals\n= 1\na = \0\n').map(({ kind, line }) => `${kind} ${line}`);
  expect(kinds).toEqual(['warning 1', 'error 2', 'error 3', 'error 4']);
});

test('overrides have the same form', () => {
  expect(parseAssignment(' a = b=c ')).toEqual({ name: 'a', value: 'b=c' });
  expect(parseAssignment('a')).toBeUndefined();
});

test('logical lines name their first physical line', () => {
  expect(logicalLines('#\n\nkey\n value\n')).toEqual({
    lines: [{ text: 'key value', line: 3 }],
    orphans: [],
  });
});
