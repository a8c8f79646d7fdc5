/** What each parameter of DNS and host choice does, and what holds when main.cf says nothing of it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { type DnsQuery, type DnsZones, startDnsServer } from '@mailfleet/test-kit';
import { describe, expect, test } from 'vitest';
import { createHostFinder } from './host-finder.ts';
import { createResolver } from './resolver.ts';

interface Found {
  /** Addresses in order, or status and reason. */
  readonly result: string;
  readonly warnings: readonly string[];
  readonly notes: readonly string[];
  readonly queries: readonly DnsQuery[];
}

const SILENT_SHUFFLE = 0.999_999;

async function find(
  destination: string,
  zones: DnsZones,
  settings: Readonly<Record<string, string>> = {},
  options: { protocol?: 'smtp' | 'lmtp'; random?: number; resolvConf?: string } = {},
): Promise<Found> {
  const { protocol = 'smtp', random = SILENT_SHUFFLE, resolvConf } = options;
  await using dns = await startDnsServer({ zones });
  const warnings: string[] = [];
  const notes: string[] = [];
  const result = await createHostFinder({
    config: makeConfig({ inet_interfaces: '192.0.2.99', ...settings }),
    protocol,
    resolver: createResolver({
      servers: [dns.address],
      timeoutMs: 100,
      ...(resolvConf === undefined ? {} : { resolvConf }),
    }),
    random: () => random,
    warn: (sentence) => warnings.push(sentence),
    note: (sentence) => notes.push(sentence),
    lookupNative: async (name) => {
      if (name === 'hosts-file.t') return [{ address: '192.0.2.50', family: 4 }];
      throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
    },
  })(destination);
  return {
    result:
      result.kind === 'found'
        ? result.hosts.map((host) => `${host.host}[${host.address}]:${host.port}`).join(' ')
        : `${result.status} ${result.reason}`,
    warnings,
    notes,
    queries: dns.queries,
  };
}

const HOST: DnsZones = { 'h.t': { A: '192.0.2.1', AAAA: '2001:db8::1' } };
const BROKEN_MX: DnsZones = { 'd.t': { MX: 'SERVFAIL', A: '192.0.2.5' } };
const NO_HOSTS: DnsZones = { 'd.t': { MX: '10 gone.t' } };
const TWO_MX: DnsZones = {
  'd.t': { MX: ['10 m1.t', '20 m2.t'] },
  'm1.t': { A: '192.0.2.1' },
  'm2.t': { A: '192.0.2.2' },
};
const ALIAS: DnsZones = { 'a.t': { CNAME: 'real.t' }, 'real.t': { A: '192.0.2.1' } };
const THREE: DnsZones = { 'h.t': { A: ['192.0.2.1', '192.0.2.2', '192.0.2.3'] } };
const MANY: DnsZones = {
  'h.t': {
    A: ['192.0.2.1', '192.0.2.2', '192.0.2.3'],
    AAAA: ['2001:db8::1', '2001:db8::2', '2001:db8::3'],
  },
};
const SRV: DnsZones = {
  '_submission._tcp.d.t': { SRV: '10 0 2525 s.t' },
  's.t': { A: '192.0.2.7' },
  'd.t': { MX: '10 m1.t' },
  'm1.t': { A: '192.0.2.1' },
};
const NO_SRV: DnsZones = { ...SRV, '_submission._tcp.d.t': 'NXDOMAIN' };
const BROKEN_SRV: DnsZones = { ...SRV, '_submission._tcp.d.t': 'SERVFAIL' };
const NSE = 'Host or domain name not found. Name service error for name=';

describe('by default, and set', () => {
  test.each<
    [
      setting: string,
      value: string,
      destination: string,
      zones: DnsZones,
      byDefault: string,
      set: string,
      also?: Record<string, string>,
    ]
  >([
    ['inet_protocols', 'ipv4', '[h.t]', HOST, 'h.t[192.0.2.1]:25 h.t[2001:db8::1]:25', 'h.t[192.0.2.1]:25'],
    ['inet_protocols', 'ipv6', '[h.t]', HOST, 'h.t[192.0.2.1]:25 h.t[2001:db8::1]:25', 'h.t[2001:db8::1]:25'],
    [
      'ignore_mx_lookup_error',
      'yes',
      'd.t',
      BROKEN_MX,
      `4.4.3 ${NSE}d.t type=MX: Host not found, try again`,
      'd.t[192.0.2.5]:25',
    ],
    [
      'smtp_defer_if_no_mx_address_found',
      'yes',
      'd.t',
      NO_HOSTS,
      `5.4.4 ${NSE}gone.t type=AAAA: Host not found`,
      `4.4.4 ${NSE}gone.t type=AAAA: Host not found`,
    ],
    [
      'disable_dns_lookups',
      'yes',
      'd.t',
      TWO_MX,
      'm1.t[192.0.2.1]:25 m2.t[192.0.2.2]:25',
      '5.4.4 unable to look up host d.t: Name or service not known',
    ],
    [
      'smtp_dns_support_level',
      'disabled',
      'hosts-file.t',
      {},
      `5.4.4 ${NSE}hosts-file.t type=AAAA: Host not found`,
      'hosts-file.t[192.0.2.50]:25',
    ],
    [
      'smtp_dns_support_level',
      'enabled',
      'd.t',
      TWO_MX,
      '5.4.4 unable to look up host d.t: Name or service not known',
      'm1.t[192.0.2.1]:25 m2.t[192.0.2.2]:25',
      { disable_dns_lookups: 'yes' },
    ],
    [
      'smtp_host_lookup',
      'dns, native',
      '[hosts-file.t]',
      {},
      `5.4.4 ${NSE}hosts-file.t type=AAAA: Host not found`,
      'hosts-file.t[192.0.2.50]:25',
    ],
    [
      'smtp_host_lookup',
      'native',
      '[h.t]',
      HOST,
      'h.t[192.0.2.1]:25 h.t[2001:db8::1]:25',
      '5.4.4 unable to look up host h.t: Name or service not known',
    ],
    ['smtp_cname_overrides_servername', 'yes', '[a.t]', ALIAS, 'a.t[192.0.2.1]:25', 'real.t[192.0.2.1]:25'],
    [
      'smtp_address_preference',
      'ipv6',
      '[h.t]',
      HOST,
      'h.t[192.0.2.1]:25 h.t[2001:db8::1]:25',
      'h.t[2001:db8::1]:25 h.t[192.0.2.1]:25',
    ],
    [
      'smtp_balance_inet_protocols',
      'no',
      '[h.t]',
      MANY,
      'h.t[192.0.2.1]:25 h.t[2001:db8::1]:25',
      'h.t[192.0.2.1]:25 h.t[192.0.2.2]:25 h.t[192.0.2.3]:25 h.t[2001:db8::1]:25 h.t[2001:db8::2]:25 h.t[2001:db8::3]:25',
      { smtp_mx_address_limit: '2' },
    ],
    [
      'smtp_mx_address_limit',
      '1',
      '[h.t]',
      MANY,
      'h.t[192.0.2.1]:25 h.t[192.0.2.2]:25 h.t[192.0.2.3]:25 h.t[2001:db8::1]:25 h.t[2001:db8::2]:25',
      'h.t[192.0.2.1]:25',
    ],
    [
      'smtp_tcp_port',
      '2525',
      '[h.t]',
      { 'h.t': { A: '192.0.2.1' } },
      'h.t[192.0.2.1]:25',
      'h.t[192.0.2.1]:2525',
    ],
    [
      'known_tcp_ports',
      'submission=5870',
      '[h.t]:submission',
      { 'h.t': { A: '192.0.2.1' } },
      'h.t[192.0.2.1]:587',
      'h.t[192.0.2.1]:5870',
    ],
    ['use_srv_lookup', 'submission', 'd.t:submission', SRV, 'm1.t[192.0.2.1]:587', 's.t[192.0.2.7]:2525'],
    [
      'allow_srv_lookup_fallback',
      'yes',
      'd.t:submission',
      NO_SRV,
      `5.4.4 ${NSE}_submission._tcp.d.t type=SRV: Host not found`,
      'm1.t[192.0.2.1]:587',
      { use_srv_lookup: 'submission' },
    ],
    [
      'ignore_srv_lookup_error',
      'yes',
      'd.t:submission',
      BROKEN_SRV,
      `4.4.3 ${NSE}_submission._tcp.d.t type=SRV: Host not found, try again`,
      'm1.t[192.0.2.1]:587',
      { use_srv_lookup: 'submission' },
    ],
    [
      'inet_interfaces',
      '192.0.2.1',
      'd.t',
      TWO_MX,
      'm1.t[192.0.2.1]:25 m2.t[192.0.2.2]:25',
      '5.4.6 mail for d.t loops back to myself',
    ],
    [
      'proxy_interfaces',
      '192.0.2.2',
      'd.t',
      TWO_MX,
      'm1.t[192.0.2.1]:25 m2.t[192.0.2.2]:25',
      'm1.t[192.0.2.1]:25',
    ],
    [
      'smtp_dns_reply_filter',
      'regexp:{{/ MX 10 / IGNORE}}',
      'd.t',
      TWO_MX,
      'm1.t[192.0.2.1]:25 m2.t[192.0.2.2]:25',
      'm2.t[192.0.2.2]:25',
    ],
  ])('%s = %s', async (setting, value, destination, zones, byDefault, set, also = {}) => {
    expect((await find(destination, zones, also)).result).toBe(byDefault);
    expect((await find(destination, zones, { ...also, [setting]: value })).result).toBe(set);
  });

  test('smtp_randomize_addresses: the order changes unless told otherwise', async () => {
    const plain = 'h.t[192.0.2.1]:25 h.t[192.0.2.2]:25 h.t[192.0.2.3]:25';
    expect((await find('[h.t]', THREE, {}, { random: 0 })).result).not.toBe(plain);
    const settings = { smtp_randomize_addresses: 'no' };
    expect((await find('[h.t]', THREE, settings, { random: 0 })).result).toBe(plain);
  });

  test('LMTP has its own: lmtp_tcp_port, lmtp_address_preference, lmtp_host_lookup, lmtp_dns_reply_filter', async () => {
    const settings = {
      lmtp_address_preference: 'ipv6',
      lmtp_tcp_port: '2424',
      lmtp_host_lookup: 'dns, native',
    };
    expect((await find('h.t', HOST, settings, { protocol: 'lmtp' })).result).toBe(
      'h.t[2001:db8::1]:2424 h.t[192.0.2.1]:2424',
    );
    expect((await find('hosts-file.t', {}, settings, { protocol: 'lmtp' })).result).toBe(
      'hosts-file.t[192.0.2.50]:2424',
    );
    const filtered = { lmtp_dns_reply_filter: 'regexp:{{/ AAAA / IGNORE}}' };
    expect((await find('h.t', HOST, filtered, { protocol: 'lmtp' })).result).toBe('h.t[192.0.2.1]:24');
    expect((await find('[h.t]', HOST, filtered)).result).toContain('2001:db8::1');
  });
});

describe('smtp_dns_support_level = dnssec', () => {
  test('asks for signatures, which no other level does', async () => {
    for (const [level, wanted] of [
      ['', false],
      ['enabled', false],
      ['dnssec', true],
    ] as const) {
      const { queries } = await find('d.t', TWO_MX, { smtp_dns_support_level: level });
      expect(queries.length).toBeGreaterThan(0);
      expect(queries.every((query) => query.flags.do === wanted)).toBe(true);
    }
  });

  test('an answer that was got without is not used for one with', async () => {
    await using dns = await startDnsServer({ zones: { 'h.t': { A: { records: ['192.0.2.1'], ad: true } } } });
    const resolver = createResolver({ servers: [dns.address] });
    const validated = async (level: string): Promise<boolean | undefined> => {
      const config = makeConfig({ smtp_dns_support_level: level, inet_protocols: 'ipv4' });
      const result = await createHostFinder({ config, protocol: 'smtp', resolver })('[h.t]');
      return result.kind === 'found' ? result.hosts[0]?.validated : undefined;
    };
    expect(await validated('enabled')).toBe(false);
    expect(await validated('dnssec')).toBe(true);
    expect(await validated('enabled')).toBe(false);
    expect(dns.queries.map((query) => query.flags.do)).toEqual([false, true]);
  });
});

describe('smtp_dns_reply_filter', () => {
  const filter = (rule: string): Record<string, string> => ({
    inet_protocols: 'ipv4',
    smtp_dns_reply_filter: `regexp:{{${rule}}}`,
  });

  test('sees records as a zone file has them', async () => {
    const { result, warnings, notes } = await find(
      'd.t',
      TWO_MX,
      filter('/^(d\\.t\\. 300 IN MX 10 m1\\.t\\.|m2\\.t\\. 300 IN A 192\\.0\\.2\\.2)$$/ ignore'),
    );
    expect(result).toBe('4.7.0 Error looking up name=m2.t type=A: DNS reply filter drops all results');
    expect(notes).toEqual([
      'ignoring DNS RR: d.t. 300 IN MX 10 m1.t.',
      'ignoring DNS RR: m2.t. 300 IN A 192.0.2.2',
    ]);
    expect(warnings).toEqual(['no MX host for d.t has a valid address record']);
  });

  test('nothing left of the MX records defers, whatever ignore_mx_lookup_error says', async () => {
    const settings = { ...filter('/ MX / IGNORE'), ignore_mx_lookup_error: 'yes' };
    const { result } = await find('d.t', { ...TWO_MX, 'd.t': { MX: '10 m1.t', A: '192.0.2.5' } }, settings);
    expect(result).toBe('4.7.0 Error looking up name=d.t type=MX: DNS reply filter drops all results');
  });

  test('one host without addresses left does not keep mail from the next', async () => {
    const { result } = await find('d.t', TWO_MX, filter('/^m1.* A / IGNORE'));
    expect(result).toBe('m2.t[192.0.2.2]:25');
  });

  test('a result that is no action, or a table that fails, makes the lookup fail for now', async () => {
    const wrong = await find('d.t', TWO_MX, filter('/ MX / REJECT'));
    expect(wrong.result).toBe('4.4.3 Error looking up name=d.t type=MX: Invalid DNS reply filter syntax');
    const broken = await find('d.t', TWO_MX, { smtp_dns_reply_filter: 'texthash:/nowhere/filter' });
    expect(broken.result).toBe('4.4.3 Error looking up name=d.t type=MX: Invalid DNS reply filter syntax');
  });
});

describe('smtp_dns_resolver_options', () => {
  const zones: DnsZones = {
    'relay.one.t': { A: '192.0.2.1' },
    'other.two.t': { A: '192.0.2.2' },
    'a.b.two.t': { A: '192.0.2.3' },
    'other.t': { A: '192.0.2.4' },
  };

  test.each([
    ['', '[relay]', '5.4.4', ['relay']],
    ['res_defnames', '[relay]', '192.0.2.1', ['relay.one.t']],
    ['res_defnames', '[other]', '5.4.4', ['other.one.t', 'other']],
    ['res_dnsrch', '[other]', '5.4.4', ['other']],
    ['res_defnames, res_dnsrch', '[other]', '192.0.2.2', ['other.one.t', 'other.two.t']],
    ['res_dnsrch', '[a.b]', '192.0.2.3', ['a.b', 'a.b.one.t', 'a.b.two.t']],
    ['res_defnames', '[a.b]', '5.4.4', ['a.b']],
    ['res_defnames, res_dnsrch', '[other.t]', '192.0.2.4', ['other.t']],
  ])('"%s" for %s', async (options, destination, expected, asked) => {
    const directory = await mkdtemp(join(tmpdir(), 'mailfleet-resolv-'));
    try {
      const resolvConf = join(directory, 'resolv.conf');
      await writeFile(resolvConf, 'search one.t two.t\n');
      const settings = { inet_protocols: 'ipv4', smtp_dns_resolver_options: options };
      const { result, queries } = await find(destination, zones, settings, { resolvConf });
      expect(result).toContain(expected);
      expect(queries.map((query) => query.name)).toEqual(asked);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
