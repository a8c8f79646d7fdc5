/** smtp_sasl_auth_cache_name, smtp_sasl_auth_cache_time: a rejected login is not tried again, and what is kept of it tells nobody anything. */
import { type SmtpServer, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deliver, type TestResult } from '../test-agent.ts';
import { type SharedLogins, shareLogins } from './shared-logins.ts';

let server: SmtpServer;
let logins: SharedLogins;
let steadyMs: number;
let verdict: string;
let stored: Map<string, Buffer>;

beforeEach(async () => {
  steadyMs = 0;
  stored = new Map();
  const shared = shareLogins({ warn: () => undefined, steadyNow: () => steadyMs });
  const { rejections } = shared;
  logins = {
    ...shared,
    rejections: {
      ...rejections,
      put: (name, sealed, lifetimeMs) => {
        stored.set(name, sealed);
        rejections.put(name, sealed, lifetimeMs);
      },
    },
  };
  verdict = '535-5.7.8 no\n535 5.7.8 s3cret is wrong';
  server = await startSmtpServer({
    users: { alice: 's3cret', bob: 'b0bb' },
    keywords: ['AUTH PLAIN'],
    hooks: { auth: () => verdict },
  });
});

afterEach(() => server.close());

const send = (
  config: Record<string, string> = {},
  more: Partial<Parameters<typeof deliver>[0]> = {},
): Promise<TestResult> =>
  deliver({
    servers: [server],
    logins,
    ...more,
    config: {
      smtp_sasl_auth_enable: 'yes',
      smtp_sasl_security_options: 'noanonymous',
      smtp_sasl_password_maps: 'inline:{mx1.test=alice:s3cret}',
      smtp_sasl_auth_cache_name: 'proxy:btree:/var/lib/postfix/sasl_auth_cache',
      ...config,
    },
  });

const commands = (): string[] =>
  server.sessions.map(({ commands }) => commands.map((line) => line.slice(0, 4)).join(' '));

it('fails at once, without AUTH, in the words of the server', async () => {
  const first = await send();
  expect(first.verdicts).toEqual([
    'deferred 4.7.8 SASL authentication failed; server mx1.test[127.0.0.1] said: 535-5.7.8 no?535 5.7.8 *** is wrong',
  ]);
  const second = await send();
  expect(second.verdicts).toEqual([
    'deferred 4.7.8 SASL [CACHED] authentication failed; server mx1.test said: 535-5.7.8 no?535 5.7.8 *** is wrong',
  ]);
  expect(second.results[0]?.hopStatus).toBeDefined();
  await waitFor(() => commands().join() === 'EHLO AUTH QUIT,EHLO QUIT');
  expect((await send({ smtp_sasl_auth_soft_bounce: 'no' })).verdicts[0]).toMatch(
    /^bounced 5\.7\.8 SASL \[CACHED\]/,
  );
});

describe('is tried again', () => {
  it.each<[string, Record<string, string>]>([
    ['with another password', { smtp_sasl_password_maps: 'inline:{mx1.test=alice:other}' }],
    ['as another user', { smtp_sasl_password_maps: 'inline:{mx1.test=bob:b0bb}' }],
    ['under another name of the cache', { smtp_sasl_auth_cache_name: 'proxy:other' }],
    ['without a cache', { smtp_sasl_auth_cache_name: '' }],
  ])('%s', async (_, config) => {
    await send();
    verdict = '235 ok';
    expect((await send(config)).outcomes).toMatchObject([{ kind: 'delivered' }]);
  });

  it('after smtp_sasl_auth_cache_time', async () => {
    await send({ smtp_sasl_auth_cache_time: '1h' });
    steadyMs = 3_599_000;
    expect((await send()).verdicts[0]).toContain('[CACHED]');
    steadyMs = 3_600_000;
    verdict = '235 ok';
    expect((await send()).outcomes).toMatchObject([{ kind: 'delivered' }]);
  });

  it('when a changed password was put back: the old entry is gone', async () => {
    await send();
    await send({ smtp_sasl_password_maps: 'inline:{mx1.test=alice:other}' });
    verdict = '235 ok';
    expect((await send()).outcomes).toMatchObject([{ kind: 'delivered' }]);
  });

  it.each(['534 5.7.9 use another mechanism', '454 4.7.0 later', '550 5.7.1 no'])(
    'after %s',
    async (reply) => {
      verdict = reply;
      await send();
      verdict = '235 ok';
      expect((await send()).outcomes).toMatchObject([{ kind: 'delivered' }]);
    },
  );

  it.each(['rejects', 'does not answer'])('when the store %s', async (how) => {
    const get = (): Promise<undefined> =>
      how === 'rejects' ? Promise.reject(new Error('away')) : new Promise(() => undefined);
    const broken = { ...logins, rejections: { ...logins.rejections, get } };
    verdict = '235 ok';
    expect((await send({}, { logins: broken })).outcomes).toMatchObject([{ kind: 'delivered' }]);
  });
});

it('lmtp_sasl_auth_cache_name, lmtp_sasl_auth_cache_time: LMTP remembers apart from SMTP', async () => {
  const lmtp = await startSmtpServer({
    protocol: 'lmtp',
    keywords: ['AUTH PLAIN'],
    hooks: { auth: '535 5.7.8 no' },
  });
  const config = {
    lmtp_sasl_auth_enable: 'yes',
    lmtp_sasl_security_options: 'noanonymous',
    lmtp_sasl_password_maps: 'inline:{mx1.test=alice:s3cret}',
    lmtp_sasl_auth_cache_name: 'proxy:lmtp',
    lmtp_sasl_auth_cache_time: '1h',
  };
  const more = { protocol: 'lmtp', servers: [lmtp] } as const;
  await send();
  expect((await send(config, more)).verdicts[0]).not.toContain('[CACHED]');
  expect((await send(config, more)).verdicts[0]).toContain('SASL [CACHED] authentication failed');
  steadyMs = 3_600_000;
  expect((await send(config, more)).verdicts[0]).not.toContain('[CACHED]');
  await lmtp.close();
});

it('what is stored holds neither name, host nor password, nor a digest that could be tried out', async () => {
  await send();
  expect(stored.size).toBe(1);
  const [[name, sealed] = ['', Buffer.alloc(0)]] = stored;
  for (const text of [name, sealed.toString('latin1'), sealed.toString('base64')]) {
    expect(text).not.toMatch(/alice|s3cret|mx1|535/);
  }
  // Sealed by a key of the process: the same login gets another name in another one.
  expect(shareLogins({ warn: () => undefined }).key.open(name, sealed)).toBeUndefined();
});

it('a name without proxy: is refused', async () => {
  await expect(send({ smtp_sasl_auth_cache_name: 'btree:/x' })).rejects.toThrow(
    'smtp_sasl_auth_cache_name = btree:/x: the cache is shared, so its name must begin with "proxy:", as in proxy:btree:/var/lib/postfix/sasl_auth_cache',
  );
});
