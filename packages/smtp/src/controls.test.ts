/** Parameters of main.cf that change what is done or said, each with its effect and its default. */
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { makeConfig } from '@mailfleet/config';
import { makeCertificates, refusingPort, type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { createDeliveryAgent } from './agent.ts';
import type { Outcome } from './delivery.ts';
import { deliver, hostsOf, type TestDelivery, type TestResult } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const start = async (options: Parameters<typeof startSmtpServer>[0] = {}): Promise<SmtpServer> => {
  const server = await startSmtpServer(options);
  servers.push(server);
  return server;
};

const talk = async (
  script: readonly string[],
  delivery: TestDelivery = {},
): Promise<{ result: TestResult; server: SmtpServer }> => {
  const server = await start({ scripts: [script] });
  const result = await deliver({ servers: [server], ...delivery });
  await server.dialogueDone();
  return { result, server };
};

const name = 'mx1.test[127.0.0.1]';
const refused = ['C: MAIL*', 'S: 550 no', 'C: RSET', 'S: 250 ok', 'C: QUIT'];
const taken = [
  'C: MAIL*',
  'S: 250 ok',
  'C: RCPT*',
  'S: 250 ok',
  'C: DATA',
  'S: 354 go',
  'content',
  'S: 250 ok',
];

describe('our own name', () => {
  const ownName = { hostname: 'Client.Test' };
  const loops = 'mail for example.com loops back to myself';

  it.each<[string, string, number, boolean]>([
    ['at the best host', 'bounced 5.4.6', 0, true],
    ['at another', 'deferred 4.4.6', 1, true],
    ['on another port', 'delivered', 0, false],
  ])('in the EHLO reply %s: %s', async (_, verdict, position, detected) => {
    const server = await start(ownName);
    const dead = { host: '127.0.0.1', port: refusingPort() };
    const hosts = position === 0 ? [server] : [dead, server];
    const { verdicts, remarks } = await deliver({
      servers: hosts,
      environment: { mailPort: detected ? server.port : 25 },
    });
    expect(verdicts[0]?.startsWith(detected ? `${verdict} ${loops}` : verdict)).toBe(true);
    const relay = `mx${position + 1}.test[127.0.0.1]:${server.port}`;
    expect(remarks.slice(position)).toEqual(
      detected
        ? [
            `Q1: warning: host ${relay} greeted me with my own hostname Client.Test`,
            `Q1: warning: host ${relay} replied to HELO/EHLO with my own hostname Client.Test`,
          ]
        : [],
    );
  });

  it('in the greeting alone is worth a warning', async () => {
    const server = await start({ hooks: { greeting: '220 client.test ESMTP' } });
    const { outcomes, remarks } = await deliver({
      servers: [server],
      environment: { mailPort: server.port },
    });
    expect(outcomes[0]?.kind).toBe('delivered');
    expect(remarks).toEqual([
      `Q1: warning: host ${name}:${server.port} greeted me with my own hostname client.test`,
    ]);
  });

  it('means nothing in LMTP', async () => {
    const server = await start({ ...ownName, protocol: 'lmtp' });
    const { outcomes } = await deliver({
      protocol: 'lmtp',
      servers: [server],
      environment: { mailPort: server.port },
    });
    expect(outcomes[0]?.kind).toBe('delivered');
  });
});

describe('the address to connect from', () => {
  it.each([
    ['smtp', 'smtp_bind_address', '127.0.0.5'],
    ['smtp', 'smtp_bind_address', '[127.0.0.5]'],
    ['lmtp', 'lmtp_bind_address', '127.0.0.5'],
  ] as const)('%s: %s = %s', async (protocol, parameter, value) => {
    const server = await start({ protocol });
    await deliver({ protocol, servers: [server], config: { [parameter]: value } });
    expect(server.sessions[0]?.remoteAddress).toBe('127.0.0.5');
  });

  it('is the system’s choice by default', async () => {
    const server = await start();
    await deliver({ servers: [server] });
    expect(server.sessions[0]?.remoteAddress).toBe('127.0.0.1');
  });

  it('is that of inet_interfaces where it names but one, unless smtp_bind_address says otherwise', async () => {
    const address = Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.internal === false && one.family === 'IPv4')?.address;
    if (address === undefined) throw new Error('this machine has no address besides loopback');
    const from = async (config: Record<string, string>): Promise<string | undefined> => {
      const server = await start();
      await deliver({ servers: [server], config: { inet_interfaces: address, ...config } });
      return server.sessions[0]?.remoteAddress;
    };
    expect(await from({})).toBe(address);
    expect(await from({ inet_interfaces: `${address}, 127.0.0.1` })).toBe('127.0.0.1');
    expect(await from({ smtp_bind_address: '127.0.0.5' })).toBe('127.0.0.5');
  });

  const foreign = { smtp_bind_address: '192.0.2.1' };
  const warning = 'warning: smtp_connect_addr: bind 192.0.2.1: Cannot assign requested address';

  it('that is not ours is a warning', async () => {
    const server = await start();
    const { outcomes, remarks } = await deliver({ servers: [server], config: foreign });
    expect(outcomes[0]?.kind).toBe('delivered');
    expect(remarks).toEqual([warning]);
  });

  it('that is not ours defers with smtp_bind_address_enforce', async () => {
    const server = await start();
    const { verdicts, remarks } = await deliver({
      servers: [server],
      config: { ...foreign, smtp_bind_address_enforce: 'yes' },
    });
    expect(verdicts).toEqual(['deferred 4.4.0 server configuration error']);
    expect(remarks[0]).toBe(warning);
    expect(server.connections.total).toBe(0);
  });
});

describe('smtp_send_xforward_command', () => {
  const client = { name: 'pc.test', address: '192.0.2.9', port: 1234, protocol: 'ESMTP', helo: 'pc+1' };
  const hello = ['S: 220 x', 'C: EHLO*', 'S: 250-x', 'S: 250 XFORWARD NAME ADDR PROTO HELO SOURCE'];

  it('tells the server about the client', async () => {
    const { result } = await talk(
      [
        ...hello,
        'C: XFORWARD NAME=pc.test ADDR=192.0.2.9',
        'S: 250 ok',
        'C: XFORWARD PROTO=ESMTP HELO=pc+2B1 SOURCE=REMOTE',
        'S: 501 no',
        ...refused,
      ],
      { config: { smtp_send_xforward_command: 'yes' }, envelope: { client } },
    );
    expect(result.remarks).toEqual([
      expect.stringMatching(
        /^Q1: warning: host .* said: 501 no \(in reply to XFORWARD helo\/protocol command\)$/,
      ),
    ]);
  });

  it('is off by default', async () => {
    await talk([...hello, ...refused], { envelope: { client } });
  });

  it('goes along with the next message too', async () => {
    const server = await start({
      keywords: ['PIPELINING', 'XFORWARD HELO'],
      hooks: { other: ({ line }) => (line.startsWith('XFORWARD') ? '250 ok' : undefined) },
    });
    await deliver({
      servers: [server],
      config: { smtp_send_xforward_command: 'yes' },
      envelope: { client },
      requests: [['a@example.com'], ['b@example.com']],
    });
    expect(server.sessions.map(({ messages }) => messages)).toEqual([2]);
    expect(server.sessions[0]?.commands.filter((line) => line === 'XFORWARD HELO=pc+2B1')).toHaveLength(2);
  });
});

describe('PIX workarounds', () => {
  const banner = 'S: 220 ****';
  const old = { arrivalMs: Date.now() - 501_000 };
  const helo = [banner, 'C: HELO*', 'S: 250 x'];

  it('delay the dot of mail that has waited', async () => {
    const slept: number[] = [];
    const { result } = await talk([...helo, ...taken, 'C: QUIT'], {
      envelope: old,
      environment: { sleep: async (ms) => void slept.push(ms) },
    });
    expect(slept).toEqual([10_000]);
    expect(result.remarks[0]).toMatch(/enabling PIX workarounds: disable_esmtp, delay_dotcrlf for /);
    expect(result.outcomes[0]?.kind).toBe('delivered');
  });

  it.each<[string, Record<string, string>, number[]]>([
    ['smtp_pix_workaround_delay_time', { smtp_pix_workaround_delay_time: '3s' }, [3000]],
    ['smtp_pix_workaround_threshold_time', { smtp_pix_workaround_threshold_time: '600s' }, []],
    ['smtp_pix_workarounds', { smtp_pix_workarounds: 'disable_esmtp' }, []],
    ['smtp_pix_workaround_maps', { smtp_pix_workaround_maps: 'inline:{ 127.0.0.1=disable_esmtp }' }, []],
    [
      'another address in the map',
      { smtp_pix_workaround_maps: 'inline:{ 127.0.0.2=disable_esmtp }' },
      [10_000],
    ],
  ])('%s', async (_, config, expected) => {
    const slept: number[] = [];
    await talk([...helo, ...taken, 'C: QUIT'], {
      config,
      envelope: old,
      environment: { sleep: async (ms) => void slept.push(ms) },
    });
    expect(slept).toEqual(expected);
  });

  it('empty list: EHLO as usual', async () => {
    const { result } = await talk([banner, 'C: EHLO*', 'S: 250 x', ...refused], {
      config: { smtp_pix_workarounds: '' },
    });
    expect(result.remarks).toEqual([]);
  });

  it('send nothing when the map cannot be asked', async () => {
    const { result } = await talk([banner, 'C: QUIT'], {
      config: { smtp_pix_workaround_maps: 'texthash:/nonexistent/map' },
    });
    expect(result.verdicts).toEqual([`deferred 4.3.0 local data error while talking to ${name}`]);
  });
});

it('a certificate is matched by fingerprint', async () => {
  const authority = makeCertificates();
  const certificate = authority.issue(['other.test']);
  const server = await start({ tls: certificate });
  const { X509Certificate } = await import('node:crypto');
  const fingerprint = new X509Certificate(certificate.cert).fingerprint256;
  const at = (match: string) =>
    deliver({
      servers: [server],
      config: {
        smtp_tls_security_level: 'fingerprint',
        smtp_tls_fingerprint_digest: 'sha256',
        smtp_tls_fingerprint_cert_match: match,
      },
    });
  const good = await at(fingerprint);
  expect(good.outcomes).toMatchObject([{ kind: 'delivered', tls: 'TLSv1.3' }]);
  const bad = await at(fingerprint.replace(/^../, fingerprint.startsWith('00') ? '11' : '00'));
  expect(bad.verdicts).toEqual(['deferred 4.7.5 Server certificate not verified']);
  authority.remove();
});

it.each<[string, string, readonly string[], Outcome['action']]>([
  ['yes', 'lmtp', [], 'delivered'],
  ['no', 'lmtp', [], 'relayed'],
  ['yes', 'lmtp', ['DSN'], 'relayed'],
  ['yes', 'smtp', [], 'relayed'],
])('lmtp_assume_final = %s, %s, %j: %s', async (value, protocol, keywords, action) => {
  if (protocol !== 'lmtp' && protocol !== 'smtp') throw new Error(protocol);
  const server = await start({ protocol, keywords });
  const { outcomes } = await deliver({ protocol, servers: [server], config: { lmtp_assume_final: value } });
  expect(outcomes[0]?.action).toBe(action);
});

it('MAIL goes alone when nothing has moved for 10 seconds', async () => {
  let clock = 0;
  const hello = ['S: 220 x', 'C: EHLO*', 'S: 250-x', 'S: 250 PIPELINING'];
  const first = [
    'C: MAIL*',
    'C: RCPT*',
    'C: DATA',
    'S: 550 no',
    'S: 503 x',
    'S: 503 x',
    'C: RSET',
    'S: 250 ok',
  ];
  const alone = [
    'C: MAIL*',
    'S: 250 ok',
    'C: RCPT*',
    'C: DATA',
    'S: 550 no',
    'S: 503 x',
    'C: RSET',
    'C: QUIT',
  ];
  await talk([...hello, ...first, ...alone], {
    requests: [['a@example.com'], ['b@example.com']],
    environment: { steadyNow: () => clock },
    onRecord: () => {
      clock += 10_001;
    },
  });
});

it.each<[string, Record<string, string>, number[]]>([
  ['300 s by default', {}, [3, 1]],
  ['smtp_connection_reuse_time_limit', { smtp_connection_reuse_time_limit: '100s' }, [2, 2]],
  ['one after the other', { smtp_transaction_pipelining: 'no' }, [2, 2]],
])('a connection is used for so long only: %s', async (_, config, messages) => {
  let clock = Date.now();
  const server = await start();
  await deliver({
    servers: [server],
    config,
    requests: ['a', 'b', 'c', 'd'].map((user) => [`${user}@example.com`]),
    environment: { now: () => clock },
    onRecord: () => {
      clock += 200_000;
    },
  });
  expect(server.sessions.map((session) => session.messages)).toEqual(messages);
});

describe('smtp_reply_filter', () => {
  it('replaces lines before they are parsed', async () => {
    const { result, server } = await talk(
      ['S: 220 x', 'C: EHLO*', 'S: 250-x', 'S: 250-SIZE 1', 'S: 250 PIPELINING', ...refused],
      {
        config: {
          smtp_reply_filter:
            'inline:{ {250-SIZE 1=250-SIZE 1000}, {250 PIPELINING=250 DSN}, {550 no=450 not yet} }',
        },
      },
    );
    expect(result.verdicts).toEqual([
      `deferred 4.0.0 host ${name} said: 450 not yet (in reply to MAIL FROM command)`,
    ]);
    expect(result.remarks).toContain(
      `Q1: ${name}:${server.port}: replacing server reply "550 no" with "450 not yet"`,
    );
  });

  it('that cannot be asked: nothing is believed', async () => {
    const { result } = await talk(['S: 220 x', 'eof'], {
      config: { smtp_reply_filter: 'texthash:/nonexistent/map' },
    });
    expect(result.verdicts).toEqual([`deferred 4.3.0 local data error while talking to ${name}`]);
  });

  it('keeps a reply that came with the end of the connection', async () => {
    const { result } = await talk(['S: 220 x', 'C: EHLO*', 'S: 250 x', 'C: MAIL*', 'S: 550 no', 'close'], {
      config: { smtp_reply_filter: 'inline:{ {550 no=451 wait} }' },
    });
    expect(result.verdicts[0]).toMatch(/^deferred 4\.0\.0 host .* said: 451 wait/);
  });

  it('lmtp_reply_filter', async () => {
    const server = await start({ protocol: 'lmtp', hooks: { mail: '550 no' } });
    const { verdicts } = await deliver({
      protocol: 'lmtp',
      servers: [server],
      config: {
        lmtp_reply_filter: 'inline:{ {550 no=451 wait} }',
        smtp_reply_filter: 'texthash:/nonexistent/map',
      },
    });
    expect(verdicts[0]).toMatch(/^deferred 4\.0\.0 /);
  });
});

describe('smtp_delivery_status_filter', () => {
  const text = `host ${name} said: 450 4.2.0 full (in reply to MAIL FROM command)`;
  const key = `4.2.0 ${text}`;
  it.each<[string, Record<string, string>, string]>([
    ['none', {}, `deferred 4.2.0 ${text}`],
    ['hard', { smtp_delivery_status_filter: `inline:{ {${key}=5.2.9 gone} }` }, 'bounced 5.2.9 gone'],
    ['default', { default_delivery_status_filter: `inline:{ {${key}=4.9.9 x} }` }, 'deferred 4.9.9 x'],
    ['no success', { smtp_delivery_status_filter: `inline:{ {${key}=2.0.0 ok} }` }, `deferred 4.2.0 ${text}`],
    ['no status', { smtp_delivery_status_filter: `inline:{ {${key}=never} }` }, `deferred 4.2.0 ${text}`],
    ['trouble', { smtp_delivery_status_filter: 'texthash:/nonexistent/map' }, `deferred 4.2.0 ${text}`],
  ])('%s', async (_, config, verdict) => {
    const server = await start({ hooks: { mail: '450 4.2.0 full' } });
    const { verdicts } = await deliver({ servers: [server], config });
    expect(verdicts).toEqual([verdict]);
  });

  it('changes the text of a success, and takes the throttle from a failure that became final', async () => {
    const server = await start({ hooks: { dot: '250 2.0.0 fine' } });
    const filter = { smtp_delivery_status_filter: 'inline:{ {2.0.0 250 2.0.0 fine=2.1.1 done} }' };
    expect((await deliver({ servers: [server], config: filter })).verdicts).toEqual(['delivered 2.1.1 done']);
    const shut = await start({ hooks: { greeting: '450 no' } });
    const plain = await deliver({ servers: [shut] });
    expect(plain.results[0]?.hopStatus).toBeDefined();
    const config = { smtp_delivery_status_filter: `inline:{ {${plain.verdicts[0]?.slice(9)}=5.0.1 away} }` };
    const { results, verdicts } = await deliver({ servers: [shut], config });
    expect(verdicts).toEqual(['bounced 5.0.1 away']);
    expect(results[0]?.hopStatus).toBeUndefined();
  });
});

describe('best_mx_transport', () => {
  const looped = {
    findHosts: async () =>
      ({ kind: 'failed', status: '5.4.6', reason: 'mail for example.com loops back to myself' }) as const,
    requests: [['a@example.com', 'b@example.com']],
  };
  const lmtpTo = (server: SmtpServer, seen: string[]) => (transport: string) =>
    transport === 'lmtp'
      ? createDeliveryAgent({
          config: makeConfig({ myhostname: 'client.test' }),
          transport,
          protocol: 'lmtp',
          findHosts: async (destination) => {
            seen.push(destination);
            return { kind: 'found', hosts: hostsOf([server]), finalNexthop: true };
          },
        })
      : undefined;

  it('empty: mail that loops bounces', async () => {
    const { verdicts } = await deliver(looped);
    expect(verdicts).toEqual(Array(2).fill('bounced 5.4.6 mail for example.com loops back to myself'));
  });

  it.each([
    ['lmtp', 'example.com'],
    ['lmtp:inet:inside.test', 'inside.test'],
  ])('%s: delivers to each recipient', async (value, destination) => {
    const server = await start({
      protocol: 'lmtp',
      hooks: { rcpt: ({ recipient }) => (recipient?.startsWith('b') ? '550 5.1.1 no' : undefined) },
    });
    const seen: string[] = [];
    const { outcomes, remarks, dots } = await deliver({
      ...looped,
      config: { best_mx_transport: value },
      agentFor: lmtpTo(server, seen),
    });
    expect(outcomes.map(({ recipient, kind, relay }) => [recipient, kind, relay])).toEqual([
      [0, 'delivered', `${name}:${server.port}`],
      [1, 'bounced', `${name}:${server.port}`],
    ]);
    expect(seen).toEqual([destination, destination]);
    expect(dots).toEqual([[0]]);
    expect(remarks).toEqual([
      'Q1: passing <a@example.com> to transport=lmtp',
      'Q1: passing <b@example.com> to transport=lmtp',
    ]);
  });

  it('that does not exist defers', async () => {
    const { verdicts } = await deliver({ ...looped, config: { best_mx_transport: 'nowhere' } });
    expect(verdicts).toEqual(Array(2).fill('deferred 4.3.0 mail transport unavailable'));
  });
});

it('port 465 without wrapper mode is worth a hint', async () => {
  const hosts = hostsOf([{ host: '127.0.0.1', port: 465 }]);
  const findHosts = async () => ({ kind: 'found', hosts, finalNexthop: true }) as const;
  const { remarks } = await deliver({ findHosts, requests: [['a@example.com'], ['b@example.com']] });
  expect(remarks.filter((text) => text.includes('wrappermode'))).toEqual([
    'SMTPS wrappermode (TCP port 465) requires setting "smtp_tls_wrappermode = yes", and "smtp_tls_security_level = encrypt" (or stronger)',
  ]);
});

describe('a content that leaves slowly but steadily', () => {
  /** Takes nothing for 300 ms at a time. */
  const lazyServer = () =>
    createServer((socket) => {
      socket.setEncoding('latin1').write('220 x\r\n');
      let input = '';
      let inContent = false;
      socket.on('error', () => undefined);
      socket.on('data', (chunk: string) => {
        input = inContent ? (input + chunk).slice(-8) : input + chunk;
        if (inContent) {
          if (input.includes('\r\n.\r\n')) socket.write('250 taken\r\n');
          socket.pause();
          setTimeout(() => socket.resume(), 8);
          return;
        }
        for (let end = input.indexOf('\n'); end >= 0; end = input.indexOf('\n')) {
          const line = input.slice(0, end).trim();
          input = input.slice(end + 1);
          inContent = line === 'DATA';
          socket.write(inContent ? '354 go\r\n' : '250 ok\r\n');
        }
      });
    });

  it.each<[string, Record<string, string>, RegExp]>([
    ['each write has its own time by default', {}, /^delivered/],
    ['smtp_min_data_rate gives time back', { smtp_per_request_deadline: 'yes' }, /^delivered/],
    [
      'or not enough of it',
      { smtp_per_request_deadline: 'yes', smtp_min_data_rate: '2000000000' },
      /^deferred 4\.4\.2 conversation with .* timed out while sending message body$/,
    ],
  ])('%s', async (_, config, verdict) => {
    const server = lazyServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = address === null || typeof address === 'string' ? 0 : address.port;
    const { verdicts } = await deliver({
      servers: [{ host: '127.0.0.1', port }],
      config: { smtp_data_xfer_timeout: '1s', ...config },
      content: Buffer.alloc(24 * 1024 * 1024, 'x'.repeat(76).concat('\r\n')),
    });
    expect(verdicts).toEqual([expect.stringMatching(verdict)]);
    server.close();
  });
});
