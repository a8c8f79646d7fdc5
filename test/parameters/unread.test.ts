/**
 * The registry lists the parameters that nothing reads yet, and that list can only shrink: whoever reads one takes it off, and
 * a new parameter that nothing reads does not pass. `UPDATE=1 npx vitest run test/parameters` writes the list anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { unread as listed, parameters } from '@mailfleet/config';
import { expect, test } from 'vitest';
import { unreadParameters } from './readers.ts';

const file = fileURLToPath(new URL('../../packages/config/src/registry/unread.ts', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

test('the parameters that nothing reads are those of the list, or say why they have no meaning', () => {
  const moot = new Set<string>(
    parameters.filter((parameter) => parameter.moot !== undefined).map(({ name }) => name),
  );
  const unread = unreadParameters(root);
  const pending = unread.filter((name) => !moot.has(name));
  if (process.env.UPDATE === '1') {
    const [header] = readFileSync(file, 'utf8').split('\nexport const');
    const names = pending.map((name) => `  '${name}',\n`).join('');
    writeFileSync(file, `${header}\nexport const unread: readonly string[] = [\n${names}];\n`);
    return;
  }
  expect(
    pending.filter((name) => !listed.includes(name)),
    'read by nothing, but not in the list',
  ).toEqual([]);
  expect(
    listed.filter((name) => !pending.includes(name)),
    'in the list, but read or without meaning',
  ).toEqual([]);
  expect(
    [...moot].filter((name) => !unread.includes(name)),
    'without meaning, but read',
  ).toEqual([]);
});
