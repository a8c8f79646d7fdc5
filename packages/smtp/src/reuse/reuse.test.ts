/** Sessions that outlive their batch: who gets them, what their server may do meanwhile, and when they end. */
import {
  type CertificateAuthority,
  makeCertificates,
  type SmtpServer,
  startSmtpServer,
  waitFor,
} from '@mailfleet/test-kit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from '../test-agent.ts';
import { SessionPool } from './session-pool.ts';

const servers: SmtpServer[] = [];
let pool: SessionPool;
let authority: CertificateAuthority;

beforeAll(() => {
  authority = makeCertificates();
});

afterAll(() => authority.remove());

beforeEach(() => {
  pool = new SessionPool({ sessionLimit: 50, endpointLimit: 20 });
});

afterEach(async () => {
  await pool.close();
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const start = async (options: Parameters<typeof startSmtpServer>[0] = {}): Promise<SmtpServer> => {
  const server = await startSmtpServer(options);
  servers.push(server);
  return server;
};

/** Time limits that no test reaches by being slow. */
const patient = { smtp_connection_cache_time_limit: '100s', connection_cache_ttl_limit: '100s' };

const send = (delivery: TestDelivery): Promise<TestResult> =>
  deliver({
    sessions: pool,
    caching: 'load-store',
    ...delivery,
    config: { ...patient, ...delivery.config },
  });

const connections = (): number[] => servers.map((server) => server.connections.total);
const uses = ({ outcomes }: TestResult): (number | undefined)[] =>
  outcomes.map(({ connectionUse }) => connectionUse);
const delivered = ({ outcomes }: TestResult): boolean => outcomes.every(({ kind }) => kind === 'delivered');

describe('a second batch', () => {
  it('goes out on the session of the first, which is probed and not greeted again', async () => {
    const server = await start();
    const first = await send({ servers: [server], requests: [['a@example.com'], ['b@example.com']] });
    expect(pool.parked).toBe(1);
    const second = await send({ servers: [server], requests: [['c@example.com'], ['d@example.com']] });
    expect(pool.statistics.report(0).slice(1)).toEqual([
      'statistics: domain lookup hits=1 miss=1 success=50%',
      'statistics: address lookup hits=0 miss=1 success=0%',
      'statistics: max simultaneous domains=1 addresses=1 connection=1',
    ]);
    expect(connections()).toEqual([1]);
    expect([...uses(first), ...uses(second)]).toEqual([undefined, 2, 3, 4]);
    expect(server.messageCount).toBe(4);
    const verbs = server.sessions[0]?.commands.map((line) => line.slice(0, 4));
    expect(verbs?.filter((verb) => verb === 'EHLO' || verb === 'RSET' || verb === 'QUIT')).toEqual([
      'EHLO',
      'RSET',
    ]);
  });

  it.each<[string, TestDelivery['caching'], TestDelivery['caching'], number]>([
    ['without a hint', undefined, undefined, 2],
    ['that may look, after one that might not park', 'load', 'load', 2],
    ['that may not look', 'load-store', undefined, 2],
    ['that may only look', 'load-store', 'load', 1],
  ])('%s', async (_, one, other, wanted) => {
    const server = await start();
    await deliver({ servers: [server], sessions: pool, ...(one ? { caching: one } : {}), config: patient });
    await deliver({
      servers: [server],
      sessions: pool,
      ...(other ? { caching: other } : {}),
      config: patient,
    });
    expect(connections()).toEqual([wanted]);
  });

  it('a session that was taken is parked again when the hint to store is gone', async () => {
    const server = await start();
    await send({ servers: [server] });
    for (const _ of [1, 2, 3]) await send({ servers: [server], caching: 'load' });
    expect(connections()).toEqual([1]);
  });

  it('for another domain on the same server shares the session', async () => {
    const server = await start();
    await send({ servers: [server], nexthop: 'one.example' });
    const second = await send({ servers: [server], nexthop: 'two.example' });
    expect([connections(), uses(second)]).toEqual([[1], [2]]);
    const third = await send({
      nexthop: 'three.example',
      findHosts: async () => ({
        kind: 'found',
        hosts: [{ host: 'mail.three.example', address: '127.0.0.1', port: server.port, preference: 5 }],
        finalNexthop: false,
      }),
    });
    expect(third.outcomes).toMatchObject([
      { connectionUse: 3, relay: `mail.three.example[127.0.0.1]:${server.port}` },
    ]);
  });

  it('for the same destination finds the host that served it, past a dead one', async () => {
    const [dead, alive] = [await start(), await start()];
    const hosts = { servers: [dead, alive] };
    await dead.close();
    const first = await send(hosts);
    const second = await send(hosts);
    expect(first.remarks).toEqual([expect.stringContaining('Connection refused')]);
    expect(second.remarks).toEqual([]);
    expect(uses(second)).toEqual([2]);
  });

  it.each<[TestDelivery['caching'], number | undefined]>([
    ['load', 2],
    [undefined, undefined],
  ])('with the hint %s at a host of less preference: conn_use %s', async (caching, wanted) => {
    const [first, second] = [await start({ hooks: { mail: '450 4.3.2 later' } }), await start()];
    await send({ servers: [second], nexthop: 'other.example' });
    const { outcomes } = await deliver({
      servers: [first, second],
      sessions: pool,
      config: patient,
      ...(caching === undefined ? {} : { caching }),
    });
    expect(outcomes).toMatchObject([{ kind: 'delivered', relay: expect.stringMatching(/^mx2/) }]);
    expect(outcomes[0]?.connectionUse).toBe(wanted);
  });

  it('whose message needs SMTPUTF8 leaves a session without it alone', async () => {
    const plain = await start({ keywords: ['PIPELINING'] });
    await send({ servers: [plain] });
    const second = await send({
      servers: [plain],
      envelope: { smtputf8: true },
      requests: [['jürgen@example.com']],
    });
    expect(second.verdicts).toEqual([expect.stringContaining('5.6.7')]);
    expect(connections()).toEqual([2]);
    expect(pool.parked).toBe(1);
  });

  it('over LMTP and a UNIX-domain socket finds its session by the path', async () => {
    const path = `/tmp/mailfleet-reuse-${process.pid}`;
    const server = await start({ protocol: 'lmtp', path });
    const delivery: TestDelivery = {
      protocol: 'lmtp',
      nexthop: `unix:${path}`,
      config: { lmtp_connection_cache_time_limit: '100s' },
    };
    await send(delivery);
    expect(uses(await send(delivery))).toEqual([2]);
    expect(server.messageCount).toBe(2);
  });

  it('after refused recipients and a refused message still finds the session', async () => {
    let dots = 0;
    const server = await start({
      hooks: {
        rcpt: ({ recipient }) => (recipient === 'no@example.com' ? '550 5.1.1 no' : undefined),
        dot: () => (++dots === 1 ? '452 4.2.2 full' : undefined),
      },
    });
    await send({ servers: [server], requests: [['no@example.com']] });
    await send({ servers: [server] });
    expect(uses(await send({ servers: [server] }))).toEqual([3]);
    expect(connections()).toEqual([1]);
  });
});

describe('who never shares a session', () => {
  it.each<[string, Record<string, string>]>([
    ['another HELO name', { smtp_helo_name: 'other.test' }],
    ['another source address', { smtp_bind_address: '127.0.0.9' }],
    ['other discarded keywords', { smtp_discard_ehlo_keywords: 'pipelining' }],
    ['a level that asks for TLS', { smtp_tls_security_level: 'may' }],
  ])('%s', async (_, config) => {
    const server = await start();
    await send({ servers: [server] });
    expect(uses(await send({ servers: [server], config }))).toEqual([undefined]);
    expect(connections()).toEqual([2]);
  });

  it('two domains whose certificates must match, even on one server', async () => {
    const server = await start({ tls: authority.issue(['mx1.test']) });
    const config = {
      smtp_tls_security_level: 'verify',
      smtp_tls_verify_cert_match: 'hostname',
      smtp_tls_CAfile: authority.ca.certFile,
    };
    await send({ servers: [server], config, nexthop: 'one.example' });
    const other = await send({ servers: [server], config, nexthop: 'two.example' });
    const same = await send({ servers: [server], config, nexthop: 'one.example' });
    expect([uses(other), uses(same), delivered(other)]).toEqual([[undefined], [2], true]);
    expect(connections()).toEqual([2]);
  });

  it('a message that must not go in clear, with a session that fell back to clear', async () => {
    const server = await start({
      tls: authority.issue(['mx1.test']),
      hooks: { starttls: '454 4.7.0 not now' },
    });
    await send({ servers: [server], config: { smtp_tls_security_level: 'may' } });
    const strict = await send({ servers: [server], config: { smtp_tls_security_level: 'encrypt' } });
    expect(strict.verdicts).toEqual([expect.stringContaining('refused to start TLS')]);
    expect(server.messageCount).toBe(1);
  });
});

describe('TLS', () => {
  const config = { smtp_tls_security_level: 'encrypt', smtp_tls_loglevel: '1' };

  it('a session with TLS serves the next batch too', async () => {
    const server = await start({ tls: authority.issue(['mx1.test']) });
    await send({ servers: [server], config });
    const second = await send({ servers: [server], config });
    expect(second.outcomes).toMatchObject([{ connectionUse: 2, tls: 'TLSv1.3' }]);
    expect(second.remarks).toEqual([expect.stringMatching(/^Untrusted TLS connection reused to mx1\.test/)]);
    expect(server.messages.map(({ tls }) => tls)).toEqual([true, true]);
    expect(connections()).toEqual([1]);
  });

  it('unless smtp_tls_connection_reuse says no', async () => {
    const server = await start({ tls: authority.issue(['mx1.test']) });
    const without = { ...config, smtp_tls_connection_reuse: 'no' };
    await send({ servers: [server], config: without });
    await send({ servers: [server], config: without });
    expect(connections()).toEqual([2]);
  });
});

describe('a parked session that', () => {
  it.each<[string, Parameters<typeof startSmtpServer>[0]]>([
    ['its server closed', { hooks: { dot: { reply: '250 2.0.0 ok', close: true } } }],
    ['got a 421', { hooks: { dot: '250 2.0.0 ok\r\n421 4.4.2 idle' } }],
    ['got words that are no reply', { hooks: { dot: '250 2.0.0 ok\r\nhello?' } }],
    ['answers the probe with 421', { hooks: { rset: '421 4.3.2 closing' } }],
    ['hangs up at the probe', { hooks: { rset: { close: true } } }],
    [
      'answers MAIL with 421',
      { hooks: { mail: ({ session }) => (session.messages > 0 ? '421 4.7.0 enough' : undefined) } },
    ],
    [
      'hangs up at MAIL',
      { hooks: { mail: ({ session }) => (session.messages > 0 ? { close: true } : undefined) } },
    ],
  ])('%s costs the next message nothing', async (_, options) => {
    const server = await start(options);
    await send({ servers: [server] });
    const second = await send({ servers: [server] });
    expect(second.verdicts).toEqual([expect.stringMatching(/^delivered/)]);
    expect(second.results[0]?.hopStatus).toBeUndefined();
    expect(uses(second)).toEqual([undefined]);
    expect(server.messageCount).toBe(2);
  });

  it('does not answer the probe within smtp_rset_timeout is given up', async () => {
    const server = await start({ hooks: { rset: { silent: true } } });
    const config = { smtp_rset_timeout: '1s' };
    await send({ servers: [server], config });
    expect(delivered(await send({ servers: [server], config }))).toBe(true);
    expect([connections(), server.messageCount]).toEqual([[2], 2]);
  });

  it('refuses the message for its own sake decides about it', async () => {
    const server = await start({
      hooks: { mail: ({ session }) => (session.messages > 0 ? '550 5.7.1 not you' : undefined) },
    });
    await send({ servers: [server] });
    const second = await send({ servers: [server] });
    expect(second.verdicts).toEqual([expect.stringMatching(/^bounced 5\.7\.1/)]);
    expect(connections()).toEqual([1]);
  });
});

describe('what operators see', () => {
  it('a session is busy while a batch uses it, then parked, then gone', async () => {
    const seen: ReturnType<SessionPool['view']>[] = [];
    const server = await start({ hooks: { mail: () => void seen.push(pool.view()) } });
    await send({ servers: [server] });
    const parked = pool.view();
    await send({ servers: [server] });
    const about = { transport: 'smtp', nexthop: 'example.com', relay: `mx1.test[127.0.0.1]:${server.port}` };
    expect(seen).toMatchObject([
      [{ ...about, state: 'busy', uses: 1, leftMs: undefined }],
      [{ ...about, state: 'busy', uses: 2, leftMs: undefined }],
    ]);
    expect(parked).toMatchObject([{ ...about, state: 'parked', uses: 1, bound: true }]);
    expect(parked[0]?.leftMs).toBeGreaterThan(90_000);
    await pool.close();
    expect(pool.view()).toEqual([]);
  });

  it('one that ended with its batch is not shown any more', async () => {
    const server = await start({ hooks: { dot: '421 4.3.2 closing' } });
    await send({ servers: [server] });
    expect(pool.view()).toEqual([]);
  });
});

describe('limits', () => {
  it('smtp_connection_cache_time_limit: a parked session ends with QUIT when its time is over', async () => {
    const server = await start();
    await send({ servers: [server], config: { smtp_connection_cache_time_limit: '1s' } });
    expect(pool.parked).toBe(1);
    await waitFor(() => server.sessions[0]?.ended === true);
    expect(server.sessions[0]?.commands.at(-1)).toBe('QUIT');
    expect(pool.parked).toBe(0);
  });

  it('smtp_connection_reuse_count_limit = 2: three transactions', async () => {
    const server = await start();
    const config = { smtp_connection_reuse_count_limit: '2' };
    for (const _ of [1, 2, 3, 4]) await send({ servers: [server], config });
    expect(server.sessions.map(({ messages }) => messages)).toEqual([3, 1]);
    expect(server.sessions[0]?.commands.at(-1)).toBe('QUIT');
  });

  it('smtp_connection_reuse_time_limit: from the connect on', async () => {
    const server = await start();
    let nowMs = Date.now();
    const delivery = {
      servers: [server],
      config: { smtp_connection_reuse_time_limit: '10s' },
      environment: { now: () => nowMs },
    };
    await send(delivery);
    nowMs += 9_000;
    await send(delivery);
    expect(connections()).toEqual([1]);
    nowMs += 2_000;
    await send(delivery);
    expect(connections()).toEqual([2]);
  });

  it('more than an endpoint may have: the oldest ends', async () => {
    pool = new SessionPool({ sessionLimit: 50, endpointLimit: 2 });
    const server = await start();
    await Promise.all([1, 2, 3, 4].map(() => send({ servers: [server] })));
    expect([server.connections.total, pool.parked]).toEqual([4, 2]);
    await waitFor(() => server.sessions.filter(({ ended }) => ended).length === 2);
  });

  it('a process at its limit gives up a parked session before it opens another', async () => {
    pool = new SessionPool({ sessionLimit: 1, endpointLimit: 20 });
    const [one, two] = [await start(), await start()];
    await send({ servers: [one], nexthop: 'one.example' });
    expect(pool.parked).toBe(1);
    await send({ servers: [two], nexthop: 'two.example' });
    await waitFor(() => one.sessions[0]?.ended === true);
    expect([pool.parked, one.sessions[0]?.commands.at(-1)]).toEqual([1, 'QUIT']);
  });

  it('at the end all are told goodbye, and nothing is parked any more', async () => {
    const server = await start();
    await Promise.all([1, 2, 3].map(() => send({ servers: [server] })));
    await pool.close();
    await waitFor(() => server.connections.open === 0);
    expect(server.sessions.map(({ commands }) => commands.at(-1))).toEqual(['QUIT', 'QUIT', 'QUIT']);
    await send({ servers: [server] });
    expect(server.sessions.at(-1)?.commands.at(-1)).toBe('QUIT');
  });

  it('no session serves two batches at once', async () => {
    const server = await start();
    const all = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        await Promise.all(Array.from({ length: index % 7 }, () => Promise.resolve()));
        return send({ servers: [server], requests: [[`r${index}@example.com`]] });
      }),
    );
    const again = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        send({ servers: [server], requests: [[`s${index}@example.com`]] }),
      ),
    );
    expect([...all, ...again].every(delivered)).toBe(true);
    const received = server.messages.flatMap(({ recipients }) => recipients);
    expect(received).toHaveLength(120);
    expect(new Set(received).size).toBe(120);
    expect(server.connections.total).toBeLessThan(120);
  });
});

describe('a batch that another process may have a session for', () => {
  const warmUp = async (): Promise<SmtpServer> => {
    const server = await start();
    // This process learns that the server is shared; the sessions go with the pool's limit.
    pool = new SessionPool({ sessionLimit: 1, endpointLimit: 20 });
    const other = await start();
    for (const nexthop of ['one.example', 'two.example']) await send({ servers: [server], nexthop });
    await send({ servers: [other], nexthop: 'elsewhere.example' });
    await waitFor(() => server.sessions.every(({ ended }) => ended));
    return server;
  };

  it('is handed over before a connection is opened, and nothing of it is done or told here', async () => {
    const server = await warmUp();
    const connectionsBefore = server.connections.total;
    const asked: (readonly string[])[] = [];
    const result = await send({
      servers: [server],
      nexthop: 'three.example',
      requests: [['a@three.example'], ['b@three.example']],
      handOver: async (endpoints) => {
        asked.push(endpoints);
        return true;
      },
    });
    expect([result.results, result.returned, result.dots, result.remarks]).toEqual([[], [], [], []]);
    expect(asked).toEqual([[expect.stringContaining('127.0.0.1')]]);
    expect(server.connections.total).toBe(connectionsBefore);
  });

  it.each<[string, TestDelivery, number]>([
    ['is delivered here when nobody takes it, and asked for once', {}, 1],
    ['that may not look for sessions is not asked for', { caching: undefined as never }, 0],
    ['that needs SMTPUTF8 is not', { envelope: { smtputf8: true }, requests: [['jürgen@three.example']] }, 0],
  ])('%s', async (_, delivery, wanted) => {
    const server = await warmUp();
    let asked = 0;
    const result = await send({
      servers: [server],
      nexthop: 'three.example',
      requests: [['a@three.example'], ['b@three.example']],
      handOver: async () => {
        asked += 1;
        return false;
      },
      ...delivery,
    });
    expect([asked, delivered(result)]).toEqual([wanted, true]);
    expect(result.results).toHaveLength(delivery.requests?.length ?? 2);
  });

  it('stays once one of its messages is decided', async () => {
    const server = await warmUp();
    let asked = 0;
    const result = await send({
      servers: [server],
      nexthop: 'three.example',
      requests: [['a@three.example'], ['b@three.example']],
      content: async ({ envelope }) =>
        envelope.queueId === 'Q1' ? undefined : Buffer.from('Subject: b\r\n\r\n'),
      handOver: async () => {
        asked += 1;
        return true;
      },
    });
    expect(result.outcomes.map(({ kind }) => kind === 'delivered')).toEqual([false, true]);
    expect(asked).toBe(0);
  });

  it('stays where a session is at hand, and where only one destination uses the server', async () => {
    const server = await start();
    const handOver = async (): Promise<boolean> => true;
    const sendTo = (nexthop: string): Promise<TestResult> => send({ servers: [server], nexthop, handOver });
    // mx1.test is a server of its own.
    expect(delivered(await sendTo('test'))).toBe(true);
    await pool.close();
    pool = new SessionPool({ sessionLimit: 50, endpointLimit: 20 });
    expect(delivered(await sendTo('mx1.test'))).toBe(true);
    expect(delivered(await sendTo('two.example'))).toBe(true);
    expect(connections()).toEqual([2]);
  });
});
