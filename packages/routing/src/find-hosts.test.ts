import { makeConfig } from '@mailfleet/config';
import { type DnsServer, type DnsZones, startDnsServer } from '@mailfleet/test-kit';
import { afterEach, describe, expect, test } from 'vitest';
import { findHosts } from './find-hosts.ts';
import {
  type HostSearch,
  type HostsResult,
  readDestinationSyntax,
  readHostSearchSettings,
} from './host-search.ts';
import { parseDestination } from './nexthop.ts';
import { createResolver } from './resolver.ts';

let dns: DnsServer | undefined;
afterEach(async () => {
  await dns?.close();
});

const A = (name: string): string =>
  `Host or domain name not found. Name service error for name=${name} type=A: `;

interface Setting {
  readonly zones?: DnsZones;
  readonly config?: Record<string, string>;
  readonly protocol?: 'smtp' | 'lmtp';
  readonly search?: Partial<HostSearch>;
}

/** Looks for a destination with a real name server; 127.0.0.9 is an own address, and the shuffle leaves the order. */
async function find(
  text: string,
  setting: Setting = {},
): Promise<HostsResult & { warnings: readonly string[]; notes: readonly string[] }> {
  const { protocol = 'smtp' } = setting;
  const config = makeConfig({ inet_protocols: 'ipv4', ...setting.config });
  await dns?.close();
  dns = await startDnsServer({ zones: setting.zones ?? {} });
  const warnings: string[] = [];
  const notes: string[] = [];
  const parsed = parseDestination(text, readDestinationSyntax(config, protocol));
  if (!parsed.ok) throw new Error(parsed.reason);
  const result = await findHosts(parsed.destination, {
    settings: readHostSearchSettings(config, protocol),
    resolver: createResolver({ servers: [dns.address], timeoutMs: 50 }),
    ownAddresses: new Set(['127.0.0.9']),
    random: () => 0.999_999,
    warn: (sentence) => warnings.push(sentence),
    note: (sentence) => notes.push(sentence),
    ...setting.search,
  });
  return { ...result, warnings, notes };
}

function hosts(result: HostsResult): string[] {
  return result.kind === 'found'
    ? result.hosts.map((item) => `${item.host}[${item.address}]:${item.port}`)
    : [result.reason];
}

describe('outcomes of lookups', () => {
  const m1 = { MX: ['10 m1.t', '20 m2.t'] };
  test.each<[string, string, DnsZones, string, string]>([
    ['no domain', 'd.t', {}, '5.4.4', `${A('d.t')}Host not found`],
    [
      'no MX and no address',
      'd.t',
      { 'd.t': {} },
      '5.4.4',
      `${A('d.t')}Host found but no data record of requested type`,
    ],
    ['null MX', 'd.t', { 'd.t': { MX: '0 .' } }, '5.1.0', 'Domain d.t does not accept mail (nullMX)'],
    [
      'MX SERVFAIL',
      'd.t',
      { 'd.t': 'SERVFAIL' },
      '4.4.3',
      `${A('d.t').replace('=A', '=MX')}Host not found, try again`,
    ],
    [
      'MX FORMERR',
      'd.t',
      { 'd.t': 'FORMERR' },
      '5.4.3',
      `${A('d.t').replace('=A', '=MX')}Non-recoverable error`,
    ],
    [
      'all MX names invalid',
      'd.t',
      { 'd.t': { MX: '10 -bad.t' } },
      '5.4.4',
      'Name service error for name=d.t type=MX: Malformed or unexpected name server reply',
    ],
    ['MX hosts all missing', 'd.t', { 'd.t': m1 }, '5.4.4', `${A('m2.t')}Host not found`],
    [
      'SERVFAIL, then a missing host',
      'd.t',
      { 'd.t': m1, 'm1.t': 'SERVFAIL' },
      '4.4.4',
      `${A('m2.t')}Host not found`,
    ],
    [
      'a missing host, then SERVFAIL',
      'd.t',
      { 'd.t': m1, 'm2.t': 'SERVFAIL' },
      '4.4.3',
      `${A('m2.t')}Host not found, try again`,
    ],
    [
      'self is the best MX',
      'd.t',
      { 'd.t': m1, 'm1.t': { A: '127.0.0.9' }, 'm2.t': { A: '127.0.0.2' } },
      '5.4.6',
      'mail for d.t loops back to myself',
    ],
    [
      'self is the only address',
      '[m1.t]',
      { 'm1.t': { A: '127.0.0.9' } },
      '5.4.6',
      'mail for m1.t loops back to myself',
    ],
    ['self as an address', '[127.0.0.9]', {}, '5.4.6', 'mail for 127.0.0.9 loops back to myself'],
    [
      'self is the best resolvable MX',
      'd.t',
      { 'd.t': m1, 'm2.t': { A: '127.0.0.9' } },
      '4.4.4',
      'unable to find primary relay for d.t',
    ],
    [
      'an IPv6 address while IPv6 is off',
      '[fd00::1]',
      {},
      '5.4.4',
      'Name service error for fd00::1: invalid host or domain name',
    ],
  ])('%s', async (_, destination, zones, status, reason) => {
    const loops = reason.includes('loops') || reason.includes('primary');
    expect(await find(destination, { zones })).toMatchObject({
      kind: 'failed',
      status,
      reason,
      finalNexthop: loops,
    });
  });

  test('all MX hosts without addresses is worth a warning, and a deferral if so configured', async () => {
    const zones = { 'd.t': { MX: '10 m1.t' } };
    const result = await find('d.t', { zones, config: { smtp_defer_if_no_mx_address_found: 'yes' } });
    expect(result).toMatchObject({ status: '4.4.4', reason: `${A('m1.t')}Host not found` });
    expect(result.warnings).toEqual(['no MX host for d.t has a valid address record']);
  });

  test('DNS disabled and an unknown name', async () => {
    const result = await find('d.t', {
      config: { disable_dns_lookups: 'yes' },
      search: {
        lookupNative: () => Promise.reject(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' })),
      },
    });
    expect(result).toMatchObject({
      status: '5.4.4',
      reason: 'unable to look up host d.t: Name or service not known',
    });
    expect(dns?.queries).toEqual([]);
  });
});

describe('which lookup follows', () => {
  const zones = {
    'd.t': { MX: ['20 m2.t', '10 m1.t'], A: '127.0.0.5' },
    'm1.t': { A: '127.0.0.1' },
    'm2.t': { A: '127.0.0.2' },
  };
  test.each([
    ['d.t', 'smtp', ['m1.t[127.0.0.1]:25', 'm2.t[127.0.0.2]:25']],
    ['d.t:26', 'smtp', ['m1.t[127.0.0.1]:26', 'm2.t[127.0.0.2]:26']],
    ['[d.t]', 'smtp', ['d.t[127.0.0.5]:25']],
    ['d.t', 'lmtp', ['d.t[127.0.0.5]:24']],
    ['m1.t', 'smtp', ['m1.t[127.0.0.1]:25']],
  ] as const)('%s over %s', async (destination, protocol, expected) => {
    expect(hosts(await find(destination, { zones, protocol }))).toEqual(expected);
  });

  test.each(['[127.0.0.4]', '127.0.0.4', '[ipv6:::1]:26'])('%s sends no query', async (destination) => {
    const result = await find(destination, { config: { inet_protocols: 'all' } });
    expect(result).toMatchObject({ kind: 'found', bestPreference: 0, finalNexthop: false });
    expect(dns?.queries).toEqual([]);
  });

  test('errors of the MX lookup can be ignored, a null MX not', async () => {
    const config = { ignore_mx_lookup_error: 'yes' };
    const broken = { 'd.t': { MX: 'SERVFAIL', A: '127.0.0.5' } } as const;
    expect(hosts(await find('d.t', { zones: broken, config }))).toEqual(['d.t[127.0.0.5]:25']);
    const none = { 'd.t': { MX: '0 .', A: '127.0.0.5' } };
    expect(await find('d.t', { zones: none, config })).toMatchObject({ status: '5.1.0' });
  });

  test('native lookup comes after DNS, and only for names that DNS does not know', async () => {
    const config = { smtp_host_lookup: 'native, dns' };
    const search = { lookupNative: () => Promise.resolve([{ address: '127.0.0.6', family: 4 }]) };
    expect(hosts(await find('[m1.t]', { zones, config, search }))).toEqual(['m1.t[127.0.0.1]:25']);
    expect(hosts(await find('[x.t]', { zones, config, search }))).toEqual(['x.t[127.0.0.6]:25']);
    const trouble = { 'x.t': 'SERVFAIL' } as const;
    expect(await find('[x.t]', { zones: trouble, config, search })).toMatchObject({ status: '4.4.3' });
  });

  test.each([
    ['EAI_AGAIN', '4.4.4'],
    ['EAI_MEMORY', '4.3.0'],
    ['EAI_SERVICE', '5.3.0'],
  ])('native failure %s', async (code, status) => {
    const lookupNative = () => Promise.reject(Object.assign(new Error('words'), { code }));
    const config = { smtp_host_lookup: 'native' };
    expect(await find('[x.t]', { config, search: { lookupNative } })).toMatchObject({
      kind: 'failed',
      status,
    });
  });

  test('only addresses of a family that is off', async () => {
    const lookupNative = () => Promise.resolve([{ address: '::1', family: 6 }]);
    const result = await find('[x.t]', { config: { smtp_host_lookup: 'native' }, search: { lookupNative } });
    expect(result).toMatchObject({ status: '5.4.4', reason: 'x.t: host not found' });
  });

  test('A and AAAA results are joined; one family suffices', async () => {
    const config = { inet_protocols: 'all' };
    const both = { 'h.t': { A: '127.0.0.1', AAAA: '::2' } };
    expect(hosts(await find('[h.t]:26', { zones: both, config }))).toEqual([
      'h.t[127.0.0.1]:26',
      'h.t[::2]:26',
    ]);
    const one = { 'h.t': { A: 'SERVFAIL', AAAA: '::2' } } as const;
    expect(hosts(await find('[h.t]:26', { zones: one, config }))).toEqual(['h.t[::2]:26']);
    const mixed = { 'h.t': { A: 'SERVFAIL', AAAA: 'NXDOMAIN' } } as const;
    expect(await find('[h.t]:26', { zones: mixed, config })).toMatchObject({
      status: '4.4.3',
      reason: `${A('h.t')}Host not found, try again`,
    });
  });

  test('an alias keeps its name unless the canonical one is asked for', async () => {
    const alias = { 'a.t': { CNAME: 'm1.t' }, 'm1.t': { A: '127.0.0.1' } };
    expect(hosts(await find('[a.t]', { zones: alias }))).toEqual(['a.t[127.0.0.1]:25']);
    const config = { smtp_cname_overrides_servername: 'yes' };
    expect(hosts(await find('[a.t]', { zones: alias, config }))).toEqual(['m1.t[127.0.0.1]:25']);
  });
});

describe('loop detection', () => {
  const zones = {
    'd.t': { MX: ['10 m1.t', '20 m2.t', '20 m3.t', '30 m4.t'] },
    'm1.t': { A: '127.0.0.1' },
    'm2.t': { A: '127.0.0.2' },
    'm3.t': { A: '127.0.0.9' },
    'm4.t': { A: '127.0.0.4' },
  };
  test('hosts of the same or a worse preference are left out', async () => {
    const result = await find('d.t', { zones });
    expect(hosts(result)).toEqual(['m1.t[127.0.0.1]:25']);
    expect(result).toMatchObject({ finalNexthop: true, bestPreference: 10 });
  });

  test('another port, or LMTP, does not loop', async () => {
    expect(await find('d.t:26', { zones })).toMatchObject({ kind: 'found', finalNexthop: false });
    expect(await find('[m3.t]:25', { zones, protocol: 'lmtp' })).toMatchObject({ kind: 'found' });
  });

  test('an own address in another spelling', async () => {
    const config = { inet_protocols: 'all' };
    expect(await find('[::ffff:127.0.0.9]', { config })).toMatchObject({ status: '5.4.6' });
  });
});

describe('SRV', () => {
  const config = { use_srv_lookup: 'submission' };
  test('gives hosts and ports in order of priority', async () => {
    const zones = {
      '_submission._tcp.d.t': { SRV: ['20 0 100 h2.t', '10 0 200 h1.t'] },
      'h1.t': { A: '127.0.0.1' },
      'h2.t': { A: '127.0.0.2' },
    };
    const result = await find('d.t:submission', { zones, config });
    expect(hosts(result)).toEqual(['h1.t[127.0.0.1]:200', 'h2.t[127.0.0.2]:100']);
    expect(await find('[d.t]:submission', { zones, config })).toMatchObject({
      kind: 'failed',
      status: '5.4.4',
    });
  });

  test('a root target, and a fall back to MX', async () => {
    const zones = {
      '_submission._tcp.d.t': { SRV: '0 0 0 .' },
      'd.t': { MX: '1 m1.t' },
      'm1.t': { A: '127.0.0.1' },
    };
    const reason = 'Domain _submission._tcp.d.t does not support SRV requests';
    expect(await find('d.t:submission', { zones, config })).toMatchObject({ status: '5.1.0', reason });
    const fallback = await find('d.t:submission', {
      zones,
      config: { ...config, allow_srv_lookup_fallback: 'yes' },
    });
    expect(hosts(fallback)).toEqual(['m1.t[127.0.0.1]:587']);
    expect(fallback.notes).toEqual([`skipping SRV lookup for _submission._tcp.d.t: ${reason}`]);
  });
});
