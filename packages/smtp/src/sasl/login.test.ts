/** Logins against scripted servers: every outcome in Postfix's words, and each parameter's effect. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from '../test-agent.ts';

const servers: SmtpServer[] = [];

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-login-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const startPlain = async (): Promise<SmtpServer> => {
  const server = await startSmtpServer({ keywords: ['AUTH PLAIN'] });
  servers.push(server);
  return server;
};

const PASSWORDS = 'inline:{mx1.test=alice:s3cret}';
const sasl = {
  smtp_sasl_auth_enable: 'yes',
  smtp_sasl_password_maps: PASSWORDS,
  smtp_sasl_security_options: 'noanonymous',
};
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const PLAIN = base64('\0alice\0s3cret');
const name = 'mx1.test[127.0.0.1]';

const greet = (...keywords: readonly string[]): string[] => [
  'S: 220 x',
  'C: EHLO client.test',
  ...['x', ...keywords].map((word, index) => `S: 250${index === keywords.length ? ' ' : '-'}${word}`),
];
const message = (mail = 'C: MAIL FROM:<sender@example.org>'): string[] => [
  mail,
  'S: 250 ok',
  'C: RCPT*',
  'S: 250 ok',
  'C: DATA',
  'S: 354 go',
  'content',
  'S: 250 taken',
  'C: QUIT',
];

const talk = async (
  script: readonly string[] | readonly (readonly string[])[],
  config: Record<string, string> = {},
  delivery: TestDelivery = {},
): Promise<TestResult & { server: SmtpServer }> => {
  const scripts = (typeof script[0] === 'string' ? [script] : script) as readonly (readonly string[])[];
  const server = await startSmtpServer({ scripts });
  servers.push(server);
  const result = await deliver({ servers: [server], ...delivery, config: { ...sasl, ...config } });
  await server.dialogueDone();
  return { ...result, server };
};

describe('smtp_sasl_auth_enable, smtp_sasl_password_maps', () => {
  it('logs in, and says so in the timeline by the mechanism alone', async () => {
    const { results, outcomes, remarks } = await talk([
      ...greet('AUTH PLAIN'),
      `C: AUTH PLAIN ${PLAIN}`,
      'S: 235 2.7.0 welcome',
      ...message(),
    ]);
    expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
    expect(remarks).toEqual([]);
    expect(results[0]?.steps).toContainEqual(
      expect.objectContaining({ step: 'authenticated', detail: 'PLAIN' }),
    );
  });

  it.each<[string, string[], Record<string, string>]>([
    ['is switched off', greet('AUTH PLAIN'), { smtp_sasl_auth_enable: 'no' }],
    ['has no entry', greet('AUTH PLAIN'), { smtp_sasl_password_maps: 'inline:{other.test=a:b}' }],
    ['meets a server without AUTH', greet('HELP'), {}],
    ['is told to overlook AUTH', greet('AUTH PLAIN'), { smtp_discard_ehlo_keywords: 'auth, silent-discard' }],
  ])('sends without a login when it %s', async (_, greeting, config) => {
    const { outcomes } = await talk([...greeting, ...message()], config);
    expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
  });

  it.each<[string, string, string]>([
    ['host first', 'inline:{example.com=b:b, mx1.test=alice:s3cret}', 'example.com'],
    [
      'then the nexthop as written',
      'inline:{{[example.com]:587=alice:s3cret}, example.com=b:b}',
      '[example.com]:587',
    ],
    ['no parent domain', 'inline:{test=b:b, example.com=alice:s3cret}', 'example.com'],
  ])('looks up the %s', async (_, maps, nexthop) => {
    const { outcomes } = await talk(
      [...greet('AUTH PLAIN'), `C: AUTH PLAIN ${PLAIN}`, 'S: 235 ok', ...message()],
      { smtp_sasl_password_maps: maps },
      { nexthop },
    );
    expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
  });

  it('a table that cannot be asked stops the session', async () => {
    const { verdicts, remarks } = await talk([...greet('AUTH PLAIN'), 'C: QUIT'], {
      smtp_sasl_password_maps: 'fail:x',
    });
    expect(verdicts).toEqual([`deferred 4.3.0 local data error while talking to ${name}`]);
    expect(remarks).toEqual(['Q1: warning: smtp_sasl_password_maps lookup error: fail:… fails every lookup']);
  });

  it.each<[string, string, RegExp]>([
    ['an entry without a value', 'inline:{mx1.test=, mx2.test=alice:hush}', /empty result/],
    ['an entry that is none', 'inline:{=alice:hush, mx2.test=alice:hush}', /is not key=value/],
    ['no entry', 'inline:alice:hush', /needs at least one pair/],
    ['another table in it', 'unionmap:{static:hush, fail:hush}', /fails every lookup/],
    ['a type that is none', 'hush:alice', /not supported/],
    ['a line without a key', 'alice:hush', /has no value/],
    ['a quoted line', '"alice":"hush"', /has no value/],
  ])('a broken table is named, and nothing that it holds: %s', async (_, text, reason) => {
    let maps = text;
    if (reason.source.includes('has no value')) {
      writeFileSync(join(directory, 'passwords'), `${text}\nother a:b\n`);
      maps = `texthash:${directory}/passwords`;
    }
    const { remarks } = await deliver({
      servers: [await startPlain()],
      config: { ...sasl, smtp_sasl_password_maps: maps },
    });
    expect(remarks.join('\n')).toMatch(reason);
    expect(remarks.join('\n')).not.toContain('hush');
  });

  it('no table at all is refused before anything starts', async () => {
    await expect(deliver({ config: { smtp_sasl_auth_enable: 'yes' } })).rejects.toThrow(
      'smtp_sasl_auth_enable = yes needs a table of passwords: name one in smtp_sasl_password_maps, or set it to no',
    );
  });
});

const refused = (reply: string): string[] => [
  ...greet('AUTH PLAIN'),
  'C: AUTH PLAIN *',
  `S: ${reply}`,
  'C: QUIT',
];
const NO_MECHANISM = `deferred 4.7.0 SASL authentication failed; cannot authenticate to server ${name}: no mechanism available`;

describe('smtp_sasl_auth_soft_bounce', () => {
  it.each([
    ['yes', '535 5.7.8 no', 'deferred 4.7.8', true],
    ['yes', '454 4.7.0 later', 'deferred 4.7.0', true],
    ['no', '535 5.7.8 no', 'bounced 5.7.8', false],
    ['no', '504 bad mechanism', 'bounced 5.0.0', false],
    ['no', '421 4.3.2 gone', 'deferred 4.3.2', true],
    ['yes', '100 what', 'bounced 5.5.0', false],
  ])('%s: %s', async (soft, reply, verdict, throttled) => {
    const { verdicts, results, outcomes } = await talk(refused(reply), { smtp_sasl_auth_soft_bounce: soft });
    expect(verdicts).toEqual([`${verdict} SASL authentication failed; server ${name} said: ${reply}`]);
    expect(results[0]?.hopStatus !== undefined).toBe(throttled);
    expect(outcomes[0]).toMatchObject({ reply, remoteMta: 'mx1.test' });
  });

  it('a failed login goes to the next host while there is one', async () => {
    const bad = await startSmtpServer({ scripts: [refused('535 5.7.8 no')] });
    const good = await startSmtpServer({ host: '127.0.0.2', port: bad.port });
    servers.push(bad, good);
    const { outcomes, remarks } = await deliver({ servers: [bad, good], config: sasl });
    expect(outcomes).toMatchObject([{ kind: 'delivered', relay: `mx2.test[127.0.0.2]:${good.port}` }]);
    expect(remarks).toEqual([`Q1: SASL authentication failed; server ${name} said: 535 5.7.8 no`]);
  });
});

describe('the exchange', () => {
  it('LOGIN waits to be asked', async () => {
    const { outcomes } = await talk([
      ...greet('AUTH LOGIN'),
      'C: AUTH LOGIN',
      `S: 334 ${base64('Username:')}`,
      `C: ${base64('alice')}`,
      `S: 334 ${base64('Password:')}`,
      `C: ${base64('s3cret')}`,
      'S: 235 ok',
      ...message(),
    ]);
    expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
  });

  /** `AUTH PLAIN` and this response are 512 bytes with the CR LF. */
  const fits = 'x'.repeat(((4 * Math.floor((512 - 8 - 5) / 4)) / 4) * 3 - '\0alice\0'.length);

  it.each([
    ['fits the command line', fits, true],
    ['is too long for it', `${fits}x`, false],
  ])('an initial response that %s', async (_, password, inline) => {
    const response = base64(`\0alice\0${password}`);
    const steps = inline ? [`C: AUTH PLAIN ${response}`] : ['C: AUTH PLAIN', 'S: 334 ', `C: ${response}`];
    const { outcomes } = await talk([...greet('AUTH PLAIN'), ...steps, 'S: 235 ok', ...message()], {
      smtp_sasl_password_maps: `inline:{mx1.test=alice:${password}}`,
    });
    expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
  });

  it.each<[string, string[], string]>([
    [
      'a challenge where the initial response is due',
      ['C: AUTH PLAIN', `S: 334 ${base64('hm')}`],
      `4.7.0 SASL authentication failed; non-empty initial PLAIN challenge from server ${name}: ${base64('hm')}`,
    ],
  ])('%s', async (_, steps, verdict) => {
    const { verdicts } = await talk([...greet('AUTH PLAIN'), ...steps, 'C: QUIT'], {
      smtp_sasl_password_maps: `inline:{mx1.test=alice:${fits}x}`,
    });
    expect(verdicts).toEqual([`deferred ${verdict}`]);
  });

  it.each<[string, string[], string]>([
    [
      'Base64 that is none',
      ['C: AUTH CRAM-MD5', 'S: 334 !'],
      `4.7.0 SASL authentication failed; cannot authenticate to server ${name}: malformed challenge from the server`,
    ],
    [
      'a challenge that breaks the rules',
      ['C: AUTH CRAM-MD5', 'S: 334 '],
      `4.7.0 SASL authentication failed; cannot authenticate to server ${name}: the server sent an empty challenge`,
    ],
  ])('%s ends the session with QUIT', async (_, steps, verdict) => {
    const { verdicts } = await talk([...greet('AUTH CRAM-MD5'), ...steps, 'C: QUIT']);
    expect(verdicts).toEqual([`deferred ${verdict}`]);
  });

  it('a server that never comes to an end', async () => {
    const rounds = Array.from({ length: 2 }, () => [`S: 334 ${base64('more')}`, 'C: *']).flat();
    const { verdicts } = await talk([
      ...greet('AUTH LOGIN'),
      'C: AUTH LOGIN',
      ...rounds,
      'S: 334 ',
      'C: QUIT',
    ]);
    expect(verdicts[0]).toMatch(/: the server asks for more than name and password$/);
  });

  it.each([
    ['hangs up', 'close', 'lost connection with mx1.test[127.0.0.1] while performing the EHLO handshake'],
    [
      'is silent',
      'silence',
      'conversation with mx1.test[127.0.0.1] timed out while performing the EHLO handshake',
    ],
  ])('a server that %s', async (_, end, reason) => {
    const { verdicts } = await talk([...greet('AUTH PLAIN'), 'C: AUTH PLAIN *', end], {
      smtp_helo_timeout: '1s',
    });
    expect(verdicts).toEqual([`deferred 4.4.2 ${reason}`]);
  });

  it('what we sent is not in a text, even where the server repeats it', async () => {
    const { verdicts, remarks } = await talk([
      ...greet('PIPELINING', 'AUTH PLAIN'),
      'C: AUTH PLAIN *',
      `S: you said AUTH PLAIN ${PLAIN}`,
      `S: 535-5.7.8 not s3cret`,
      `S: 535 5.7.8 bad command: AUTH PLAIN ${PLAIN}`,
      'C: QUIT',
    ]);
    expect([...verdicts, ...remarks].join('\n')).not.toMatch(/s3cret|AGFsaWNl/);
    expect(verdicts).toEqual([
      `deferred 4.7.8 SASL authentication failed; server ${name} said: you said AUTH PLAIN ***?535-5.7.8 not ***?535 5.7.8 bad command: AUTH PLAIN ***`,
    ]);
    expect(remarks.join()).toContain('you said AUTH PLAIN ***');
  });
});

describe('smtp_sasl_mechanism_filter', () => {
  it.each<[string, string, string]>([
    ['PLAIN LOGIN CRAM-MD5', 'plain, login', 'AUTH PLAIN *'],
    ['PLAIN LOGIN', '!plain, static:all', 'AUTH LOGIN'],
    ['PLAIN LOGIN CRAM-MD5', 'inline:{cram-md5=x}', 'AUTH CRAM-MD5'],
    ['PLAIN LOGIN CRAM-MD5', '', 'AUTH CRAM-MD5'],
  ])('%s by "%s"', async (offered, filter, command) => {
    await talk([...greet(`AUTH ${offered}`), `C: ${command}`, 'S: 535 no', 'C: QUIT'], {
      smtp_sasl_mechanism_filter: filter,
    });
  });

  it.each<[string, string, string]>([
    ['AUTH GSSAPI', 'plain', "offered no supported AUTH mechanisms: 'GSSAPI'"],
    ['AUTH', '', 'offered null AUTH mechanism list'],
  ])('nothing is left of "%s"', async (keyword, filter, warning) => {
    const config = { smtp_sasl_mechanism_filter: filter };
    const { verdicts, remarks, server } = await talk([...greet(keyword), 'C: QUIT'], config);
    expect(verdicts).toEqual([
      `deferred 4.7.0 SASL authentication failed: server ${name} offered no compatible authentication mechanisms for this type of connection security`,
    ]);
    expect(remarks).toEqual([`warning: ${name}:${server.port} ${warning}`]);
    const without = await talk([...greet(keyword), ...message()], {
      ...config,
      smtp_sasl_password_maps: 'inline:{other=x}',
    });
    expect(without.outcomes).toMatchObject([{ kind: 'delivered' }]);
  });

  it('a table that cannot be asked defers', async () => {
    const { verdicts } = await talk([...greet('AUTH PLAIN'), 'C: QUIT'], {
      smtp_sasl_mechanism_filter: 'fail:x',
    });
    expect(verdicts).toEqual([`deferred 4.3.0 local data error while talking to ${name}`]);
  });
});

describe('smtp_sasl_security_options', () => {
  it('by default no password goes out in clear', async () => {
    const { verdicts, remarks } = await talk([...greet('AUTH PLAIN LOGIN'), 'C: QUIT'], {
      smtp_sasl_security_options: 'noplaintext, noanonymous',
    });
    expect(verdicts).toEqual([NO_MECHANISM]);
    expect(remarks).toEqual(['warning: SASL authentication failure: No worthy mechs found']);
  });

  it('without noanonymous ANONYMOUS will do', async () => {
    await talk(
      [...greet('AUTH ANONYMOUS'), `C: AUTH ANONYMOUS ${base64('alice')}`, 'S: 235 ok', ...message()],
      {
        smtp_sasl_security_options: '',
      },
    );
    const { verdicts } = await talk([...greet('AUTH ANONYMOUS'), 'C: QUIT']);
    expect(verdicts).toEqual([NO_MECHANISM]);
  });

  it('an unknown word is refused before anything starts', async () => {
    await expect(deliver({ config: { ...sasl, smtp_sasl_security_options: 'noplain' } })).rejects.toThrow(
      'smtp_sasl_security_options: "noplain" is none of noplaintext, noactive, nodictionary, noanonymous, mutual_auth, forward_secrecy',
    );
  });
});

describe('smtp_sasl_password_result_delimiter', () => {
  it.each([
    [':', 'alice:s:c', '\0alice\0s:c'],
    ['|', 'ali:ce|s|c', '\0ali:ce\0s|c'],
    [':', 'alice', '\0alice\0'],
  ])('%s splits %s at its first place', async (delimiter, value, response) => {
    await talk([...greet('AUTH PLAIN'), `C: AUTH PLAIN ${base64(response)}`, 'S: 235 ok', ...message()], {
      smtp_sasl_password_result_delimiter: delimiter,
      smtp_sasl_password_maps: `inline:{mx1.test=${value}}`,
    });
  });
});

describe('send_cyrus_sasl_authzid', () => {
  it.each([
    ['yes', 'alice\0alice\0s3cret'],
    ['no', '\0alice\0s3cret'],
  ])('%s', async (value, response) => {
    await talk([...greet('AUTH PLAIN'), `C: AUTH PLAIN ${base64(response)}`, 'S: 235 ok', ...message()], {
      send_cyrus_sasl_authzid: value,
    });
  });
});

describe('smtp_send_dummy_mail_auth', () => {
  it('adds AUTH=<> to MAIL after a login, and to no other', async () => {
    const config = { smtp_send_dummy_mail_auth: 'yes' };
    const login = [...greet('AUTH PLAIN'), 'C: AUTH PLAIN *', 'S: 235 ok'];
    await talk([...login, ...message('C: MAIL FROM:<sender@example.org> AUTH=<>')], config);
    await talk([...greet('AUTH PLAIN'), ...message()], {
      ...config,
      smtp_sasl_password_maps: 'inline:{other=x}',
    });
    await talk([...login, ...message()]);
  });
});

describe('smtp_sasl_type, smtp_sasl_path, cyrus_sasl_config_path', () => {
  it('mean the built-in mechanisms, and the log says so', async () => {
    const { outcomes, remarks } = await talk(
      [...greet('AUTH PLAIN'), 'C: AUTH PLAIN *', 'S: 235 ok', ...message()],
      {
        smtp_sasl_type: 'dovecot',
        smtp_sasl_path: 'private/auth',
        cyrus_sasl_config_path: '/etc/sasl',
      },
    );
    expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
    expect(remarks).toEqual([
      'warning: smtp_sasl_type = dovecot: logins use the built-in mechanisms, as for every type',
      'warning: smtp_sasl_path = private/auth is not used: the built-in mechanisms need no plug-in and no server',
      'warning: cyrus_sasl_config_path = /etc/sasl is not used: the built-in mechanisms have no files of their own',
    ]);
  });
});

describe('lmtp_sasl_auth_enable, lmtp_sasl_password_maps and their kin', () => {
  const lmtp = {
    lmtp_sasl_auth_enable: 'yes',
    lmtp_sasl_password_maps: PASSWORDS,
    lmtp_sasl_security_options: 'noanonymous',
  };
  const hello = (...keywords: readonly string[]): string[] =>
    greet(...keywords).map((line) => line.replace('EHLO', 'LHLO'));
  const send = (script: readonly string[], config: Record<string, string> = {}): ReturnType<typeof talk> =>
    talk(script, { ...lmtp, smtp_sasl_auth_enable: 'no', ...config }, { protocol: 'lmtp' });
  const accepted = ['C: AUTH PLAIN *', 'S: 235 ok'];

  it('logs in with settings of its own', async () => {
    const { outcomes } = await send([...hello('AUTH PLAIN'), ...accepted, ...message()]);
    expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
    const off = await send([...hello('AUTH PLAIN'), ...message()], { lmtp_sasl_auth_enable: 'no' });
    expect(off.outcomes).toMatchObject([{ kind: 'delivered' }]);
  });

  it('lmtp_sasl_security_options, lmtp_sasl_mechanism_filter', async () => {
    const { verdicts } = await send([...hello('AUTH PLAIN'), 'C: QUIT'], {
      lmtp_sasl_security_options: 'noplaintext',
    });
    expect(verdicts).toEqual([NO_MECHANISM]);
    await send([...hello('AUTH PLAIN LOGIN'), 'C: AUTH LOGIN', 'S: 535 no', 'C: QUIT'], {
      lmtp_sasl_mechanism_filter: 'login',
    });
  });

  it('lmtp_sasl_password_result_delimiter, lmtp_send_dummy_mail_auth', async () => {
    const mail = 'C: MAIL FROM:<sender@example.org> AUTH=<>';
    const login = `C: AUTH PLAIN ${base64('\0alice\0s3:cret')}`;
    await send([...hello('AUTH PLAIN'), login, 'S: 235 ok', ...message(mail)], {
      lmtp_sasl_password_maps: 'inline:{mx1.test=alice|s3:cret}',
      lmtp_sasl_password_result_delimiter: '|',
      lmtp_send_dummy_mail_auth: 'yes',
    });
  });

  it('lmtp_sasl_auth_soft_bounce', async () => {
    const script = [...hello('AUTH PLAIN'), 'C: AUTH PLAIN *', 'S: 535 5.7.8 no', 'C: QUIT'];
    expect((await send(script)).verdicts[0]).toMatch(/^deferred 4\.7\.8/);
    expect((await send(script, { lmtp_sasl_auth_soft_bounce: 'no' })).verdicts[0]).toMatch(
      /^bounced 5\.7\.8/,
    );
  });

  it('lmtp_sender_dependent_authentication has no effect', async () => {
    await send([...hello('AUTH PLAIN'), `C: AUTH PLAIN ${PLAIN}`, 'S: 235 ok', ...message()], {
      lmtp_sender_dependent_authentication: 'yes',
      lmtp_sasl_password_maps: 'inline:{sender@example.org=b:b, mx1.test=alice:s3cret}',
    });
  });

  it('lmtp_sasl_type, lmtp_sasl_path', async () => {
    const { remarks } = await send([...hello('AUTH PLAIN'), ...accepted, ...message()], {
      lmtp_sasl_type: 'dovecot',
      lmtp_sasl_path: 'private/auth',
    });
    expect(remarks).toEqual([
      'warning: lmtp_sasl_type = dovecot: logins use the built-in mechanisms, as for every type',
      'warning: lmtp_sasl_path = private/auth is not used: the built-in mechanisms need no plug-in and no server',
    ]);
  });
});
