// biome-ignore-all lint/suspicious/noTemplateCurlyInString: result templates of rules look like template strings
/** regexp, pcre and cidr tables beside Debian's postmap: the same hits for rules as people write them, and for odd ones. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTable } from '@mailfleet/lookup';
import { installed } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectLikePostmap, writeTableFile } from './conformance.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-patterns-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const KEYS = [
  'user@example.com',
  'USER@Example.COM',
  'user+tag@sub.example.com',
  'owner-list@example.com',
  'list-request@example.com',
  'a.b.c@x.y.z',
  'Subject: Buy NOW!!!',
  'Subject: =?utf-8?q?caf=C3=A9?=',
  'Received: from [10.1.2.3] by mx',
  'Content-Type: application/zip; name="invoice.pdf.exe"',
  'X-Mailer: Foo/1.0 (bar)',
  'a\\b',
  'dollar$sign',
  'tab\tbed',
  '[192.0.2.1]',
  '192.0.2.77',
  '10.255.0.1',
  '2001:db8::7',
  '::ffff:192.0.2.5',
  'aaa',
  'aaab',
  '{braces}',
  'x-y_z',
  '12345',
  'foo bar  baz',
];

/** One table for each, since the first match hides the rules behind it. */
const RULES: Readonly<Record<'regexp' | 'pcre' | 'cidr', readonly (string | readonly string[])[]>> = {
  regexp: [
    '/^(.+)@example\\.com$/ relay:[$1]',
    '/^(.*)\\+.*@(.*)$/ $1@$2',
    '/^owner-(.*)@/ o:${1}',
    '/[[:upper:]]{3}/i caps',
    '/^[^@]+@([^.]+\\.)+com$/ com $1',
    '/(a+)(b?)$/ <$1|$2>',
    '/^a|b$/ alt',
    '/\\[([0-9.]+)\\]/ ip $1',
    '/^subject:.*now/ case',
    '/NOW/i exact',
    '/\\./ dot $$1',
    '!/@/ no-at',
    '/^x-/!/mailer/ not-mailer',
    '%^received:.*10\\.% priv',
    '/^.{5}$/ five',
    '/\\$/ dollar',
    '/\\\\/ backslash',
    '/[]x]/ bracket',
    '/[^]a-z]/ not',
    '/^[0-9]+$/ digits',
    '/\\<foo\\>/ word',
    '/foo  */ spaces',
    '/(foo|foo bar)$/ $1',
    '/^[a\\\\]+b/ posix-brackets',
    '/^[\\\\.d]+/ no-escape-in-brackets',
    '/\\d/ letter-d',
    ['if /@/', '/^user/ user', 'if !/example/', '/./ other-at', 'endif', 'endif', '/./ rest'],
    ['if /^x/', '/y/ xy', 'endif', '/z/ z'],
    ['/^a/   lots   of   blanks  ', '# comment', '/b/', '  continued here'],
    ['endif', '/a/ after-endif'],
    ['/(/ broken', '/a/ whole'],
  ],
  pcre: [
    '/^(?<user>[^@]+)@(?:.*\\.)?example\\.com$/ $1',
    '/^(?!owner-)(\\S+)@example\\.com$/ not-owner:$1',
    '/(?<=\\.)exe"?$/ exe',
    '/\\bnow\\b/ word',
    '/^\\d{1,3}(?:\\.\\d{1,3}){3}$/ v4',
    '/^(\\w)\\1\\1/ triple $1',
    '/now/i case',
    '/a{2,3}?(.*)$/ lazy <$1>',
    '/^ user (.*) # rest\n$/x x',
    '/user/A anchored',
    '/sub/A anchored',
    '/^subject:\\s+(.*)$/m $1',
    '/\\x40/ at',
    '/[[:punct:]]{2}/ punct',
    '/(?i)EXAMPLE/i inline',
    '/^user@example.com$/s dot',
    '/\\Auser/ start',
    '/com\\z/ end',
    '/(a)|(b)/ <$1$2>',
    '/\\p{Lu}/i upper',
    '/^[\\w.+-]+@/ local',
    '/^[\\w.]+@[\\w.]+$/ classes-in-brackets',
    '/^.*?(\\d+)/U <$1>',
    '/\\Qa.b\\E/ quoted',
    '/a*(.*)/U <$1>',
    '/\\h/ blank',
    '/foo\\Kbar/ keep',
    ['if /^subject:/', '/buy/ spam', 'endif', '/./ other'],
    ['if !/@/', '/^(.).*$/ $1', 'endif'],
    ['/(?P<n>z)$/ $1', '/(?#comment)x-(.)/ $1'],
  ],
  cidr: [
    '192.0.2.0/24 doc',
    '192.0.2.77 host',
    '0.0.0.0/0 any4',
    '::/0 any6',
    '!10.0.0.0/8 not-ten',
    '2001:db8::/32 six',
    '[2001:db8::]/32 bracketed',
    '192.0.2.1/24 hostbits',
    ['if 192.0.0.0/8', '192.0.2.64/26 inner', '192.0.2.0/24 outer', 'endif', '10.0.0.0/8 ten'],
    ['if !192.0.0.0/8', '0.0.0.0/0 not-192', 'endif'],
    '10.0.0.0/8',
    '10/8 short',
    '::ffff:192.0.2.0/120 mapped',
  ],
};

for (const type of ['regexp', 'pcre', 'cidr'] as const) {
  describe.skipIf(!installed(['postmap']))(`${type}, beside postmap`, () => {
    test.each(RULES[type].map((rule, index) => [String(rule), rule, index] as const))(
      '%s',
      async (_title, rule, index) => {
        const path = join(directory, `${type}${index}`);
        writeTableFile(path, typeof rule === 'string' ? [rule] : rule);
        await expectLikePostmap(openTable(`${type}:${path}`), KEYS, /^/);
      },
    );
  });
}

test('the rules of this file are no empty list', () => expect(RULES.pcre.length).toBeGreaterThan(20));
