/**
 * `npm run parameters [-- [--all] [report.json]]`: the table parameter → test → result. With the JSON report of a run
 * (`npx vitest run --reporter=json --outputFile=report.json`) it tells how each test ended. Of the parameters that the client's manual page
 * documented, or of all with `--all`. Ends with 1 when one has no test, or one of its tests failed.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parameters } from '@mailfleet/config';
import { byParameter, type NamedTest, testsOfReport, testsOfSources } from './named-tests.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const { values, positionals } = parseArgs({
  options: { all: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [report] = positionals;
const tests = report === undefined ? testsOfSources(root) : testsOfReport(report, root);
const chosen = parameters.filter(({ seed, moot }) => seed === true || (values.all && moot === undefined));

const lines = ['| Parameter | Test | Result |', '| --- | --- | --- |'];
let bad = 0;
for (const [name, found] of byParameter(
  chosen.map((parameter) => parameter.name),
  tests,
)) {
  const result = worstOf(found);
  if (result === 'none' || result === 'failed') bad += 1;
  const cell = found.map(({ file, title }) => `${file}: ${title.replaceAll('|', '\\|')}`).join('<br>');
  lines.push(`| ${name} | ${cell} | ${result} |`);
}
process.stdout.write(
  `${lines.join('\n')}\n\n${chosen.length} parameters, ${bad} without a test that holds\n`,
);
process.exitCode = bad === 0 ? 0 : 1;

/** One failure spoils all; a test that was left out proves nothing beside one that passed. */
function worstOf(found: readonly NamedTest[]): string {
  const results = found.map(({ result }) => result);
  return ['failed', 'passed', 'named'].find((result) => results.includes(result)) ?? results[0] ?? 'none';
}
