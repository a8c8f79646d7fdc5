/**
 * unread.txt lists the parameters that nothing reads yet, so that the list can only shrink: whoever reads one takes it off, and
 * a new parameter that nothing reads does not pass. `UPDATE=1 npx vitest run test/parameters` writes the file anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parameters } from '@mailfleet/config';
import { expect, test } from 'vitest';
import { unreadParameters } from './readers.ts';

const file = fileURLToPath(new URL('unread.txt', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

test('the parameters that nothing reads are those of unread.txt, or say why they have no meaning', () => {
  const moot = new Set<string>(
    parameters.filter((parameter) => parameter.moot !== undefined).map(({ name }) => name),
  );
  const unread = unreadParameters(root);
  const pending = unread.filter((name) => !moot.has(name));
  if (process.env.UPDATE === '1') writeFileSync(file, `${pending.join('\n')}\n`);
  const listed = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  expect(
    pending.filter((name) => !listed.includes(name)),
    'read by nothing, but not in unread.txt',
  ).toEqual([]);
  expect(
    listed.filter((name) => !pending.includes(name)),
    'in unread.txt, but read or without meaning',
  ).toEqual([]);
  expect(
    [...moot].filter((name) => !unread.includes(name)),
    'without meaning, but read',
  ).toEqual([]);
});
