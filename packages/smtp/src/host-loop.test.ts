/** Which host is tried next, for whom, and what throttles the destination. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { createHostFinder, createResolver } from '@mailfleet/routing';
import { refusingPort, type SmtpServer, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { deliver, hostsOf } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const start = async (options: Parameters<typeof startSmtpServer>[0] = {}): Promise<SmtpServer> => {
  const server = await startSmtpServer(options);
  servers.push(server);
  return server;
};

const closed = () => ({ host: '127.0.0.1', port: refusingPort() });

describe('a failure at the first of two hosts', () => {
  it.each<[string, Parameters<typeof startSmtpServer>[0], boolean]>([
    ['greeting 4xx', { hooks: { greeting: '450 no' } }, true],
    ['greeting 5xx', { hooks: { greeting: '550 no' } }, true],
    ['EHLO 421', { hooks: { ehlo: '421 no' } }, true],
    ['MAIL 4xx', { hooks: { mail: '450 no' } }, true],
    ['MAIL 5xx', { hooks: { mail: '550 no' } }, false],
    ['MAIL 3xx', { hooks: { mail: '350 no' } }, false],
    ['RCPT 4xx', { hooks: { rcpt: '450 no' } }, true],
    ['RCPT 5xx', { hooks: { rcpt: '550 no' } }, false],
    ['DATA 4xx', { hooks: { data: '450 no' } }, true],
    ['DATA 5xx', { hooks: { data: '550 no' } }, false],
    ['DATA 2xx', { hooks: { data: '250 no' } }, false],
    ['end of data 4xx', { hooks: { dot: '450 no' } }, true],
    ['end of data 5xx', { hooks: { dot: '550 no' } }, false],
    ['lost after the dot', { hooks: { dot: { close: true } } }, true],
  ])('%s: next host %s', async (_, options, next) => {
    const [first, second] = [await start(options), await start()];
    const { outcomes, results } = await deliver({ servers: [first, second] });
    expect(second.messageCount).toBe(next ? 1 : 0);
    expect(outcomes).toMatchObject([
      next
        ? { kind: 'delivered', relay: `mx2.test[127.0.0.1]:${second.port}` }
        : { kind: 'bounced', relay: `mx1.test[127.0.0.1]:${first.port}` },
    ]);
    expect(results[0]?.hopStatus).toBeUndefined();
  });
});

it('three recipients, ok, hard and soft at the first host: only the soft one goes to the second', async () => {
  const first = await start({
    hooks: {
      rcpt: ({ recipient }) =>
        recipient?.startsWith('hard')
          ? '550 5.1.1 no'
          : recipient?.startsWith('soft')
            ? '450 4.2.1 no'
            : undefined,
    },
  });
  const second = await start();
  const { outcomes, remarks, dots } = await deliver({
    servers: [first, second],
    requests: [['ok@example.com', 'hard@example.com', 'soft@example.com']],
  });
  expect(outcomes.map(({ recipient, kind, relay }) => [recipient, kind, relay.slice(0, 3)])).toEqual([
    [1, 'bounced', 'mx1'],
    [0, 'delivered', 'mx1'],
    [2, 'delivered', 'mx2'],
  ]);
  expect(remarks).toEqual(['Q1: host mx1.test[127.0.0.1] said: 450 4.2.1 no (in reply to RCPT TO command)']);
  expect(dots).toEqual([[0], [2]]);
});

it('a refused connection is a remark without queue id; the last one is the reason', async () => {
  const [one, two] = [closed(), closed()];
  const { outcomes, remarks, results } = await deliver({ servers: [one, two] });
  const reason = `connect to mx2.test[127.0.0.1]:${two.port}: Connection refused`;
  expect(remarks).toEqual([`connect to mx1.test[127.0.0.1]:${one.port}: Connection refused`, reason]);
  expect(outcomes).toMatchObject([{ kind: 'deferred', status: '4.4.1', reason, relay: 'none' }]);
  expect(results[0]?.hopStatus).toEqual({ status: '4.4.1', reason });
});

it('4xx at the first host and no connection to the second: that is the reason, and nothing is throttled', async () => {
  const [first, second] = [await start({ hooks: { mail: '450 no' } }), closed()];
  const { outcomes, results } = await deliver({ servers: [first, second] });
  expect(outcomes).toMatchObject([{ status: '4.4.1', relay: 'none' }]);
  expect(results[0]?.hopStatus).toBeUndefined();
});

it.each<[Record<string, string>, 'smtp' | 'lmtp', number[]]>([
  [{}, 'smtp', [1, 1, 0]],
  [{ smtp_mx_address_limit: '1' }, 'smtp', [1, 0, 0]],
  [{ smtp_mx_session_limit: '1' }, 'smtp', [1, 0, 0]],
  [{ smtp_mx_session_limit: '0' }, 'smtp', [1, 1, 1]],
  [{ smtp_mx_session_limit: '0' }, 'lmtp', [1, 1, 0]],
  [{ lmtp_mx_session_limit: '0' }, 'lmtp', [1, 1, 1]],
])(
  'smtp_mx_session_limit, limits %j, %s: sessions at three hosts that refuse for now',
  async (config, protocol, tried) => {
    const all = await Promise.all([1, 2, 3].map(() => start({ protocol, hooks: { mail: '450 no' } })));
    const { verdicts } = await deliver({ protocol, servers: all, config });
    expect(all.map((server) => server.connections.total)).toEqual(tried);
    expect(verdicts).toHaveLength(1);
  },
);

it('failed handshakes do not count as sessions', async () => {
  const all = await Promise.all([1, 2, 3].map(() => start({ hooks: { greeting: '450 no' } })));
  await deliver({ servers: all });
  expect(all.map((server) => server.connections.total)).toEqual([1, 1, 1]);
});

it.each<[Record<string, string>, number]>([
  [{}, 5],
  [{ smtp_mx_address_limit: '2' }, 2],
  [{ smtp_mx_address_limit: '0' }, 7],
])(
  'smtp_mx_address_limit, limits %j: addresses tried of seven that nobody answers at',
  async (config, tried) => {
    const all = Array.from({ length: 7 }, closed);
    const { remarks } = await deliver({ servers: all, config });
    expect(remarks.filter((text) => text.endsWith(': Connection refused'))).toHaveLength(tried);
  },
);

it.each([
  ['by default', {}, 'delivered', 1],
  ['no', { smtp_skip_4xx_greeting: 'no' }, 'deferred', 0],
] as const)('smtp_skip_4xx_greeting %s', async (_, config, kind, atSecond) => {
  const [first, second] = [await start({ hooks: { greeting: '421 4.3.2 busy' } }), await start()];
  const { outcomes } = await deliver({ servers: [first, second], config });
  expect(outcomes).toMatchObject([{ kind }]);
  expect(second.messageCount).toBe(atSecond);
});

describe('several destinations in one value', () => {
  const at = (known: Readonly<Record<string, SmtpServer>>) => async (destination: string) => {
    const server = known[destination];
    return server === undefined
      ? ({ kind: 'failed', status: '5.4.4', reason: `${destination} not found` } as const)
      : ({ kind: 'found', hosts: hostsOf([server]), finalNexthop: false } as const);
  };

  it('are tried in order, separated by commas or blanks', async () => {
    const [shut, open] = [await start({ hooks: { mail: '450 no' } }), await start()];
    const seen: string[] = [];
    const find = at({ 'two.test': shut, '[three.test]:26': open });
    const { outcomes } = await deliver({
      nexthop: 'one.test, two.test [three.test]:26 four.test',
      findHosts: (destination) => {
        seen.push(destination);
        return find(destination);
      },
    });
    expect(outcomes.map(({ kind }) => kind)).toEqual(['delivered']);
    expect(seen).toEqual(['one.test', 'two.test', '[three.test]:26']);
  });

  it('that fail: the last reason counts', async () => {
    const { verdicts } = await deliver({ nexthop: 'one.test,two.test', findHosts: at({}) });
    expect(verdicts).toEqual(['bounced 5.4.4 two.test not found']);
  });

  it('as relayhost: no safety net, as in Postfix', async () => {
    const nexthop = 'one.test, two.test';
    const { verdicts } = await deliver({ nexthop, config: { relayhost: nexthop }, findHosts: at({}) });
    expect(verdicts).toEqual(['bounced 5.4.4 two.test not found']);
  });

  it('one that is none does not keep mail from the next', async () => {
    const server = await start();
    const { outcomes } = await deliver({
      nexthop: `[127.0.0.1, [127.0.0.1]:${server.port}`,
      findHosts: createHostFinder({
        config: makeConfig({}),
        protocol: 'smtp',
        resolver: createResolver({ servers: ['127.0.0.1:1'] }),
      }),
    });
    expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
  });
});

it.each([
  ['smtp', 'nowhere[', 'valid hostname or network address required in server description: nowhere['],
  ['smtp', '[exa', 'missing "]" in server description: [exa'],
  ['smtp', 'a.test:nosuch', 'unknown service: nosuch/tcp'],
  ['lmtp', 'inet:a.test:99999', 'bad network port: 99999 for destination: a.test:99999'],
] as const)('%s to %s: deferred with the reason', async (protocol, nexthop, reason) => {
  const { verdicts, results } = await deliver({
    protocol,
    nexthop,
    findHosts: createHostFinder({ config: makeConfig({}), protocol, resolver: createResolver({}) }),
  });
  expect(verdicts).toEqual([`deferred 4.3.0 ${reason}`]);
  expect(results[0]?.hopStatus).toEqual({ status: '4.3.0', reason });
});

describe('fallback relays', () => {
  it('of LMTP are not for UNIX-domain sockets', async () => {
    const { verdicts, remarks } = await deliver({
      protocol: 'lmtp',
      nexthop: 'unix:/nonexistent/lmtp',
      config: { lmtp_fallback_relay: '[fallback.test]' },
    });
    expect(verdicts[0]).toMatch(/^deferred 4\.4\.1 connect to client\.test/);
    expect(remarks).toEqual([
      'warning: ignoring "lmtp_fallback_relay = [fallback.test]" setting for non-TCP connections',
    ]);
  });

  it.each([
    ['smtp', 'fallback_relay', true],
    ['lmtp', 'fallback_relay', false],
    ['lmtp', 'lmtp_fallback_relay', true],
  ] as const)('%s: %s counts: %s', async (protocol, parameter, counts) => {
    const server = await start({ protocol });
    const { outcomes } = await deliver({
      protocol,
      config: { [parameter]: '[fallback.test]' },
      findHosts: async (destination) =>
        destination === '[fallback.test]'
          ? { kind: 'found', hosts: hostsOf([server]), finalNexthop: false }
          : { kind: 'failed', status: '4.4.3', reason: 'try again' },
    });
    expect(outcomes[0]?.kind).toBe(counts ? 'delivered' : 'deferred');
  });

  const relay = async (options: Parameters<typeof startSmtpServer>[0]) => {
    const [primary, fallback] = [await start(options), await start()];
    const result = await deliver({
      config: { smtp_fallback_relay: '[fallback.test]' },
      requests: [['a@example.com'], ['b@example.com']],
      findHosts: async (destination) => ({
        kind: 'found',
        hosts: hostsOf([destination === '[fallback.test]' ? fallback : primary]),
        finalNexthop: false,
      }),
    });
    return { result, fallback };
  };

  it('smtp_fallback_relay: take what the destination deferred, and the batch stays there', async () => {
    const { result, fallback } = await relay({ hooks: { mail: '450 no' } });
    expect(result.outcomes.map((outcome) => outcome.kind)).toEqual(['delivered', 'delivered']);
    expect(fallback.connections.total).toBe(1);
  });

  it('get nothing that was rejected', async () => {
    const { result, fallback } = await relay({ hooks: { mail: '550 no' } });
    expect(result.outcomes.map((outcome) => outcome.kind)).toEqual(['bounced', 'bounced']);
    expect(fallback.connections.total).toBe(0);
  });

  it('take over when the destination is not found, not when mail loops', async () => {
    const fallback = await start();
    const run = (status: string, finalNexthop: boolean) =>
      deliver({
        config: { smtp_fallback_relay: '[fallback.test]' },
        findHosts: async (destination) =>
          destination === '[fallback.test]'
            ? { kind: 'found', hosts: hostsOf([fallback]), finalNexthop: false }
            : { kind: 'failed', status, reason: 'no such thing', finalNexthop },
      });
    expect((await run('5.4.4', false)).outcomes[0]?.kind).toBe('delivered');
    expect((await run('5.4.6', true)).verdicts).toEqual(['bounced 5.4.6 no such thing']);
    expect((await run('4.4.4', true)).verdicts).toEqual(['deferred 4.4.4 no such thing']);
  });

  it('that cannot be found are our fault, not the message’s', async () => {
    const { verdicts, remarks } = await deliver({
      config: { smtp_fallback_relay: '[fallback.test]' },
      findHosts: async () => ({ kind: 'failed', status: '5.4.4', reason: 'not found' }),
    });
    expect(verdicts).toEqual(['deferred 4.3.5 not found']);
    expect(remarks).toEqual(['Q1: warning: smtp_fallback_relay configuration problem']);
  });
});

it('a relayhost that cannot be found defers', async () => {
  const { verdicts, remarks } = await deliver({
    nexthop: '[relay.test]',
    config: { relayhost: '[relay.test]' },
    findHosts: async () => ({ kind: 'failed', status: '5.4.4', reason: 'not found' }),
  });
  expect(verdicts).toEqual(['deferred 4.3.5 not found']);
  expect(remarks).toEqual(['Q1: warning: relayhost configuration problem']);
});

it('a domain that cannot be found bounces at once', async () => {
  const { outcomes, results } = await deliver({
    findHosts: async () => ({ kind: 'failed', status: '5.4.4', reason: 'not found' }),
  });
  expect(outcomes).toMatchObject([{ kind: 'bounced', status: '5.4.4', relay: 'none' }]);
  expect(results[0]?.hopStatus).toBeUndefined();
});

describe('soft_bounce', () => {
  it('defers at the last host, and says what it was', async () => {
    const server = await start({ hooks: { rcpt: '550 5.1.1 no' } });
    const { outcomes } = await deliver({ servers: [server], config: { soft_bounce: 'yes' } });
    expect(outcomes).toMatchObject([{ kind: 'deferred', status: '4.1.1', softBounce: true }]);
  });

  it('tries the next host first', async () => {
    const [first, second] = [await start({ hooks: { rcpt: '550 no' } }), await start()];
    const { outcomes } = await deliver({ servers: [first, second], config: { soft_bounce: 'yes' } });
    expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
  });
});

describe('a batch', () => {
  it('whose destination fails half-way gives the rest back untried', async () => {
    const closer = await start({
      hooks: {
        greeting: ({ session }) => (session.number > 1 ? '421 no' : undefined),
        mail: ({ session }) => (session.messages === 1 ? { close: true } : undefined),
      },
    });
    const { outcomes, returned, results } = await deliver({
      servers: [closer],
      requests: [['a@example.com'], ['b@example.com'], ['c@example.com'], ['d@example.com']],
    });
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['delivered', 'deferred']);
    expect(results[1]?.hopStatus?.status).toBe('4.0.0');
    expect(returned).toEqual(['Q3', 'Q4']);
  });

  it('goes on over a fresh session when the kept one was closed', async () => {
    const server = await start({
      hooks: { mail: ({ session }) => (session.messages > 0 ? { close: true } : undefined) },
    });
    const { outcomes } = await deliver({
      servers: [server],
      requests: [['a@example.com'], ['b@example.com'], ['c@example.com']],
    });
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['delivered', 'delivered', 'delivered']);
    expect(outcomes.map((outcome) => outcome.connectionUse)).toEqual([undefined, undefined, undefined]);
    expect(server.connections.total).toBe(3);
  });

  it.each(['yes', 'no'])(
    'stops after the transaction in flight when the signal aborts (transaction pipelining %s)',
    async (ahead) => {
      const server = await start();
      const stop = new AbortController();
      const { outcomes, returned } = await deliver({
        servers: [server],
        config: { smtp_transaction_pipelining: ahead },
        signal: stop.signal,
        requests: [['a@example.com'], ['b@example.com'], ['c@example.com']],
        onRecord: () => stop.abort(),
      });
      expect(outcomes).toHaveLength(1);
      expect(returned).toEqual(['Q2', 'Q3']);
      // No QUIT where the server waits for the content of the second message.
      await waitFor(() => server.sessions[0]?.ended === true);
      expect(server.sessions[0]?.commands.at(-1)).toBe(ahead === 'yes' ? 'DATA' : 'QUIT');
      expect(server.messageCount).toBe(1);
    },
  );

  it('honours the count limit of reuse', async () => {
    const server = await start();
    await deliver({
      servers: [server],
      config: { smtp_connection_reuse_count_limit: '1' },
      requests: [['a@example.com'], ['b@example.com'], ['c@example.com']],
    });
    expect(server.sessions.map((session) => session.messages)).toEqual([2, 1]);
  });

  it('uses a second host’s session too, and the first host for those the second will not take', async () => {
    const first = await start({
      hooks: { greeting: ({ session }) => (session.number === 1 ? '450 no' : undefined) },
    });
    const second = await start({
      hooks: { rcpt: ({ recipient }) => (recipient?.startsWith('b') ? '450 no' : undefined) },
    });
    const { outcomes } = await deliver({
      servers: [first, second],
      requests: [['a@example.com'], ['b@example.com']],
    });
    expect(outcomes.map(({ kind, relay }) => [kind, relay.slice(0, 3)])).toEqual([
      ['delivered', 'mx2'],
      ['delivered', 'mx1'],
    ]);
  });
});

describe('LMTP over a UNIX-domain socket', () => {
  it('delivers, with the path in the relay', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mailfleet-lmtp-'));
    const path = join(folder, 'lmtp');
    const server = await start({ protocol: 'lmtp', path });
    const { outcomes } = await deliver({ protocol: 'lmtp', nexthop: `unix:${path}` });
    expect(outcomes).toMatchObject([{ kind: 'delivered', relay: `client.test[${path}]` }]);
    expect(server.messageCount).toBe(1);
    const relative = await deliver({
      protocol: 'lmtp',
      nexthop: 'unix:lmtp',
      config: { queue_directory: folder },
    });
    expect(relative.outcomes).toMatchObject([{ kind: 'delivered', relay: 'client.test[lmtp]' }]);
    rmSync(folder, { recursive: true });
  });

  it('defers when nobody listens or the path is too long', async () => {
    const nobody = await deliver({ protocol: 'lmtp', nexthop: 'unix:/nonexistent/lmtp' });
    expect(nobody.verdicts).toEqual([
      'deferred 4.4.1 connect to client.test[/nonexistent/lmtp]: No such file or directory',
    ]);
    expect(nobody.remarks).toEqual([]);
    const long = await deliver({ protocol: 'lmtp', nexthop: `unix:/${'x'.repeat(200)}` });
    expect(long.verdicts).toEqual(['deferred 4.3.5 Server configuration error']);
  });
});
