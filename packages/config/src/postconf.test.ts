// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in main.cf syntax look like template strings
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installed } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeConfig, readConfig } from './load.ts';
import { parameters } from './parameter.ts';
import { type ShowOptions, showParameters } from './postconf.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-postconf-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function write(name: string, text: string): void {
  const path = join(directory, name);
  writeFileSync(path, text);
  // Postfix waits a second for files that were written just now.
  utimesSync(path, 1, 1);
}

function show(text: string, options: ShowOptions): readonly string[] {
  write('main.cf', text);
  const masterFile = join(directory, 'master.cf');
  const master = existsSync(masterFile) ? { masterFile } : {};
  const { config, services } = readConfig({ file: join(directory, 'main.cf'), ...master });
  return showParameters(config, makeConfig(), { ...options, services }).lines;
}

describe('lines', () => {
  test('names in the given order, empty values, one space for white space', () => {
    const lines = show('relayhost = a,\n   b\t c\nmyorigin =\n', {
      select: 'all',
      names: ['relayhost', 'myorigin', 'soft_bounce'],
    });
    expect(lines).toEqual(['relayhost = a, b c', 'myorigin =', 'soft_bounce = no']);
  });

  test('all parameters, sorted by bytes', () => {
    const lines = show('', { select: 'all' });
    expect(lines).toContain('smtp_helo_name = $myhostname');
    expect(lines.length).toBe(parameters.filter((parameter) => parameter.default !== null).length);
    expect(lines[0]).toBe('2bounce_notice_recipient = postmaster');
  });

  test('defaults ignore what is set, and a name without meaning draws a warning', () => {
    expect(show('soft_bounce = yes\n', { select: 'defaults', names: ['soft_bounce'] })).toEqual([
      'soft_bounce = no',
    ]);
    expect(showParameters(makeConfig(), makeConfig(), { select: 'all', names: ['soft_bounc'] })).toEqual({
      lines: [],
      warnings: ['there is no parameter soft_bounc (did you mean soft_bounce?)'],
    });
  });

  test('json', () => {
    const lines = show('relayhost = "a"  b\n', {
      select: 'all',
      names: ['relayhost', 'myorigin'],
      json: true,
    });
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { relayhost: '"a" b' },
      { myorigin: '$myhostname' },
    ]);
  });

  test('-x shows a value with a syntax error as it stands', () => {
    const { config } = readConfig({ overrides: ['relayhost=${x'] });
    const shown = showParameters(config, makeConfig(), { select: 'set', expand: true });
    expect(shown.lines).toEqual(['relayhost = ${x']);
    expect(shown.warnings[0]).toMatch(/^relayhost: .*no closing/);
  });
});

/** Defaults that depend on the program or the machine, or that are deliberately ours. */
const OURS = [
  'compatibility_level',
  'config_directory',
  'data_directory',
  'lmtp_tls_connection_reuse',
  'local_transport',
  'mail_name',
  'mail_version',
  'mynetworks',
  'process_id',
  'process_name',
  'proxy_read_maps',
  'service_name',
  'smtp_tls_connection_reuse',
];

/** Defaults that changed between Debian's Postfix 3.7 and 3.12, the reference. */
const LATER = [
  'import_environment',
  'smtp_tls_dane_insecure_mx_policy',
  'smtp_tls_security_level',
  'tls_eecdh_auto_curves',
  'tls_export_cipherlist',
  'tls_high_cipherlist',
  'tls_low_cipherlist',
  'tls_medium_cipherlist',
  'tls_null_cipherlist',
  'tlsproxy_client_policy_maps',
  'tlsproxy_client_security_level',
];

/** The real postconf prints the same, where it is installed. */
describe('agreement with postconf', () => {
  // Another release than Debian 12's has other defaults.
  const comparable =
    installed(['postconf']) &&
    spawnSync('postconf', ['-dh', 'mail_version'], { encoding: 'utf8' }).stdout.startsWith('3.7.');
  const theirs = (...options: string[]): string[] =>
    spawnSync('postconf', [...options, '-c', directory], { encoding: 'utf8' })
      .stdout.split('\n')
      .slice(0, -1);

  const files: Readonly<Record<string, string>> = {
    relay: `# a relay with a password
myhostname = mx1.example.com
mydomain=example.com
myorigin   =   $mydomain
relayhost = [smtp.$mydomain]:587
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = inline:{ { [smtp.example.com]:587 = user:pass } },
  # in between

	hash:/etc/postfix/sasl
smtp_tls_security_level = encrypt
smtp_sasl_security_options =
`,
    references: `compatibility_level = 3.6
my_net = 10.0.0.0/8
unused_name = 1
mynetworks = 127.0.0.0/8 $my_net  \${other?{$other,}}
other = \${my_net?[\${my_net}]}
smtp_helo_name = \${{$compatibility_level} >=level {3.6} ? {new.$mydomain} : {old}}
smtp_bind_address = \${nothing:192.0.2.1}
smtp_destination_concurrency_limit = $default_destination_concurrency_limit
default_destination_concurrency_limit = 7
mydomain = $$x.example # no comment
mail_name = a
mail_name = b "quoted"  end
`,
    transports: `slow_destination_rate_delay = 5s
slow_destination_recipient_limit= $my_limit
my_limit = 3
transport_maps = regexp:{{/^a$$/ slow:}, {/b/ smtp:[x]}}
maximal_queue_lifetime = 2d
`,
  };

  test.skipIf(!comparable).each(Object.keys(files))('main.cf of %s with -n and -nx', (name) => {
    const text = files[name] ?? '';
    write('master.cf', 'smtp unix - - n - - smtp\nslow unix - - n - - smtp\n');
    for (const expand of [false, true]) {
      const ours = show(text, { select: 'set', expand });
      expect(ours).toEqual(theirs(expand ? '-nx' : '-n'));
    }
  });

  test.skipIf(!comparable)('forms of references', () => {
    const forms = [
      '[${a:{b}}]',
      '${x?a}}b',
      '${x:${y?{z}:{w}}}',
      '${x?a?{b}}',
      '${{a}=={b}:{c}}',
      '${{a}=={b}?c}',
      '${{a} == {a} ? {b} }',
      '${x : {a} }',
      '[${x: a }|]',
      '[${y? a }|]',
      '[${y ? a : {c}}]',
      '[${x ? {a} : c }]',
      '${{$x} == {} }',
      '$(y?b)$(x:c)',
      '${{10} < {9} ? {t}:{f}}',
      '${{010} == {10} ? {t}:{f}}',
      '${{a}<{b}}',
      '${ x:y}',
      '${{3.9} <level {3.10}}',
      '${{3.6.1} >=level {3.6.2} ? {y} : {n}}',
      '$$y $y-$(y).${y}$y',
    ];
    const names = forms.map((_, index) => `form${index}`);
    const text = [
      'y = 1',
      ...forms.map((form, index) => `form${index} = ${form}`),
      `relayhost = ${names.map((name) => `$${name}`).join(' ')}`,
    ].join('\n');
    expect(show(`${text}\n`, { select: 'set', expand: true })).toEqual(theirs('-nx'));
  });

  test.skipIf(!comparable)('defaults print the same where they are the same', () => {
    const ours = show('', { select: 'defaults' });
    const others = new Map(theirs('-d').map((line) => [line.split(' ')[0] ?? '', line]));
    const differing = ours.flatMap((line) => {
      const name = line.split(' ')[0] ?? '';
      const other = others.get(name);
      return other === undefined || other === line ? [] : [name];
    });
    expect(ours.length - differing.length).toBeGreaterThan(350);
    expect(differing).toEqual([...OURS, ...LATER].sort());
  });
});
