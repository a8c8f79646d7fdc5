/** The text of docs/parameters.md, from the registry alone: `write-reference.ts` writes it, a test compares it. */
import { type Parameter, parameters } from './parameter.ts';
import { groups } from './registry/groups.ts';
import { unread } from './registry/unread.ts';

const INTRODUCTION = `# Parameters

Generated from the registry in \`packages/config/src/registry\` by \`npm run docs\`; change it there.

Parameters stand in \`main.cf\`, one \`name = value\` each, with Postfix's syntax: a line that begins with white space continues the one
before, \`#\` begins a comment line, and values refer to others as \`$name\`, \`\${name?text}\`, \`\${name:text}\`,
\`\${name?{text}:{text}}\` or \`\${{text} == {text} ? {text} : {text}}\`. \`MAILFLEET_<name>\` in the environment overrides main.cf, and
\`-o name=value\` overrides both. \`mailfleet config\` shows what results.

- **boolean**: yes or no.
- **integer**, **size** (bytes; k, M or G may follow).
- **time**: a whole number and one of s m h d w; without a letter the unit that is given with the default.
- **list**: words between commas or white space. **maps**: a list of \`type:name\`; **table**: one of them.
- **enum**: one of the words. **feedback**: n, n/m or n/concurrency, between 0 and 1.

_Not read yet_ marks what has no effect so far. _Seed_ marks what the client of Postfix 2.4 documented. _Since_ is the first Postfix release, for parameters of group Mailfleet the first
Mailfleet release. An \`lmtp_\` parameter is the same as the \`smtp_\` one for deliveries by LMTP, unless it says otherwise. What the scheduler reads
per transport (\`transport_…\` in group Scheduler) may be set for any transport, as in \`slow_destination_rate_delay\`.
`;

export function referenceText(): string {
  const parts = [
    INTRODUCTION,
    '## Groups\n',
    groups.map(({ title }) => `- [${title}](#${anchor(title)})`).join('\n'),
    '',
  ];
  for (const { title } of groups) {
    parts.push(`## ${title}\n`);
    for (const parameter of parameters.filter(({ group }) => group === title)) parts.push(section(parameter));
  }
  return `${parts.join('\n').trimEnd()}\n`;
}

function anchor(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-');
}

function section(parameter: Parameter): string {
  return `### ${parameter.name}\n\n${parameter.doc}\n\n${facts(parameter).join(' · ')}\n`;
}

function facts(parameter: Parameter): string[] {
  const { type, unit, min, max, minLength, maxLength, values, lmtpName, mirrorOf, since, moot } = parameter;
  const facts = [type === 'time' ? `time (unit ${unit ?? 's'})` : type, defaultFact(parameter)];
  const unitName = type === 'time' ? ' s' : '';
  if (min !== undefined) facts.push(`at least ${min}${unitName}`);
  if (max !== undefined) facts.push(`at most ${max}${unitName}`);
  if (minLength !== undefined) facts.push('not empty');
  if (maxLength !== undefined) facts.push(`at most ${maxLength} character${maxLength === 1 ? '' : 's'}`);
  const words = (values ?? []).filter((value) => value !== '');
  if (words.length > 0) facts.push(`words: ${words.join(', ')}`);
  if (lmtpName !== undefined) facts.push(`LMTP: ${lmtpName}`);
  if (mirrorOf !== undefined) facts.push(`SMTP: ${mirrorOf}`);
  facts.push(`since ${since}`);
  if (parameter.seed === true) facts.push('seed');
  if (parameter.obsolete === true) facts.push('obsolete');
  if (unread.includes(parameter.name)) facts.push('not read yet');
  return moot === undefined ? facts : [...facts, `without meaning here: ${moot}`];
}

function defaultFact(parameter: Parameter): string {
  if (parameter.default === null) return 'no default';
  if (parameter.computed === true) return `default: ${parameter.default}`;
  return parameter.default === '' ? 'default: empty' : `default: \`${parameter.default}\``;
}
