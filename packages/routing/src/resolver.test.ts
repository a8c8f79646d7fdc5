import { type DnsServer, type DnsZones, startDnsServer } from '@mailfleet/test-kit';
import { decode, encode } from 'dns-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { createResolver, parseNameServer, parseResolvConf, type Resolver } from './resolver.ts';

const servers: DnsServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function start(
  zones: DnsZones,
  options: { now?: () => number; cacheSize?: number } = {},
): Promise<{ dns: DnsServer; resolver: Resolver }> {
  const dns = await startDnsServer({ zones });
  servers.push(dns);
  return {
    dns,
    resolver: createResolver({ servers: [dns.address], timeoutMs: 60, attempts: 2, ...options }),
  };
}

const NSE = 'Host or domain name not found. Name service error for name=a.test type=MX: ';
const MALFORMED = 'Name service error for name=a.test type=MX: Malformed or unexpected name server reply';

describe('classes and texts', () => {
  test.each([
    ['NXDOMAIN', 'notfound', `${NSE}Host not found`],
    ['NODATA', 'notfound', `${NSE}Host found but no data record of requested type`],
    ['SERVFAIL', 'retry', `${NSE}Host not found, try again`],
    ['REFUSED', 'retry', `${NSE}Host not found, try again`],
    ['TIMEOUT', 'retry', `${NSE}Host not found, try again`],
    ['FORMERR', 'fail', `${NSE}Non-recoverable error`],
    ['0 .', 'null', 'Domain a.test does not accept mail (nullMX)'],
    [['10 m1.test', '0 .'], 'null', 'Domain a.test does not accept mail (nullMX)'],
    [['10 -bad.test', '20 bad-.test'], 'invalid', MALFORMED],
  ] as const)('%s', async (entry, kind, reason) => {
    const { resolver } = await start({ 'a.test': { MX: entry } });
    expect(await resolver.lookup('a.test', 'MX')).toMatchObject({ kind, reason });
  });

  test.each(['-bad.test', '127.0.0.1', 'a..test', '', 'fd00::1', '*'])('no query for %j', async (name) => {
    const { resolver, dns } = await start({});
    expect(await resolver.lookup(name, 'A')).toMatchObject({
      kind: 'notfound',
      reason: `Name service error for ${name}: invalid host or domain name`,
    });
    expect(dns.queries).toEqual([]);
  });

  test('no server at all', async () => {
    const { resolver, dns } = await start({});
    await dns.close();
    servers.length = 0;
    expect(await resolver.lookup('a.test', 'MX')).toMatchObject({ kind: 'retry' });
  });

  test('an owner name that no host can have spoils the whole answer', async () => {
    const mx = { type: 'MX', ttl: 5, data: { preference: 1, exchange: 'm.test' } } as const;
    const answers = [
      { ...mx, name: 'a.test' },
      { ...mx, name: '-x.test' },
    ] as const;
    const { resolver } = await start({ 'a.test': { MX: { answers } } });
    expect(await resolver.lookup('a.test', 'MX')).toMatchObject({ kind: 'invalid', reason: MALFORMED });
  });

  test('a record of the wrong length or class is malformed', async () => {
    let spoil = (packet: Buffer): Buffer => packet;
    const { resolver } = await start({
      'a.test': {
        A: {
          respond: (query) =>
            spoil(
              encode({
                type: 'response',
                id: query.id,
                questions: query.questions,
                answers: [{ type: 'A', name: 'a.test', ttl: 0, data: '127.0.0.1' }],
              }),
            ),
        },
      },
    });
    expect(await resolver.lookup('a.test', 'A')).toMatchObject({ kind: 'ok', records: ['127.0.0.1'] });
    const wrong = { kind: 'retry', reason: MALFORMED.replace('MX', 'A') };
    spoil = (packet) => {
      packet.writeUInt16BE(3, packet.length - 6);
      return packet.subarray(0, -1);
    };
    expect(await resolver.lookup('a.test', 'A')).toMatchObject(wrong);
    spoil = (packet) => {
      packet.writeUInt16BE(3, packet.length - 12);
      return packet;
    };
    expect(await resolver.lookup('a.test', 'A')).toMatchObject(wrong);
  });
});

describe('records', () => {
  test('of all types', async () => {
    const { resolver } = await start({
      'a.test': { A: '127.0.0.1', AAAA: '::1', MX: '10 m1.test', TXT: 'v=1' },
      '_smtp._tcp.a.test': { SRV: '1 2 2525 h.test' },
      '_25._tcp.a.test': { TLSA: { records: ['3 1 1 ab'], ad: true } },
    });
    const records = async (
      name: string,
      type: 'A' | 'AAAA' | 'MX' | 'TXT' | 'SRV' | 'TLSA',
    ): Promise<unknown> => {
      const result = await resolver.lookup(name, type);
      return result.kind === 'ok' ? result.records[0] : result;
    };
    expect(await records('a.test', 'A')).toBe('127.0.0.1');
    expect(await records('a.test', 'AAAA')).toBe('::1');
    expect(await records('a.test', 'MX')).toEqual({ preference: 10, exchange: 'm1.test' });
    expect(await records('a.test', 'TXT')).toBe('v=1');
    expect(await records('_smtp._tcp.a.test', 'SRV')).toEqual({
      priority: 1,
      weight: 2,
      port: 2525,
      target: 'h.test',
    });
    expect(await records('_25._tcp.a.test', 'TLSA')).toMatchObject({
      usage: 3,
      selector: 1,
      matchingType: 1,
    });
    expect(await resolver.lookup('_25._tcp.a.test', 'TLSA', { dnssec: true })).toMatchObject({
      validated: true,
    });
    expect(await resolver.lookup('_25._tcp.a.test', 'TLSA')).toMatchObject({ validated: false });
    expect(await resolver.lookup('a.test', 'A', { dnssec: true })).toMatchObject({ validated: false });
  });

  test('one invalid MX target is left out, a numeric one is used, each with a warning', async () => {
    const { resolver } = await start({ 'a.test': { MX: ['10 -bad.test', '20 127.0.0.7', '30 ok.test'] } });
    expect(await resolver.lookup('a.test', 'MX')).toMatchObject({
      kind: 'ok',
      records: [{ exchange: '127.0.0.7' }, { exchange: 'ok.test' }],
      warnings: [
        'malformed domain name in resource data of MX record for a.test: -bad.test',
        'numeric domain name in resource data of MX record for a.test: 127.0.0.7',
      ],
    });
  });

  test('at most 100', async () => {
    const records = Array.from({ length: 120 }, (_, i) => `127.0.1.${i}`);
    const { resolver, dns } = await start({ 'a.test': { A: records } });
    const result = await resolver.lookup('a.test', 'A');
    expect(result).toMatchObject({ kind: 'ok', warnings: [expect.stringContaining('more than 100')] });
    expect(result.kind === 'ok' && result.records).toEqual(records.slice(0, 100));
    expect(dns.queries.map((query) => query.over)).toEqual(['udp', 'tcp']);
  });

  test('of a non-ASCII name', async () => {
    const { resolver, dns } = await start({ 'xn--bcher-kva.example': { A: '127.0.0.1' } });
    expect(await resolver.lookup('bücher.example', 'A')).toMatchObject({ kind: 'ok' });
    expect(dns.queries[0]?.name).toBe('xn--bcher-kva.example');
  });
});

describe('aliases', () => {
  test('are followed for MX, in one answer or in several', async () => {
    const { resolver, dns } = await start({
      'a.test': { MX: { answers: [{ type: 'CNAME', name: 'a.test', ttl: 9, data: 'b.test' }] } },
      'b.test': { CNAME: 'c.test' },
      'c.test': { MX: { records: ['10 m.test'], ad: true } },
    });
    expect(await resolver.lookup('a.test', 'MX')).toMatchObject({
      kind: 'ok',
      canonicalName: 'c.test',
      // The first answer was not validated.
      validated: false,
    });
    expect(dns.queries.map((query) => query.name)).toEqual(['a.test', 'b.test']);
  });

  test('in a circle end after ten queries', async () => {
    const { resolver, dns } = await start({ 'a.test': { CNAME: 'b.test' }, 'b.test': { CNAME: 'a.test' } });
    const alias = (name: string, data: string) =>
      ({ MX: { answers: [{ type: 'CNAME', name, ttl: 0, data }] } }) as const;
    dns.set('a.test', alias('a.test', 'b.test'));
    dns.set('b.test', alias('b.test', 'a.test'));
    expect(await resolver.lookup('a.test', 'MX')).toMatchObject({
      kind: 'notfound',
      reason: 'Name server loop for a.test',
      warnings: ['dns_lookup: Name server loop for a.test'],
    });
    expect(dns.queries).toHaveLength(10);
  });

  test('to a missing name report that name', async () => {
    const { resolver } = await start({
      'a.test': { A: { answers: [{ type: 'CNAME', name: 'a.test', data: 'gone.test' }] } },
    });
    expect(await resolver.lookup('a.test', 'A')).toMatchObject({
      kind: 'notfound',
      reason: expect.stringContaining('name=gone.test type=A: Host not found'),
    });
  });
});

describe('on the wire', () => {
  test('a lost packet is asked for again', async () => {
    const { resolver, dns } = await start({ 'a.test': { A: { records: ['127.0.0.1'], dropFirst: 1 } } });
    expect(await resolver.lookup('a.test', 'A')).toMatchObject({ kind: 'ok' });
    expect(dns.queries).toHaveLength(2);
    expect(dns.queries[0]?.id).not.toBe(dns.queries[1]?.id);
    expect(dns.queries[0]).toMatchObject({ udpPayloadSize: 1232, flags: { rd: true, ad: true } });
  });

  test('a server in trouble is passed over for the next', async () => {
    const { dns: bad } = await start({ 'a.test': 'REFUSED' });
    const { dns: good } = await start({ 'a.test': { A: '127.0.0.1' } });
    const resolver = createResolver({ servers: [bad.address, good.address], timeoutMs: 60 });
    expect(await resolver.lookup('a.test', 'A')).toMatchObject({ kind: 'ok' });
  });

  test('a server without EDNS is asked without it', async () => {
    const { resolver, dns } = await start({
      'a.test': {
        A: {
          respond: (query) =>
            encode({
              type: 'response',
              id: query.id,
              questions: query.questions,
              ...(query.additionals?.length === 0
                ? { answers: [{ type: 'A', name: 'a.test', data: '127.0.0.1' }] }
                : { flags: 1 }),
            }),
        },
      },
    });
    expect(await resolver.lookup('a.test', 'A')).toMatchObject({ kind: 'ok' });
    expect(dns.queries.map((query) => query.udpPayloadSize)).toEqual([1232, undefined]);
  });

  test('answers with another id or question are not believed', async () => {
    for (const change of [
      (packet: Buffer) => packet.writeUInt16BE((packet.readUInt16BE(0) + 1) & 0xffff, 0),
      (packet: Buffer) => packet.write('b', 13),
    ]) {
      const { resolver } = await start({
        'a.test': {
          A: {
            respond: (query) => {
              const packet = encode({
                type: 'response',
                id: query.id,
                questions: query.questions,
                answers: [{ type: 'A', name: 'a.test', data: '127.0.0.1' }],
              });
              change(packet);
              decode(packet);
              return packet;
            },
          },
        },
      });
      expect(await resolver.lookup('a.test', 'A')).toMatchObject({ kind: 'retry' });
    }
  });
});

describe('the cache', () => {
  test('keeps answers for their TTL', async () => {
    let now = 0;
    const { resolver, dns } = await start(
      {
        'a.test': { A: { records: ['127.0.0.1'], ttl: 30 } },
        'b.test': { A: { records: ['127.0.0.1'], ttl: 0 } },
      },
      { now: () => now },
    );
    await resolver.lookup('a.test', 'A');
    now = 29_999;
    await resolver.lookup('A.test', 'A');
    expect(dns.queries).toHaveLength(1);
    now = 30_000;
    await resolver.lookup('a.test', 'A');
    expect(dns.queries).toHaveLength(2);
    await resolver.lookup('b.test', 'A');
    await resolver.lookup('b.test', 'A');
    expect(dns.queries).toHaveLength(4);
  });

  test('asks once for many callers, and does not keep failures', async () => {
    const { resolver, dns } = await start({ 'a.test': { A: { behaviour: 'SERVFAIL' } } });
    await Promise.all(Array.from({ length: 20 }, () => resolver.lookup('a.test', 'A')));
    // Two rounds of one shared question.
    expect(dns.queries).toHaveLength(2);
    dns.set('a.test', { A: '127.0.0.1' });
    expect(await resolver.lookup('a.test', 'A')).toMatchObject({ kind: 'ok' });
  });

  test('holds a bounded number of records, however many an answer has', async () => {
    const many = (count: number) => ({ A: Array.from({ length: count }, (_, index) => `127.0.1.${index}`) });
    const { resolver, dns } = await start(
      { 'a.test': many(31), 'b.test': many(15), 'c.test': many(14), 'd.test': many(10) },
      { cacheSize: 3 },
    );
    const asked = async (...names: string[]): Promise<string[]> => {
      const before = dns.queries.length;
      for (const name of names) await resolver.lookup(name, 'A');
      return dns.queries.slice(before).map((query) => query.name);
    };
    expect(await asked('a.test', 'a.test'), 'too many for three answers').toEqual(['a.test', 'a.test']);
    expect(await asked('b.test', 'c.test', 'b.test')).toEqual(['b.test', 'c.test']);
    expect(await asked('d.test', 'b.test', 'd.test'), 'no room beside both').toEqual(['d.test']);
    expect(await asked('c.test')).toEqual(['c.test']);
  });

  test('forgets what was used least recently', async () => {
    const { resolver, dns } = await start({ '*.test': { A: '127.0.0.1' } }, { cacheSize: 2 });
    for (const name of ['a.test', 'b.test', 'a.test', 'c.test', 'a.test', 'b.test'])
      await resolver.lookup(name, 'A');
    expect(dns.queries.map((query) => query.name)).toEqual(['a.test', 'b.test', 'c.test', 'b.test']);
  });
});

test('name servers as text', () => {
  expect(parseNameServer('192.0.2.1')).toEqual({ host: '192.0.2.1', port: 53 });
  expect(parseNameServer('192.0.2.1:5353')).toEqual({ host: '192.0.2.1', port: 5353 });
  expect(parseNameServer('2001:db8::1')).toEqual({ host: '2001:db8::1', port: 53 });
  expect(parseNameServer('[2001:db8::1]:5353')).toEqual({ host: '2001:db8::1', port: 5353 });
  expect(
    parseResolvConf(
      '# x\nsearch a.b\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions ndots:2 timeout:3 attempts:4\n',
    ),
  ).toEqual({
    servers: [
      { host: '192.0.2.1', port: 53 },
      { host: '2001:db8::1', port: 53 },
    ],
    timeoutMs: 3000,
    attempts: 4,
    search: ['a.b'],
  });
  expect(parseResolvConf('search a.b\ndomain c.d\n').search).toEqual(['c.d']);
  expect(parseResolvConf('').servers).toEqual([{ host: '127.0.0.1', port: 53 }]);
});
