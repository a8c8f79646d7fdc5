/** Logins against scripted servers: every outcome in Postfix's words, and each parameter's effect. */
import { type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from '../test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

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
    expect(remarks).toEqual(['Q1: warning: smtp_sasl_password_maps lookup error: fail:x fails every lookup']);
  });

  it('no table at all is refused before anything starts', async () => {
    await expect(deliver({ config: { smtp_sasl_auth_enable: 'yes' } })).rejects.toThrow(
      'smtp_sasl_auth_enable = yes needs a table of passwords: name one in smtp_sasl_password_maps, or set it to no',
    );
  });
});
