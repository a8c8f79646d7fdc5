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

const envelopes: readonly Scenario[] = (
  [
    ['sender', { sender: 'a+b@in.example' }, 'inline:{@in.example=@out.example}'],
    ['null sender', { sender: '' }, 'static:x@y.example'],
    ['a sender to quote', { sender: 'a b@in.example' }, 'inline:{{"a b"@in.example = "c d"@out.example}}'],
    ['recipients', { recipients: ['one', 'two+x'] }, 'pcre:{{/^two@(.*)/ due@$$1} {/^one@/ uno@x.example}}'],
    [
      'an extension',
      { recipients: ['two+x', 'a+b+c', 'owner-x+y', '+'] },
      'regexp:{{/^([^+]*)@(.*)/ $$1.$$2@x.example}}',
    ],
    [
      'a pattern for a piece of an address',
      { recipients: ['two+x'] },
      'regexp:{{/^two@/ due@x.example} {/^@/ no}}',
    ],
    ['more addresses than one', { recipients: ['one'] }, 'static:{a@b.example, c@d.example}'],
    [
      'the result of no table is looked up again',
      { recipients: ['one'] },
      'pcre:{{/^one@/ two@x.example} {/^two@/ no@x.example}}',
    ],
  ] as const satisfies readonly (readonly [string, Partial<Scenario>, string])[]
).map(([name, scenario, table]) => ({
  name: `generic, envelope: ${name}`,
  ...scenario,
  config: { smtp_generic_maps: table, recipient_delimiter: '+' },
  servers: [{ keywords: ['PIPELINING', 'DSN'] }],
}));

export const contentScenarios: readonly Scenario[] = [
  ...scenariosOf('conversion.txt', '7bit', ['PIPELINING', 'SIZE']),
  ...scenariosOf('checks.txt', 'checks', ['PIPELINING', 'SIZE', '8BITMIME']),
  ...scenariosOf('generic.txt', 'generic', ['PIPELINING', 'SIZE', '8BITMIME']),
  ...envelopes,
];
