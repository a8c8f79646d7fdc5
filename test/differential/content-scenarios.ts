/** What becomes of contents on their way out: the examples of packages/mime, before a server without 8BITMIME. */
import { type Example, readExamples } from '@mailfleet/test-kit';
import type { Scenario } from './scenario.ts';

const examplesOf = (file: string): Example[] =>
  readExamples(new URL(`../../packages/mime/examples/${file}`, import.meta.url));

/** Postfix's cleanup(8) has mended these before its client sees them, as our intake does, or cut their lines by its own limit. */
const CHANGED_BEFORE = [
  'nothing at all',
  'headers only',
  'a multipart that is 8bit, its header ended by text',
  'body_checks: a line that is longer than line_length_limit',
];

const isChangedBefore = ({ name }: Example): boolean =>
  CHANGED_BEFORE.some((beginning) => name.startsWith(beginning));

const scenariosOf = (file: string, title: string, keywords: readonly string[]): Scenario[] =>
  examplesOf(file)
    .filter((example) => !isChangedBefore(example))
    .map(({ name, config, input }) => ({
      name: `${title}: ${name}`,
      config,
      content: input.toString('latin1'),
      servers: [{ keywords }],
    }));

export const contentScenarios: readonly Scenario[] = [
  ...scenariosOf('conversion.txt', '7bit', ['PIPELINING', 'SIZE']),
  ...scenariosOf('checks.txt', 'checks', ['PIPELINING', 'SIZE', '8BITMIME']),
];
