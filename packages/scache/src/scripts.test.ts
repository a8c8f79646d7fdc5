import { expect, test } from 'vitest';
import { boardScripts } from './board-scripts.ts';
import { allScripts } from './scripts.ts';
import { ticketScripts } from './ticket-scripts.ts';
import { tlsrptScripts } from './tlsrpt-scripts.ts';

test.each(
  [...allScripts, ...boardScripts, ...ticketScripts, ...tlsrptScripts].map(
    (script) => [script.name, script] as const,
  ),
)('%s: its header, its keys and its length keep the rules', (_, { keys, lua }) => {
  const header = lua.split('\n').filter((line) => line.startsWith('--'));
  const named = header.find((line) => line.startsWith('-- KEYS')) ?? '';
  const numbers = [...named.matchAll(/(?:^| )(\d+) [a-zA-Z]/g)].map((match) => Number(match[1]));
  expect(numbers).toEqual(Array.from({ length: keys }, (_each, i) => i + 1));
  for (const number of numbers) expect(lua).toContain(`KEYS[${number}]`);
  expect(lua).not.toContain(`KEYS[${keys + 1}]`);
  for (const part of ['-- ARGV', '-- Returns', '-- Invariant']) {
    expect(header.some((line) => line.startsWith(part))).toBe(true);
  }
  expect(lua.split('\n').length).toBeLessThan(100);
});
