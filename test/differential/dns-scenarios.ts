/** Scenarios about the hosts that DNS has for a destination: which are tried, in which order, and what is said when there is none. */
import type { DnsTypes, DnsZones } from '@mailfleet/test-kit';
import type { Scenario } from './scenario.ts';

/** Where the first, second and third server stand. */
const [HOST1, HOST2, HOST3] = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
/** Both clients listen there. */
const SELF = '127.0.0.1';

const ON = { disable_dns_lookups: 'no', smtp_randomize_addresses: 'no', smtp_host_lookup: 'dns' };

interface Sketch extends Omit<Scenario, 'zones' | 'nexthop'> {
  /** Of the destination `d`; names without a dot are hosts of this scenario. */
  readonly d?: DnsTypes | 'SERVFAIL' | 'REFUSED' | 'FORMERR';
  readonly hosts?: Readonly<Record<string, string | DnsTypes | 'SERVFAIL'>>;
  /** `d` stands for the destination; default `d:%1`. */
  readonly to?: string;
}

const sketches: readonly Sketch[] = [
  {
    name: 'by preference',
    d: { MX: ['20 m2', '10 m1'] },
    hosts: { m1: HOST1, m2: HOST2 },
    servers: [{}, {}],
  },
  {
    name: 'the best one refuses connections',
    d: { MX: ['10 m1', '20 m2'] },
    hosts: { m1: HOST1, m2: HOST2 },
    servers: ['refused', {}],
  },
  {
    name: 'the best one defers',
    d: { MX: ['10 m1', '20 m2'] },
    hosts: { m1: HOST1, m2: HOST2 },
    servers: [{ hooks: { mail: '450 4.3.2 later' } }, {}],
  },
  { name: 'the best one has no address', d: { MX: ['10 gone', '20 m1'] }, hosts: { m1: HOST1 } },
  {
    name: 'two addresses of one host',
    d: { MX: '10 m' },
    hosts: { m: { A: [HOST1 ?? '', HOST2 ?? ''] } },
    servers: ['refused', {}],
  },
  {
    name: 'two addresses, one may be tried',
    d: { MX: '10 m' },
    hosts: { m: { A: [HOST1 ?? '', HOST2 ?? ''] } },
    servers: ['refused', {}],
    config: { smtp_mx_address_limit: '1' },
  },
  {
    name: 'three hosts, two sessions',
    d: { MX: ['10 m1', '20 m2', '30 m3'] },
    hosts: { m1: HOST1, m2: HOST2, m3: HOST3 },
    servers: [{ hooks: { mail: '450 4.3.2 later' } }, { hooks: { mail: '451 4.3.2 later' } }, {}],
  },
  { name: 'no MX: the address', d: { A: HOST1 } },
  { name: 'in brackets: no MX', d: { MX: '10 gone', A: HOST1 }, to: '[d]:%1' },
  { name: 'no MX and no address', d: { TXT: 'nothing' } },
  { name: 'no such domain' },
  { name: 'null MX', d: { MX: '0 .', A: HOST1 } },
  { name: 'null MX beside another', d: { MX: ['0 .', '10 m1'] }, hosts: { m1: HOST1 } },
  { name: 'SERVFAIL', d: 'SERVFAIL' },
  { name: 'REFUSED', d: 'REFUSED' },
  { name: 'FORMERR', d: 'FORMERR' },
  {
    name: 'SERVFAIL for MX, ignored',
    d: { MX: 'SERVFAIL', A: HOST1 },
    config: { ignore_mx_lookup_error: 'yes' },
  },
  { name: 'hosts that are not there', d: { MX: ['10 gone1', '20 gone2'] } },
  {
    name: 'hosts that are not there, deferred',
    d: { MX: ['10 gone1', '20 gone2'] },
    config: { smtp_defer_if_no_mx_address_found: 'yes' },
  },
  {
    name: 'a host that fails, then one that is not there',
    d: { MX: ['10 broken', '20 gone'] },
    hosts: { broken: 'SERVFAIL' },
  },
  {
    name: 'a host that is not there, then one that fails',
    d: { MX: ['10 gone', '20 broken'] },
    hosts: { broken: 'SERVFAIL' },
  },
  { name: 'an alias for the domain', d: { CNAME: 'real' }, hosts: { real: { MX: '10 m1' }, m1: HOST1 } },
  { name: 'an alias for the host', d: { MX: '10 m1' }, hosts: { m1: { CNAME: 'real' }, real: HOST1 } },
  {
    name: 'an alias for the host, smtp_cname_overrides_servername',
    d: { MX: '10 m1' },
    hosts: { m1: { CNAME: 'real' }, real: HOST1 },
    config: { smtp_cname_overrides_servername: 'yes' },
  },
  { name: 'a host whose name is none', d: { MX: ['10 -bad.test', '20 m1'] }, hosts: { m1: HOST1 } },
  { name: 'no host whose name is one', d: { MX: ['10 -bad.test', '20 bad-.test'] } },
  { name: 'an address for a host', d: { MX: `10 ${HOST1}` } },
  { name: 'ourselves', d: { MX: '10 m1' }, hosts: { m1: SELF }, to: 'd' },
  { name: 'ourselves, on another port', d: { MX: '10 m1' }, hosts: { m1: HOST1 } },
  {
    name: 'ourselves second',
    d: { MX: ['10 m1', '20 m2', '30 m3'] },
    hosts: { m1: HOST1, m2: SELF, m3: HOST2 },
    to: 'd',
    servers: [],
  },
  {
    name: 'ourselves best of those that have an address',
    d: { MX: ['10 gone', '20 m2'] },
    hosts: { m2: SELF },
    to: 'd',
  },
  {
    name: 'ourselves, and a fallback relay',
    d: { MX: '10 m1' },
    hosts: { m1: SELF, relay: HOST1 },
    to: 'd',
    config: { smtp_fallback_relay: '[relay]:%1' },
  },
  {
    name: 'no such domain, and a fallback relay',
    hosts: { relay: HOST1 },
    config: { smtp_fallback_relay: '[relay]:%1' },
  },
  {
    name: 'null MX, and a fallback relay',
    d: { MX: '0 .' },
    hosts: { relay: HOST1 },
    config: { smtp_fallback_relay: '[relay]:%1' },
  },
  {
    name: 'a fallback relay that is not there',
    config: { smtp_fallback_relay: '[gone]:%1' },
  },
  { name: 'a relayhost that is not there', to: '[gone]:%1', config: { relayhost: '[gone]:%1' } },
  {
    name: 'relayhosts that are not there',
    to: '[gone1]:%1, [gone2]:%1',
    config: { relayhost: '[gone1]:%1, [gone2]:%1' },
  },
  { name: 'two destinations, the first is not there', hosts: { h: HOST1 }, to: 'd:%1, [h]:%1' },
  {
    name: 'a reply filter that leaves one',
    d: { MX: ['10 m1', '20 m2'] },
    hosts: { m1: HOST1, m2: HOST2 },
    servers: [{}, {}],
    config: { smtp_dns_reply_filter: 'regexp:{{/ MX 10 / IGNORE}}' },
  },
  {
    name: 'a reply filter that leaves none',
    d: { MX: '10 m1' },
    hosts: { m1: HOST1 },
    config: { smtp_dns_reply_filter: 'regexp:{{/ MX / IGNORE}}' },
  },
  {
    name: 'more records than fit into a packet',
    d: { MX: Array.from({ length: 60 }, (_, n) => `${n} gone${n}`) },
  },
  { name: 'a host by its name', hosts: { h: HOST1 }, to: '[h]:%1' },
  {
    name: 'a host by its name, that only the system knows',
    to: '[localhost]:%1',
    servers: ['refused'],
    config: { smtp_host_lookup: 'dns, native' },
  },
  { name: 'a host that the system does not know', to: '[gone]:%1', config: { smtp_host_lookup: 'native' } },
  { name: 'a host that is ourselves', hosts: { h: SELF }, to: '[h]' },
  { name: 'an address that is ourselves', to: `[${SELF}]` },
  {
    name: 'LMTP asks for no MX',
    protocol: 'lmtp',
    d: { MX: '10 gone', A: HOST1 },
    config: { lmtp_host_lookup: 'dns' },
  },
];

/** Names without a dot, in zone data or a nexthop, become names below the scenario's own domain; `d` is that domain. */
const below =
  (domain: string) =>
  (text: string): string =>
    text.replace(/(?<![\w.%-])[a-z]+\d*(?![\w.-])/g, (name) =>
      name === 'd' ? domain : name === 'localhost' ? name : `${name}.${domain}`,
    );

const entryOf = (entry: DnsTypes | string, named: (text: string) => string): DnsZones[string] => {
  if (typeof entry === 'string') return BEHAVIOUR.test(entry) ? (entry as DnsZones[string]) : { A: entry };
  const records = Object.entries(entry).map(([type, data]) => [
    type,
    Array.isArray(data) ? data.map(named) : typeof data === 'string' && type !== 'TXT' ? named(data) : data,
  ]);
  return Object.fromEntries(records) as DnsTypes;
};

/** SERVFAIL and the like, in place of records. */
const BEHAVIOUR = /^[A-Z]+$/;

export const dnsScenarios: readonly Scenario[] = sketches.map((sketch, index) => {
  const { d, hosts = {}, to = 'd:%1', ...scenario } = sketch;
  const domain = `n${index}.dns-scenario.test`;
  const named = below(domain);
  // A domain that is not there is this scenario's as well.
  const zones: Record<string, DnsZones[string]> = {
    [domain]: d === undefined ? 'NXDOMAIN' : entryOf(d, named),
  };
  for (const [host, entry] of Object.entries(hosts)) zones[named(host)] = entryOf(entry, named);
  const relays = Object.entries(scenario.config ?? {}).flatMap(([name, value]) =>
    name === 'smtp_fallback_relay' || name === 'relayhost' ? [[name, named(value)]] : [],
  );
  return {
    ...scenario,
    name: `DNS: ${sketch.name}`,
    config: { ...ON, ...scenario.config, ...Object.fromEntries(relays) },
    nexthop: named(to),
    zones,
  };
});
