/** debug_peer_list and debug_peer_level: the dialogue of chosen peers in the log, without a secret. */
import { type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deliver, type TestResult } from './test-agent.ts';

let server: SmtpServer;
beforeEach(async () => {
  server = await startSmtpServer({
    hostname: 'srv.test',
    keywords: ['PIPELINING', 'AUTH LOGIN'],
    users: { alice: 's3cret-word' },
  });
});
afterEach(() => server.close());

const talk = (config: Record<string, string>): Promise<TestResult> =>
  deliver({ servers: [server], nexthop: 'next.test', config: { smtp_chunking: 'no', ...config } });

/** Lines of the dialogue. */
const shown = ({ remarks }: TestResult): string[] =>
  remarks.flatMap((line) => /^Q1: ([<>] .*)$/.exec(line)?.[1] ?? []);

it('debug_peer_list: commands and replies of a listed host, no content', async () => {
  const name = `mx1.test[127.0.0.1]:${server.port}`;
  const result = await talk({
    debug_peer_list: 'mx1.test',
    debug_peer_level: '1',
    smtp_skip_quit_response: 'no',
  });
  expect(shown(result)).toEqual([
    expect.stringMatching(`^< mx1\\.test\\[127\\.0\\.0\\.1\\]:${server.port}: 220 srv\\.test`),
    `> ${name}: EHLO client.test`,
    `< ${name}: 250-srv.test`,
    `< ${name}: 250-PIPELINING`,
    `< ${name}: 250 AUTH LOGIN`,
    `> ${name}: MAIL FROM:<sender@example.org>`,
    expect.stringContaining(': RCPT TO:<'),
    `> ${name}: DATA`,
    expect.stringMatching(/: 250 /),
    expect.stringMatching(/: 250 /),
    expect.stringMatching(/: 354 /),
    `> ${name}: .`,
    `> ${name}: QUIT`,
    expect.stringMatching(/: 250 /),
    expect.stringMatching(/: 221 /),
  ]);
  expect(result.remarks).toHaveLength(15);
});

describe('debug_peer_list', () => {
  it.each([
    ['127.0.0.0/8', true],
    ['127.0.0.1', true],
    ['MX1.Test', true],
    ['test', true],
    ['next.test', true],
    ['inline:{mx1.test=x}', true],
    ['cidr:{{127.0.0.0/8 x}}', true],
    ['!mx1.test, !next.test, test', false],
    ['10.0.0.0/8, other.test', false],
    ['', false],
  ])('%s: %s', async (list, listed) => {
    expect(shown(await talk({ debug_peer_list: list })).length > 0).toBe(listed);
  });

  it('a table that cannot be asked is a warning, and matches nobody', async () => {
    const result = await talk({ debug_peer_list: 'fail:broken' });
    expect(result.verdicts).toEqual([expect.stringMatching(/^delivered/)]);
    expect(result.remarks.filter((line) => line.includes('debug_peer_list'))).toHaveLength(1);
    expect(shown(result)).toEqual([]);
  });

  it('never shows what a login says', async () => {
    const result = await talk({
      debug_peer_list: 'mx1.test',
      smtp_sasl_auth_enable: 'yes',
      smtp_sasl_password_maps: 'inline:{mx1.test=alice:s3cret-word}',
      smtp_sasl_security_options: 'noanonymous',
    });
    const lines = shown(result).map((line) => line.replace(/^(.) \S+: /, '$1 '));
    expect(lines).toContain('> AUTH LOGIN ...');
    expect(lines).toContain('> ...');
    expect(lines).toContain('< 334 ...');
    const all = result.remarks.join('\n');
    for (const secret of ['s3cret-word', 'alice']) {
      expect(all).not.toContain(secret);
      expect(all).not.toContain(Buffer.from(secret).toString('base64'));
    }
  });
});

it('debug_peer_level 2 and above: also which hosts are tried', async () => {
  const tried = (level: string) =>
    talk({ debug_peer_list: 'mx1.test', debug_peer_level: level }).then(({ remarks }) =>
      remarks.filter((line) => line.includes('trying')),
    );
  expect(await tried('1')).toEqual([]);
  expect(await tried('2')).toEqual([
    `Q1: trying mx1.test[127.0.0.1]:${server.port}, preference 10, TLS level none`,
  ]);
});
