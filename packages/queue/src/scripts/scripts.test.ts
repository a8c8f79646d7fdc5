import { expect, test } from 'vitest';
import { allScripts } from './all.ts';

test.each(allScripts.map((script) => [script.name, script] as const))(
  '%s: its header, its keys and its length keep the rules',
  (_, { keys, lua }) => {
    const used = [...lua.matchAll(/KEYS\[(\d+)\]/g)].map((match) => Number(match[1]));
    const loops = [...lua.matchAll(/for i = 1, (\d+) do .*KEYS\[i\]/g)].map((match) => Number(match[1]));
    expect(Math.max(...used, ...loops)).toBe(keys);
    const header = lua.split('\n').filter((line) => line.startsWith('--'));
    const named = header
      .join('\n')
      .replace(/^[\s\S]*-- KEYS/, '')
      .replace(/-- ARGV[\s\S]*/, '');
    const numbers = [...named.matchAll(/(?:^| )(\d+) [a-zA-Z]/g)].map((match) => Number(match[1]));
    expect(numbers).toEqual(Array.from({ length: keys }, (_each, i) => i + 1));
    expect(header.some((line) => line.startsWith('-- ARGV'))).toBe(true);
    expect(header.some((line) => line.startsWith('-- Returns'))).toBe(true);
    expect(header.some((line) => line.startsWith('-- Invariant'))).toBe(true);
    expect(lua.split('\n').length).toBeLessThan(100);
  },
);

test('names are unique', () => {
  expect(new Set(allScripts.map(({ name }) => name)).size).toBe(allScripts.length);
});
