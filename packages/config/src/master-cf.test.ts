// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in main.cf syntax look like template strings
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installed } from '@mailfleet/test-kit';
import { describe, expect, test } from 'vitest';
import { loadConfig, makeConfig } from './load.ts';
import { masterLine, parseMasterCf } from './master-cf.ts';

const FULL = `# service type private unpriv chroot wakeup maxproc command
smtp       inet  n       -       y       -       -       smtpd
    -o smtpd_tls_security_level=encrypt
smtp unix - - y - - smtp
relay unix - - y - - smtp -o syslog_name=postfix/$service_name
retry unix - - y - - error
slow unix - - n - 2 smtp -o { smtp_helo_name = slow $myhostname }

  -o smtp_bind_address=127.0.0.2
# a comment does not end an entry
a-very-long-service-name unix - - n 60? 0 lmtp -v
postlog unix-dgram n - n - 1 postlogd
uucp unix - n n - - pipe flags=F user=uucp argv=uux -r -n -z -a$sender - $nexthop!rmail ($recipient)
`;

describe('parseMasterCf', () => {
  test('fields, and -o in both forms over continuation lines', () => {
    const { entries, problems } = parseMasterCf(FULL);
    expect(problems).toEqual([]);
    expect(entries.find(({ name }) => name === 'slow')).toMatchObject({
      type: 'unix',
      command: 'smtp',
      maxproc: 2,
      overrides: [
        { name: 'smtp_helo_name', value: 'slow $myhostname' },
        { name: 'smtp_bind_address', value: '127.0.0.2' },
      ],
      line: 7,
    });
    expect(entries.find(({ name }) => name === 'a-very-long-service-name')?.otherArguments).toEqual(['-v']);
  });

  test.each([
    ['short unix - - n - -', 'there are 7 fields, but an entry has 8'],
    ['x tcp - - n - - smtp', '"tcp" is not a type of service'],
    ['x unix - - maybe - - smtp', '"maybe" in field chroot is none of y, n and -'],
    ['x unix - - n soon - smtp', '"soon" in field wakeup'],
    ['x unix - - n - many smtp', '"many" in field maxproc'],
    ['x unix - - n - - smtp -o', 'nothing follows the last -o'],
    ['x unix - - n - - smtp -o smtp_helo_name', 'has no "=" after a name'],
    ['x unix - - n - - smtp -o {a = b', 'the braces do not balance'],
  ])('%s: a sentence', (line, sentence) => {
    const { entries, problems } = parseMasterCf(`# one\n${line}\n`);
    expect(entries).toEqual([]);
    expect(problems).toEqual([{ kind: 'error', line: 2, message: expect.stringContaining(sentence) }]);
  });

  test('the last entry of a name and type counts', () => {
    const text = 'x unix - - n - 1 smtp\nx inet - - n - 2 smtpd\nx unix - - n - 3 lmtp\n';
    const { entries, problems } = parseMasterCf(text);
    expect(entries.map(({ type, maxproc }) => `${type} ${maxproc}`)).toEqual(['inet 2', 'unix 3']);
    expect(problems).toEqual([{ kind: 'warning', line: 3, message: expect.stringContaining('line 1') }]);
  });

  test('prints the entries as postconf -M does', () => {
    if (!installed(['postconf'])) return;
    const directory = mkdtempSync(join(tmpdir(), 'mailfleet-master-'));
    for (const [name, text] of [
      ['main.cf', 'compatibility_level = 3.6\n'],
      ['master.cf', FULL],
    ] as const) {
      writeFileSync(join(directory, name), text);
      // Postfix waits a second for files that were written just now.
      utimesSync(join(directory, name), 1, 1);
    }
    const theirs = execFileSync('postconf', ['-c', directory, '-M'], {
      encoding: 'utf8',
      env: { PATH: `${process.env.PATH}:/usr/sbin` },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    rmSync(directory, { recursive: true });
    expect(`${parseMasterCf(FULL).entries.map(masterLine).join('\n')}\n`).toBe(theirs);
  });
});

describe('transports', () => {
  test('those that are always there, and those of master.cf', () => {
    const config = makeConfig({}, `${FULL}later unix - - n - - error\n`);
    const agents = ['smtp', 'relay', 'lmtp', 'error', 'retry', 'discard', 'slow', 'later', 'uucp', 'nowhere'];
    expect(agents.map((name) => config.transport(name)?.agent)).toEqual([
      'smtp',
      'smtp',
      'lmtp',
      'error',
      'retry',
      'discard',
      'smtp',
      'error',
      undefined,
      undefined,
    ]);
    expect(config.transport('slow')?.processLimit).toBe(2);
    expect(config.transport('a-very-long-service-name')?.processLimit).toBe(0);
    expect(config.transport('relay')?.processLimit).toBeUndefined();
  });

  test('process_name and service_name are those of the transport, and expand in its values', () => {
    const config = makeConfig(
      { myhostname: 'h.test', syslog_name: '${multi_instance_name?x}pf-$process_name' },
      FULL,
    );
    expect(config.forTransport('relay').get('syslog_name')).toBe('postfix/relay');
    expect(config.forTransport('slow').get('syslog_name')).toBe('pf-smtp');
    expect(config.forTransport('lmtp').get('process_name')).toBe('lmtp');
    expect(config.forTransport('retry').get('process_name')).toBe('error');
    expect(config.forTransport('slow').get('service_name')).toBe('slow');
  });

  test('-o replaces a value before expansion, for its transport only and for all that refers to it', () => {
    const master = 'own unix - - n - - smtp -o myhostname=own.test -o {smtp_tls_security_level = none}\n';
    const config = makeConfig({ myhostname: 'h.test', smtp_helo_name: 'helo.$myhostname' }, master);
    const own = config.forTransport('own');
    expect(own.get('smtp_helo_name')).toBe('helo.own.test');
    expect(own.get('smtp_tls_security_level')).toBe('none');
    expect(config.get('smtp_helo_name')).toBe('helo.h.test');
    expect(config.forTransport('smtp').get('smtp_helo_name')).toBe('helo.h.test');
    // What is set on top later does not undo it.
    expect(config.with({ myhostname: 'x.test' }).forTransport('own').get('myhostname')).toBe('own.test');
  });

  test('what has no meaning is told, by line', () => {
    const text = `smtp inet n - y - - smtpd -o smtpd_timeout=5
uucp unix - n n - - pipe flags=F argv=uux
local unix - n n - - local
maildrop unix - n n - - pipe argv=maildrop
odd unix - n n - - oddity
loud unix - - n - - smtp -v -o loud_destination_rate_delay=1s -o smtp_helo_nam=x -o own=1 -o smtp_bind_address=$own
`;
    const loaded = loadConfig({ masterText: text });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.warnings.map(({ where, message }) => `${where}: ${message}`)).toEqual([
      "master.cf:1: the settings (-o) of smtp have no effect: Mailfleet's own daemons take theirs from main.cf",
      'master.cf:2: Mailfleet does not have the command pipe; mail that is routed to uucp, maildrop waits',
      'master.cf:3: Mailfleet does not have the command local; mail that is routed to local waits',
      'master.cf:5: Mailfleet does not know the command oddity; mail that is routed to odd waits',
      'master.cf:6: -o loud_destination_rate_delay has no effect here: the scheduler reads it, from main.cf',
      'master.cf:6: the argument -v of loud has no effect; debug_peer_list shows what is said to a server',
      'master.cf:6: there is no parameter smtp_helo_nam (did you mean smtp_helo_name?); nothing uses this value',
    ]);
  });

  test('a bad value of -o is an error, by line', () => {
    const loaded = loadConfig({ masterText: '\nbad unix - - n - - smtp -o smtp_connect_timeout=soon\n' });
    expect(loaded).toMatchObject({
      ok: false,
      problems: [
        {
          where: 'master.cf:2',
          message: expect.stringMatching(/^bad: smtp_connect_timeout: "soon" is not a time/),
        },
      ],
    });
  });

  test('a master.cf that cannot be read is an error', () => {
    const loaded = loadConfig({ masterFile: '/nonexistent/master.cf' });
    expect(loaded).toMatchObject({
      ok: false,
      problems: [{ where: '/nonexistent/master.cf', message: expect.stringContaining('ENOENT') }],
    });
  });
});
