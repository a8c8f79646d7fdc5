// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in main.cf syntax look like template strings
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LoadOptions, loadConfig, makeConfig } from './load.ts';

let directory: string;
let file: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-config-'));
  file = join(directory, 'main.cf');
});
afterAll(() => rmSync(directory, { recursive: true }));

function load(lines: readonly string[], options: Omit<LoadOptions, 'file'> = {}) {
  writeFileSync(file, `${lines.join('\n')}\n`);
  return loadConfig({ file, ...options });
}

function problemsOf(result: ReturnType<typeof loadConfig>): string[] {
  return (result.ok ? result.warnings : result.problems).map(({ where, message }) =>
    `${where}: ${message}`.replaceAll(`${file}:`, ''),
  );
}

test('precedence: main.cf, environment, override', () => {
  const lines = ['soft_bounce = no', 'syslog_name = file', 'mail_name = file'];
  const result = load(lines, {
    env: {
      MAILFLEET_mail_name: 'environment',
      MAILFLEET_syslog_name: 'environment',
      // What Kubernetes sets beside a service named mailfleet is no parameter.
      MAILFLEET_SERVICE_HOST: '10.0.0.1',
      MAILFLEET_PORT_2525_TCP: 'tcp://10.0.0.1:2525',
      PATH: '/bin',
    },
    overrides: ['syslog_name = option', 'myhostname=h.example'],
  });
  if (!result.ok) throw new Error(problemsOf(result).join());
  const { config } = result;
  expect([
    config.get('soft_bounce'),
    config.get('mail_name'),
    config.get('syslog_name'),
    config.get('myhostname'),
  ]).toEqual([false, 'environment', 'option', 'h.example']);
});

test('config_directory is the folder of main.cf, which cannot say otherwise', () => {
  const result = load(['config_directory = /elsewhere', 'mail_name = in $config_directory']);
  if (!result.ok) throw new Error(problemsOf(result).join());
  expect(result.config.get('mail_name')).toBe(`in ${directory}`);
});

test('process_id and mail_version are there for values that refer to them', () => {
  const config = makeConfig({ mail_name: '$mail_version/$process_id' });
  expect(config.get('mail_name')).toBe(`3.12/${process.pid}`);
});

test('all problems together, each with its place', () => {
  const result = load(
    ['soft_bounce = maybe', 'no equals sign', '', 'smtp_helo_timeout =', ' 5 minutes', 'max_use = 0'],
    {
      env: { MAILFLEET_minimal_backoff_time: '5x', MAILFLEET_nosuch: '1' },
      overrides: ['smtp_conect_timeout=5', 'log_format=xml', 'oops'],
    },
  );
  expect(result.ok).toBe(false);
  expect(problemsOf(result)).toEqual([
    '2: "no equals sign" has no "=" after a name; write name = value',
    'MAILFLEET_nosuch: there is no parameter nosuch',
    '-o smtp_conect_timeout: there is no parameter smtp_conect_timeout (did you mean smtp_connect_timeout?)',
    '-o oops: an override is written name=value',
    '1: soft_bounce: "maybe" is neither yes nor no',
    '4: smtp_helo_timeout: "5 minutes" is not a time; write a whole number and one of s m h d w (without a letter it means seconds)',
    '6: max_use: 0 is less than the least value, 1',
    'MAILFLEET_minimal_backoff_time: minimal_backoff_time: "5x" is not a time; write a whole number and one of s m h d w (without a letter it means seconds)',
    '-o log_format: log_format: "xml" is not one of postfix, json, both',
  ]);
});

describe('names that the registry does not know', () => {
  test('draw a warning with a suggestion, unless they are referred to; a transport must exist', () => {
    const result = load([
      'my_relay = [relay.example]',
      'relayhost = ${my_relay}',
      'slow_destination_rate_delay = 2s',
      'smtp_tls_CAfil = /ca',
      'entirely_else = 1',
    ]);
    expect(result.ok).toBe(true);
    expect(problemsOf(result)).toEqual([
      '3: slow_destination_rate_delay is for a transport that master.cf does not have; nothing uses this value',
      '4: there is no parameter smtp_tls_CAfil (did you mean smtp_tls_CAfile?); nothing uses this value',
      '5: there is no parameter entirely_else; nothing uses this value',
    ]);
    if (result.ok) expect(result.config.get('relayhost')).toEqual(['[relay.example]']);
  });

  test('may be overridden when main.cf sets them', () => {
    const result = load(['my_relay = a', 'relayhost = $my_relay'], { overrides: ['my_relay=b'] });
    if (!result.ok) throw new Error(problemsOf(result).join());
    expect(result.config.get('relayhost')).toEqual(['b']);
  });
});

test('a name set twice: the last counts, with a warning if the values differ', () => {
  const result = load(['mail_name = a', 'myorigin = x', 'mail_name = b', 'myorigin = x']);
  expect(problemsOf(result)).toEqual(['3: mail_name was set to another value at 1; this one counts']);
  if (result.ok) expect(result.config.get('mail_name')).toBe('b');
});

test('a reference that goes wrong is reported where the wrong value stands, once', () => {
  const result = load(['mydomain = ${oops', 'myorigin = $mydomain']);
  expect(result.ok).toBe(false);
  const problems = problemsOf(result);
  expect(problems.some((problem) => problem.startsWith('1: mydomain: '))).toBe(true);
  expect(problems.length).toBeLessThanOrEqual(2);
});

test('a default is checked through what it refers to', () => {
  const result = load(['default_destination_concurrency_limit = many']);
  expect(problemsOf(result)).toEqual([
    '1: default_destination_concurrency_limit: "many" is not a whole number',
  ]);
});

test('a default that goes wrong is reported where the value stands that it refers to', () => {
  const result = load(['mail_name = x', 'compatibility_level = new']);
  expect(problemsOf(result)).toEqual([
    '2: append_dot_mydomain: "new" is not a compatibility level such as 3.6',
  ]);
});

test('a file that cannot be read is one problem', () => {
  const result = loadConfig({ file: join(directory, 'none', 'main.cf') });
  expect(result.ok).toBe(false);
  expect(problemsOf(result)[0]).toMatch(/cannot read the configuration/);
});

test('makeConfig throws a sentence with everything wrong', () => {
  expect(() => makeConfig({ soft_bounce: '1', nosuch_name: 'x' })).toThrow(/nosuch_name.*soft_bounce/s);
});
