import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { decode, encode } from 'dns-packet';
import { afterEach, expect, test } from 'vitest';
import { type DnsServer, type DnsZones, startDnsServer } from './dns-server.ts';

let server: DnsServer | undefined;
afterEach(async () => {
  await server?.close();
});

async function start(zones: DnsZones): Promise<{ dns: DnsServer; resolver: Resolver }> {
  const dns = await startDnsServer({ zones });
  server = dns;
  const resolver = new Resolver({ timeout: 100, tries: 1 });
  resolver.setServers([dns.address]);
  return { dns, resolver };
}

test('answers records, aliases and wildcards', async () => {
  const { resolver, dns } = await start({
    'a.test': { MX: ['20 m2.test', '10 m1.test'], A: '127.0.0.9' },
    'alias.test': { CNAME: 'a.test' },
    '*.wild.test': { TXT: 'wild' },
    'dane.test': { SRV: '1 2 25 host.test' },
  });
  expect(await resolver.resolveMx('alias.test')).toHaveLength(2);
  expect(await resolver.resolve4('a.test')).toEqual(['127.0.0.9']);
  expect(await resolver.resolveTxt('x.wild.test')).toEqual([['wild']]);
  expect(await resolver.resolveSrv('dane.test')).toMatchObject([
    { priority: 1, weight: 2, port: 25, name: 'host.test' },
  ]);
  expect(dns.queries[0]).toMatchObject({ name: 'alias.test', type: 'MX', over: 'udp' });
});

test.each([
  ['NXDOMAIN', 'ENOTFOUND'],
  ['NODATA', 'ENODATA'],
  ['SERVFAIL', 'ESERVFAIL'],
  ['REFUSED', 'EREFUSED'],
  ['FORMERR', 'EFORMERR'],
  ['TIMEOUT', 'ETIMEOUT'],
] as const)('plays %s', async (behaviour, code) => {
  const { resolver } = await start({ 'a.test': { A: behaviour } });
  await expect(resolver.resolve4('a.test')).rejects.toMatchObject({ code });
});

test('truncates over UDP and answers over TCP', async () => {
  const { resolver, dns } = await start({ 'a.test': { A: { records: ['127.0.0.1'], truncate: true } } });
  expect(await resolver.resolve4('a.test')).toEqual(['127.0.0.1']);
  expect(dns.queries.map((query) => query.over)).toEqual(['udp', 'tcp']);
});

test('sets the AD bit and writes TLSA records', async () => {
  const { dns } = await start({ '_25._tcp.a.test': { TLSA: { records: ['3 1 1 abcd'], ad: true } } });
  const socket = createSocket('udp4');
  const reply = new Promise<Buffer>((resolve) => socket.once('message', resolve));
  socket.send(
    encode({ id: 7, type: 'query', questions: [{ type: 'TLSA', name: '_25._tcp.a.test' }] }),
    dns.port,
    dns.host,
  );
  const packet = decode(await reply);
  socket.close();
  expect(packet).toMatchObject({ id: 7, flag_ad: true });
  expect(packet.answers?.[0]).toMatchObject({ data: { usage: 3, certificate: Buffer.from('abcd', 'hex') } });
});

test('changes while it runs', async () => {
  const { resolver, dns } = await start({});
  dns.set('b.test', { A: '127.0.0.2' });
  expect(await resolver.resolve4('b.test')).toEqual(['127.0.0.2']);
  dns.delete('b.test');
  await expect(resolver.resolve4('b.test')).rejects.toMatchObject({ code: 'ENOTFOUND' });
});
