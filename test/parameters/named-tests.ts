/** Which tests name a parameter in their titles: from the sources, or from the JSON report of a run, which knows how they ended. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { titlesIn } from './titles.ts';

export interface NamedTest {
  readonly file: string;
  readonly title: string;
  /** passed, failed, skipped …; `named`: not known from the sources. */
  readonly result: string;
}

/** All tests of the sources. `root` is the repository. */
export function testsOfSources(root: string): NamedTest[] {
  return globSync(['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root })
    .sort()
    .flatMap((file) => {
      const titles = titlesIn(file, readFileSync(join(root, file), 'utf8'));
      return [...new Set(titles)].map((title) => ({ file, title, result: 'named' }));
    });
}

/** The part of vitest's JSON report (`--reporter=json`) that is of use here. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

export function testsOfReport(file: string, root: string): NamedTest[] {
  const report: Report = JSON.parse(readFileSync(file, 'utf8'));
  return report.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ fullName, status }) => ({
      file: name.replace(`${root}/`, ''),
      title: fullName.trim(),
      result: status,
    })),
  );
}

/** Tests by each name that their titles hold as a word of its own. */
export function byParameter(
  names: readonly string[],
  tests: readonly NamedTest[],
): ReadonlyMap<string, readonly NamedTest[]> {
  const wanted = new Map<string, NamedTest[]>(names.map((name) => [name, []]));
  for (const test of tests) {
    for (const word of new Set(test.title.match(/[A-Za-z0-9_]+/g))) wanted.get(word)?.push(test);
  }
  return wanted;
}
