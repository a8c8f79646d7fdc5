// biome-ignore-all lint/suspicious/noTemplateCurlyInString: result templates of rules look like template strings
import { spawnSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installed } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openMaps, openTable } from './open.ts';
import type { LookupResult, TableOptions } from './table.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-lookup-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, ...lines: string[]): string {
  const path = join(directory, name);
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

async function ask(spec: string, key: string, options?: TableOptions): Promise<string | undefined> {
  const result = await openTable(spec, options).lookup(key);
  if (result.kind === 'error') return `error: ${result.reason}`;
  return result.kind === 'found' ? result.value : undefined;
}

const hit = (value: string): LookupResult => ({ kind: 'found', value });

describe('tables in main.cf itself', () => {
  test('inline: pairs with and without braces, the last of equal keys counts', async () => {
    const spec = 'inline:{a=1, { b = two words }, a=3}';
    expect(await ask(spec, 'a')).toBe('3');
    expect(await ask(spec, 'B')).toBe('two words');
    expect(await ask(spec, 'c')).toBeUndefined();
  });

  test('inline without pairs is an error for every key', async () => {
    expect(await ask('inline:{}', 'a')).toMatch(/^error: .*at least one pair/);
  });

  test('static, in both spellings', async () => {
    expect(await ask('static:OK', 'x')).toBe('OK');
    expect(await ask('static:{ two words }', 'x')).toBe('two words');
  });

  test('an empty result is an error, not a miss', async () => {
    expect(await ask('static:', 'x')).toMatch(/^error: .*empty result/);
  });

  test('fail and unknown types answer with an error', async () => {
    expect(await ask('fail:why', 'x')).toMatch(/^error: /);
    expect(await ask('nosuch:/x', 'x')).toMatch(/^error: .*"nosuch" is not supported/);
    expect(await ask('texthash:/does/not/exist', 'x')).toMatch(/^error: .*cannot read \/does\/not\/exist/);
  });

  test('environ reads the environment', async () => {
    process.env.mailfleet_lookup_test = 'there';
    expect(await ask('environ:', 'mailfleet_lookup_test')).toBe('there');
  });

  test('pipemap, unionmap, randmap', async () => {
    expect(await ask('pipemap:{inline:{a=b}, inline:{b=c}}', 'a')).toBe('c');
    expect(await ask('pipemap:{inline:{a=x}, inline:{b=c}}', 'a')).toBeUndefined();
    expect(await ask('unionmap:{inline:{a=1}, static:2}', 'a')).toBe('1,2');
    expect(await ask('unionmap:{inline:{a=1}, fail:x}', 'a')).toMatch(/^error/);
    expect(await ask('randmap:{a, b, c}', 'x', { random: () => 0.5 })).toBe('b');
  });
});

describe('text files', () => {
  test('keys are folded, values keep inner blanks, comments may stand inside', async () => {
    const path = file(
      'plain',
      '# comment',
      'User@Example.com  one  two',
      '# inside',
      '  three',
      '"a b"@x  quoted',
    );
    for (const type of ['texthash', 'hash', 'lmdb', 'proxy:hash']) {
      expect(await ask(`${type}:${path}`, 'user@example.COM')).toBe('one  two  three');
      expect(await ask(`${type}:${path}`, '"a b"@x')).toBe('quoted');
    }
  });

  test('without fold, texthash keeps the case of keys', async () => {
    const path = file('cased', 'Key value');
    expect(await ask(`texthash:${path}`, 'key', { fold: false })).toBeUndefined();
    expect(await ask(`texthash:${path}`, 'Key', { fold: false })).toBe('value');
  });

  test('a repeated key: hash keeps the first, texthash refuses the file', async () => {
    const path = file('twice', 'a 1', 'A 2');
    expect(await ask(`hash:${path}`, 'a')).toBe('1');
    expect(await ask(`texthash:${path}`, 'b')).toMatch(/^error: .*twice:2/);
  });

  test('a line without value is skipped with a warning', async () => {
    const warnings: string[] = [];
    const path = file('novalue', 'a', 'b 2');
    expect(await ask(`hash:${path}`, 'b', { warn: (sentence) => warnings.push(sentence) })).toBe('2');
    expect(warnings).toEqual([`${path}:1: the key "a" has no value; the line is ignored`]);
  });

  test('a changed file is read again within a second, and a removed one is an error', async () => {
    let now = 0;
    const path = file('changing', 'a 1');
    const table = openTable(`hash:${path}`, { now: () => now });
    expect(await table.lookup('a')).toEqual(hit('1'));
    writeFileSync(`${path}.new`, 'a 2\n');
    utimesSync(`${path}.new`, 1, 1);
    renameSync(`${path}.new`, path);
    now = 999;
    expect(await table.lookup('a')).toEqual(hit('1'));
    now = 1000;
    expect(await table.lookup('a')).toEqual(hit('2'));
    rmSync(path);
    now = 2000;
    expect((await table.lookup('a')).kind).toBe('error');
  });
});

describe('maps', () => {
  test('the first hit wins, an error ends the search', async () => {
    expect(await openMaps(['inline:{a=1}', 'inline:{a=2,b=3}']).lookup('a')).toEqual(hit('1'));
    expect(await openMaps(['inline:{a=1}', 'inline:{a=2,b=3}']).lookup('b')).toEqual(hit('3'));
    expect((await openMaps(['fail:x', 'static:1']).lookup('b')).kind).toBe('error');
    expect((await openMaps(['inline:{b=1}', 'fail:x']).lookup('b')).kind).toBe('found');
    expect((await openMaps([]).lookup('b')).kind).toBe('miss');
  });

  test('pattern tables skip partial keys; pipemap follows its first member', async () => {
    const partial = { partial: true };
    expect((await openMaps(['regexp:{{/./ x}}', 'fail:x']).lookup('b', partial)).kind).toBe('miss');
    expect(await openMaps(['inline:{b=1}']).lookup('b', partial)).toEqual(hit('1'));
    expect((await openTable('pipemap:{regexp:{{/./ x}}, inline:{x=1}}').lookup('b', partial)).kind).toBe(
      'miss',
    );
    expect(await openTable('pipemap:{inline:{b=x}, regexp:{{/./ y}}}').lookup('b', partial)).toEqual(
      hit('y'),
    );
  });
});

describe('regexp and pcre', () => {
  test('first match wins, matching is case-insensitive until i is toggled', async () => {
    const path = file('rules', '/^Foo/ one', '/^foo/i two', '!/bar/ three', '/bar/ four');
    expect(await ask(`regexp:${path}`, 'FOO')).toBe('one');
    expect(await ask(`pcre:{{/^Foo/i one}, {/^foo/ two}}`, 'foo')).toBe('two');
    expect(await ask(`regexp:${path}`, 'x')).toBe('three');
    expect(await ask(`regexp:${path}`, 'a bar')).toBe('four');
  });

  test('groups, dollars, groups that did not take part', async () => {
    const path = file('groups', '/^(a)(b)?@(.*)$/ $1-${2}-$(3)-$$');
    expect(await ask(`pcre:${path}`, 'a@x')).toBe('a--x-$');
  });

  test('other delimiters and an escaped one', async () => {
    const path = file('delimiters', '|a/b| one', '/a\\/c/ two', '!!!x! never');
    expect(await ask(`regexp:${path}`, 'a/b')).toBe('one');
    expect(await ask(`regexp:${path}`, 'a/c')).toBe('two');
  });

  test('/a/!/b/ of regexp', async () => {
    const path = file('but', '/^a/!/b$/ yes');
    expect(await ask(`regexp:${path}`, 'ac')).toBe('yes');
    expect(await ask(`regexp:${path}`, 'ab')).toBeUndefined();
  });

  test('if blocks nest, negate, and without endif reach to the end', async () => {
    const path = file(
      'if',
      'if /a/',
      'IF !/b/',
      '/./ a-not-b',
      'endif',
      '/./ a-and-b',
      'endif',
      'if /c/',
      '/./ c',
    );
    expect(await ask(`regexp:${path}`, 'a')).toBe('a-not-b');
    expect(await ask(`regexp:${path}`, 'ab')).toBe('a-and-b');
    expect(await ask(`regexp:${path}`, 'c')).toBe('c');
    expect(await ask(`regexp:${path}`, 'd')).toBeUndefined();
  });

  test('a rule with an error is skipped with a warning', async () => {
    const warnings: string[] = [];
    const path = file('bad', '/(/ a', '/x/q b', '!/x/ $1', '/x/ $2', 'no pattern', '/x/ good');
    expect(await ask(`pcre:${path}`, 'x', { warn: (sentence) => warnings.push(sentence) })).toBe('good');
    expect(warnings.map((warning) => warning.slice(path.length + 1, path.length + 2))).toEqual([
      '1',
      '2',
      '3',
      '4',
      '5',
    ]);
  });

  test('a rule without result is an error when it matches', async () => {
    expect(await ask('regexp:{{/x/}}', 'x')).toMatch(/^error: .*empty result/);
  });

  test('POSIX classes and what PCRE writes differently', async () => {
    expect(await ask('regexp:{{/^[[:alpha:]_]+[[:space:]][]x]$/ yes}}', 'ab_ ]')).toBe('yes');
    expect(await ask('pcre:{{/\\Aab\\z/ yes}}', 'AB')).toBe('yes');
    expect(await ask('pcre:{{/(?-i)ab/ yes}}', 'AB')).toBeUndefined();
    expect(await ask('pcre:{{/a b # c/x yes}}', 'ab')).toBe('yes');
    expect(await ask('pcre:{{/b/A yes}}', 'ab')).toBeUndefined();
    expect(await ask('pcre:{{/a.b/ yes}}', 'a\nb')).toBe('yes');
    expect(await ask('pcre:{{/a.b/s yes}}', 'a\nb')).toBeUndefined();
  });
});

describe('cidr', () => {
  test('blocks, addresses, negation within the family, if', async () => {
    const path = file(
      'cidr',
      '192.0.2.1 host',
      '10.0.0.1/8 host bits, so ignored',
      '!10.0.0.0/8 not ten',
      'if 10.1.0.0/16',
      '10.1.2.0/24 deep',
      'endif',
      '10.0.0.0/8 ten',
      '2001:db8::/32 documentation',
    );
    expect(await ask(`cidr:${path}`, '192.0.2.1')).toBe('host');
    expect(await ask(`cidr:${path}`, '192.0.2.2')).toBe('not ten');
    expect(await ask(`cidr:${path}`, '10.1.2.3')).toBe('deep');
    expect(await ask(`cidr:${path}`, '10.2.2.3')).toBe('ten');
    expect(await ask(`cidr:${path}`, '2001:db8::1')).toBe('documentation');
    expect(await ask(`cidr:${path}`, '2001:db9::1')).toBeUndefined();
    expect(await ask('cidr:{{0.0.0.0/0 all}}', 'example.com')).toBeUndefined();
  });
});

/** Debian's postmap answers the same, where it is installed and knows the type. */
describe('agreement with postmap', () => {
  /** One process per table: keys on standard input, `key<TAB>value` lines for the hits. */
  const postmap = (spec: string, keys: readonly string[]): Map<string, string> | undefined => {
    // Postfix waits a second for files that were written just now.
    utimesSync(file('main.cf', 'compatibility_level = 3.6'), 1, 1);
    const { status, stdout } = spawnSync('postmap', ['-c', directory, '-q', '-', spec], {
      input: keys.join('\n'),
      encoding: 'utf8',
    });
    if (status !== 0) return undefined;
    return new Map(
      stdout.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t') as [string, string]])),
    );
  };

  test.skipIf(!installed(['postmap']))('on composed tables', async () => {
    const rules = file(
      'peer-rules',
      '/^(.*)@a\\.example$/ $1@b.example',
      'if /^x/',
      '!/y$/ no y',
      'endif',
      '%^/path/([^/]+)% seg=${1}',
      '/[[:digit:]]{3}/i digits',
    );
    const text = file('peer-text', 'Key one  two', '"q r" quoted', 'last:x y', ' continued');
    const cidr = file('peer-cidr', '!10.0.0.0/8 out', '10.0.0.0/9 low', '::1 loop', 'fe80::/10 link');
    for (const path of [rules, text, cidr]) utimesSync(path, 1, 1);
    const cases: [string, string[]][] = [
      [`regexp:${rules}`, ['U@A.example', 'xa', 'xy', '/PATH/one/two', 'a123', 'none']],
      [`texthash:${text}`, ['key', 'KEY', '"q r"', 'last:x']],
      [`cidr:${cidr}`, ['10.1.1.1', '10.200.1.1', '11.1.1.1', '::1', 'fe80::1', 'name']],
      ['inline:{a=b, { c = d e }}', ['a', 'c', 'x']],
      ['unionmap:{inline:{a=1}, inline:{a=2, b=3}}', ['a', 'b', 'c']],
      ['pipemap:{inline:{a=1}, inline:{1=x}}', ['a', 'b']],
    ];
    for (const [spec, keys] of cases) {
      const theirs = postmap(spec, keys);
      const ours = new Map<string, string>();
      for (const key of keys) {
        const value = await ask(spec, key);
        if (value !== undefined) ours.set(key, value);
      }
      expect({ spec, ours }).toEqual({ spec, ours: theirs });
    }
  });
});
