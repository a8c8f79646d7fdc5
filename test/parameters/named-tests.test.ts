/**
 * Every parameter that the client's manual page documented has a test that names it in its title. `npm run parameters` prints which.
 */
import { fileURLToPath } from 'node:url';
import { parameters } from '@mailfleet/config';
import { expect, test } from 'vitest';
import { byParameter, testsOfSources } from './named-tests.ts';
import { titlesIn } from './titles.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Those that have no effect yet, and so no test that could show it. The list can only shrink. */
const PENDING: readonly string[] = [];

test('each parameter of the seed page has a test with its name in the title', () => {
  const seeds = parameters.flatMap(({ name, seed }) => (seed === true ? [name as string] : []));
  const named = byParameter(seeds, testsOfSources(root));
  const unnamed = seeds.filter((name) => named.get(name)?.length === 0);
  expect(unnamed, 'without a test that names them').toEqual(PENDING);
});

test('titles are those of tests and suites, with the strings of a table whose rows stand in them', () => {
  const source = `
    const rows = [['from_constant', { in_key: 'in_value' }]];
    describe('suite', () => {
      test.skipIf(x)(\`template \${y} end\`, () => use('in_body'));
      test.each([['from_row', 1]])('row %s', () => {});
      it.concurrent.each(rows)('constant %s', () => {});
      test.each([['not_shown']])('fixed', () => {});
    });
    other('no_test', () => {});`;
  expect(titlesIn('a.test.ts', source).sort()).toEqual(
    [
      'suite',
      'template $ end',
      'row %s',
      'from_row',
      'constant %s',
      'from_constant',
      'in_value',
      'fixed',
    ].sort(),
  );
});
