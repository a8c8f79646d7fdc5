/**
 * What every kind of table must do, whatever stands behind it: the same cases for all. A subject brings its table, changes its data and
 * takes its server away; where Debian's postmap(1) knows the type, it must give the same answers.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTable, type Table } from '@mailfleet/lookup';
import { installed, waitFor } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

export const ENTRIES: Readonly<Record<string, string>> = {
  'user@example.com': 'relay:[192.0.2.1]:25',
  'example.com': 'one two  three',
  'jürgen@bücher.example': 'zürich',
  "o'hara@example.com": "it's",
  'back\\slash@example.com': 'c:\\x',
  'percent%d@example.com': '100%s',
  [`${'long'.repeat(40)}@example.com`]: 'value'.repeat(200),
};

/** Keys that would change a query, a filter, a command or a path that they are put into. */
export const HOSTILE: readonly string[] = [
  "' OR '1'='1",
  "\\' OR 1=1 -- ",
  "x'; DROP TABLE entries; --",
  '" OR ""="',
  '*)(mail=*',
  '*',
  '%',
  '%s%s%s',
  '../../etc/passwd',
  'a b',
  `${'x'.repeat(1000)}`,
];

/** Those that a line of postmap's input cannot carry. */
const UNPRINTABLE: readonly string[] = ['user@example.com\0', 'x\r\nget y', 'x\nquit', '\x1b[2J', '\t'];

export interface Subject extends AsyncDisposable {
  readonly spec: string;
  /** Makes `added@example.com` mean this, too; undefined: its content stands in its name. */
  change?(value: string): Promise<void>;
  /** Takes the server or file away, and back. */
  readonly trouble?: { begin(): Promise<void>; end(): Promise<void> };
  /** A secret that no error may show. */
  readonly secret?: string;
  /** Type that postmap cannot ask, with the reason. */
  readonly noPostmap?: string;
  /** Keys that Debian 12's postmap does not find, for a reason that the subject gives. */
  readonly notInPostmap?: RegExp;
  /** Entries that the backend cannot hold. */
  readonly without?: readonly string[];
}

/** `there`: the programs that it needs are installed. */
export function conforms(name: string, there: boolean, start: () => Promise<Subject>): void {
  describe.skipIf(!there)(`${name}: conformance`, () => {
    let subject: Subject;
    let table: Table;
    let now = 0;
    let entries: [string, string][];
    beforeAll(async () => {
      subject = await start();
      table = openTable(subject.spec, { now: () => now });
      entries = Object.entries(ENTRIES).filter(([key]) => subject.without?.includes(key) !== true);
    });
    afterAll(() => subject?.[Symbol.asyncDispose]());

    test('finds what is there, UTF-8 and long texts too', async () => {
      for (const [key, value] of entries) {
        expect([key, await table.lookup(key)]).toEqual([key, { kind: 'found', value }]);
      }
    });

    test('keys in capitals are found', async () => {
      expect((await table.lookup('User@EXAMPLE.com')).kind).toBe('found');
    });

    test('what is not there, and the empty key, is a miss', async () => {
      expect(await table.lookup('nobody@example.com')).toEqual({ kind: 'miss' });
      expect(await table.lookup('')).toEqual({ kind: 'miss' });
    });

    test('hostile keys are misses or errors, and do no harm', async () => {
      for (const key of [...HOSTILE, ...UNPRINTABLE]) {
        expect([key, (await table.lookup(key)).kind]).not.toEqual([key, 'found']);
      }
      expect((await table.lookup('user@example.com')).kind).toBe('found');
    });

    test('many at once', async () => {
      const keys = Array.from({ length: 300 }, (_, i) => entries[i % entries.length]?.[0] ?? '');
      const results = await Promise.all(keys.map((key) => table.lookup(key)));
      expect(results.every(({ kind }) => kind === 'found')).toBe(true);
    });

    test('a change shows', async (context) => {
      if (subject.change === undefined) return context.skip('its content stands in its name');
      expect(await table.lookup('added@example.com')).toEqual({ kind: 'miss' });
      await subject.change('first');
      now += 1000;
      expect(await table.lookup('added@example.com')).toEqual({ kind: 'found', value: 'first' });
      await subject.change('second');
      now += 1000;
      expect(await table.lookup('added@example.com')).toEqual({ kind: 'found', value: 'second' });
    });

    test('agrees with postmap -q', (context) => {
      if (subject.noPostmap !== undefined) context.skip(subject.noPostmap);
      if (!installed(['postmap'])) context.skip('postmap is not installed');
      const theirs = entries.flatMap(([key]) => (subject.notInPostmap?.test(key) === true ? [] : [key]));
      const keys = [...theirs, ...HOSTILE, 'nobody@example.com', 'User@EXAMPLE.com'];
      return expectLikePostmap(table, keys);
    });

    test('trouble is an error with a reason that shows no secret, and passes', async (context) => {
      const { trouble, secret } = subject;
      if (trouble === undefined) return context.skip('nothing can go wrong with it');
      await trouble.begin();
      now += 1000;
      const result = await waitFor(async () => {
        now += 60_000;
        const answer = await table.lookup('user@example.com');
        return answer.kind === 'error' ? answer : undefined;
      }, 15_000);
      expect(result.reason).toMatch(/\w+ \w+/);
      if (secret !== undefined) expect(result.reason).not.toContain(secret);
      await trouble.end();
      await waitFor(
        async () => {
          now += 60_000;
          return (await table.lookup('user@example.com')).kind === 'found';
        },
        15_000,
        'the table to work again',
      );
    });
  });
}

/** What postmap remarks on without consequence. */
const NOTES =
  /-- ignored$|overriding earlier entry|not found, skipping|Had some trouble with entries|is probably useless/;

let written = 1;

/** A file with a time of its own that is long ago: Postfix waits a second for files that were written just now. */
export function writeTableFile(path: string, lines: readonly string[]): void {
  writeFileSync(path, `${lines.join('\n')}\n`);
  written += 1;
  utimesSync(path, written, written);
}

/** One process for all keys: what it prints are the hits. */
export async function expectLikePostmap(
  table: Table,
  keys: readonly string[],
  ignored: RegExp = NOTES,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'mailfleet-postmap-'));
  try {
    writeTableFile(join(directory, 'main.cf'), ['compatibility_level = 3.6', 'smtputf8_enable = yes']);
    const postmap = execFile('postmap', ['-c', directory, '-q', '-', table.spec], { timeout: 20_000 });
    let stdout = '';
    let stderr = '';
    postmap.stdout?.on('data', (text: string) => {
      stdout += text;
    });
    postmap.stderr?.on('data', (text: string) => {
      stderr += text;
    });
    postmap.stdin?.end(`${keys.join('\n')}\n`);
    await new Promise((resolve) => postmap.once('close', resolve));
    const theirs = stdout.split('\n').filter((line) => line !== '');
    const ours: string[] = [];
    for (const key of keys) {
      const result = await table.lookup(key);
      if (result.kind === 'found') ours.push(`${key}\t${result.value}`);
    }
    const complaints = stderr.split('\n').filter((line) => line !== '' && !ignored.test(line));
    expect({ hits: ours, complaints: [] }).toEqual({ hits: theirs, complaints });
  } finally {
    rmSync(directory, { recursive: true });
  }
}
