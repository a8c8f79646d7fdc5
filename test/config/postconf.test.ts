/**
 * `mailfleet config` prints what Debian's postconf prints, for main.cf files as people have them. Each file of main-cf/ may hold a
 * master.cf behind a line that says so.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig, readConfig, showParameters } from '@mailfleet/config';
import { installed } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const FILES = new URL('main-cf/', import.meta.url);
const names = readdirSync(FILES).map((file) => file.replace(/\.cf$/, ''));

/**
 * Postfix's defaults that are ours no more, that depend on the machine, or of parts that we do not have: a value that refers to them
 * expands differently.
 */
const OTHER_DEFAULTS = /\b(?:mail_name|mynetworks|data_directory|local_transport|alias_maps)\b/;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-main-cf-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function prepare(name: string): void {
  const [main = '', master = 'smtp unix - - n - - smtp\n'] = readFileSync(
    new URL(`${name}.cf`, FILES),
    'utf8',
  ).split(/^# --- master\.cf ---\n/m);
  for (const [file, text] of [
    ['main.cf', main],
    ['master.cf', master],
  ] as const) {
    writeFileSync(join(directory, file), text);
    // Postfix waits a second for files that were written just now.
    utimesSync(join(directory, file), 1, 1);
  }
}

function ours(expand: boolean): { lines: string[]; unused: string[] } {
  const sources = { file: join(directory, 'main.cf'), masterFile: join(directory, 'master.cf') };
  const { config, warnings, services } = readConfig(sources);
  const shown = showParameters(config, makeConfig(), { select: 'set', expand, services });
  const unused = warnings.flatMap(({ name, message }) =>
    name !== undefined && message.includes('nothing uses this value') ? [name] : [],
  );
  return { lines: [...shown.lines], unused: unused.sort() };
}

function theirs(option: string): { lines: string[]; unused: string[] } {
  const { stdout, stderr } = spawnSync('postconf', [option, '-c', directory], { encoding: 'utf8' });
  const unused = [...stderr.matchAll(/unused parameter: ([^=]+)=/g)].map((match) => match[1] ?? '');
  return { lines: stdout.split('\n').slice(0, -1), unused: unused.sort() };
}

describe.skipIf(!installed(['postconf']))('mailfleet config -n, beside postconf -n', () => {
  test('there are more than twenty files', () => {
    expect(names.length).toBeGreaterThan(20);
  });

  test('every parameter of Debian’s Postfix is ours, of a transport, or of a part that is named', () => {
    prepare('unknown');
    const { stdout } = spawnSync('postconf', ['-dH', '-c', directory], { encoding: 'utf8' });
    const all = stdout.split('\n').filter((name) => name !== '');
    expect(all.length).toBeGreaterThan(800);
    writeFileSync(join(directory, 'main.cf'), all.map((name) => `${name} =\n`).join(''));
    const { warnings } = readConfig({ file: join(directory, 'main.cf') });
    const puzzling = warnings.filter(({ message }) => message.includes('nothing uses this value'));
    expect(puzzling.map(({ name }) => name)).toEqual([]);
    const { name, message } = warnings.find((warning) => warning.name === 'smtpd_milters') ?? {};
    expect(`${name}: ${message}`).toMatch(
      /smtpd_milters has no effect here: it belongs to milters of SMTP sessions/,
    );
  });

  test.each(names)('%s', (name) => {
    prepare(name);
    expect(ours(false)).toEqual(theirs('-n'));
  });

  test.each(names)('%s, expanded (-x)', (name) => {
    prepare(name);
    const comparable = ({ lines }: { lines: string[] }): string[] => {
      const raw = new Map(ours(false).lines.map((line) => [line.split(' ')[0], line]));
      return lines.filter((line) => !OTHER_DEFAULTS.test(raw.get(line.split(' ')[0]) ?? ''));
    };
    expect(comparable(ours(true))).toEqual(comparable(theirs('-nx')));
  });
});
