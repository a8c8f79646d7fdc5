/** Two credentials never share a session: within a batch, between batches, and between the names that lead to one server. */
import { type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SessionPool } from '../reuse/session-pool.ts';
import { deliver, hostsOf, type TestDelivery, type TestResult } from '../test-agent.ts';
import { shareLogins } from './shared-logins.ts';

const users = { alice: 'apple', bob: 'banana', carol: 'cherry' };
const logins = shareLogins({ warn: () => undefined });
let server: SmtpServer;
let pool: SessionPool;

beforeEach(async () => {
  pool = new SessionPool({ sessionLimit: 50, endpointLimit: 20 });
  server = await startSmtpServer({ users, keywords: ['PIPELINING', 'SIZE 1000000', 'AUTH PLAIN'] });
});

afterEach(async () => {
  await pool.close();
  await server.close();
});

const send = (delivery: TestDelivery): Promise<TestResult> =>
  deliver({
    servers: [server],
    sessions: pool,
    caching: 'load-store',
    logins,
    ...delivery,
    config: {
      smtp_connection_cache_time_limit: '100s',
      connection_cache_ttl_limit: '100s',
      smtp_sasl_auth_enable: 'yes',
      smtp_sasl_security_options: 'noanonymous',
      ...delivery.config,
    },
  });

/** Who brought which messages, over which session. */
const brought = (): string[] =>
  server.messages.map(({ session, user, sender }) => `${session} ${user ?? '-'} ${sender}`);

describe('smtp_sender_dependent_authentication', () => {
  const config = {
    smtp_sender_dependent_authentication: 'yes',
    smtp_sasl_password_maps:
      'inline:{a@one.test=alice:apple, a2@one.test=alice:apple, @two.test=bob:banana, mx1.test=carol:cherry}',
  };

  it('a batch of several senders opens a session for each, and sends nothing ahead over another one', async () => {
    const senders = ['a@one.test', 'a@one.test', 'x@two.test', 'x@two.test', '', 'a@one.test', 'a2@one.test'];
    const requests = senders.map((_, index) => [`r${index}@example.com`]);
    const { outcomes } = await send({ senders, requests, config });
    expect(outcomes.map(({ kind }) => kind)).toEqual(senders.map(() => 'delivered'));
    expect(brought()).toEqual([
      '1 alice a@one.test',
      '1 alice a@one.test',
      '2 bob x@two.test',
      '2 bob x@two.test',
      '3 carol ',
      // Parked after its first two, and found again by its sender.
      '1 alice a@one.test',
      // The same credentials, looked up for another sender: as Postfix keeps them apart.
      '4 alice a2@one.test',
    ]);
  });

  it('of several batches, each finds the session of its own sender', async () => {
    const one = { config, requests: [['r@example.com']] };
    await send({ ...one, senders: ['a@one.test'] });
    await send({ ...one, senders: ['x@two.test'] });
    await send({ ...one, senders: ['a@one.test'] });
    await send({ ...one, senders: ['x@two.test'] });
    expect(brought()).toEqual([
      '1 alice a@one.test',
      '2 bob x@two.test',
      '1 alice a@one.test',
      '2 bob x@two.test',
    ]);
  });

  it('switched off, senders do not matter', async () => {
    const off = { ...config, smtp_sender_dependent_authentication: 'no' };
    await send({
      config: off,
      senders: ['a@one.test', 'x@two.test'],
      requests: [['r@x.test'], ['s@x.test']],
    });
    await send({ config: off, senders: ['y@two.test'] });
    expect(brought()).toEqual(['1 carol a@one.test', '1 carol x@two.test', '1 carol y@two.test']);
  });
});

describe('one server, two passwords', () => {
  it('nexthops with credentials of their own have sessions of their own', async () => {
    const config = { smtp_sasl_password_maps: 'inline:{one.test=alice:apple, two.test=bob:banana}' };
    for (const nexthop of ['one.test', 'two.test', 'one.test', 'two.test']) await send({ config, nexthop });
    expect(brought().map((line) => line.slice(0, 7))).toEqual(['1 alice', '2 bob s', '1 alice', '2 bob s']);
  });

  it('so have a nexthop without credentials, and host names of one address', async () => {
    const config = { smtp_sasl_password_maps: 'inline:{one.test=alice:apple, other.test=bob:banana}' };
    await send({ config, nexthop: 'one.test' });
    await send({ config, nexthop: 'three.test' });
    const [host] = hostsOf([server]);
    if (host === undefined) throw new Error('no host');
    const hosts = [{ ...host, host: 'other.test' }];
    await send({
      config,
      nexthop: 'four.test',
      findHosts: async () => ({ kind: 'found', hosts, finalNexthop: true }),
    });
    expect(server.messages.map(({ session, user }) => [session, user])).toEqual([
      [1, 'alice'],
      [2, undefined],
      [3, 'bob'],
    ]);
  });

  it('a new password is not served by the session of the old one', async () => {
    await send({ config: { smtp_sasl_password_maps: 'inline:{mx1.test=alice:apple}' } });
    const { verdicts } = await send({ config: { smtp_sasl_password_maps: 'inline:{mx1.test=alice:pear}' } });
    expect(verdicts[0]).toMatch(
      /^deferred 4\.7\.8 SASL authentication failed; server mx1\.test\[127\.0\.0\.1\] said: 535 5\.7\.8/,
    );
    expect(server.connections.total).toBe(2);
  });
});
