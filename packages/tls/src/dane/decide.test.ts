/**
 * smtp_tls_security_level = dane and dane-only: what DNS makes of them. Each row is a world (MX, host, aliases, TLSA) with the outcome
 * for both levels under each smtp_tls_dane_insecure_mx_policy; a second test crosses all of it and checks what may never be.
 */
import { createHash } from 'node:crypto';
import { makeConfig } from '@mailfleet/config';
import { describe, expect, it } from 'vitest';
import { openTlsPolicies } from '../policy-table.ts';
import type { DaneAnswer, DaneDns } from './find-tlsa.ts';
import type { ServerFacts } from './open-dane.ts';
import type { TlsaRecord } from './tlsa.ts';

const digest = createHash('sha256').update('key').digest();
const usable: TlsaRecord = { usage: 3, selector: 1, matchingType: 1, certificate: digest };
const anchor: TlsaRecord = { ...usable, usage: 2 };
const pkix: TlsaRecord = { ...usable, usage: 1 };

type Dns = 'secure' | 'insecure' | 'servfail';
type Tlsa = 'usable' | 'anchor' | 'unusable' | 'insecure' | 'none' | 'servfail';

interface World {
  readonly mx: 'secure' | 'insecure' | 'no MX';
  readonly host: 'secure' | 'insecure';
  /** State of the alias when the host is one. */
  readonly alias?: Dns;
  readonly tlsa: Tlsa;
  /** TLSA records of the unexpanded name, when it is an alias. */
  readonly aliasTlsa?: Tlsa;
}

const answer = (tlsa: Tlsa): DaneAnswer<TlsaRecord> => {
  if (tlsa === 'none') return { kind: 'none' };
  if (tlsa === 'servfail') return { kind: 'failed', reason: 'Host not found, try again' };
  const records = { usable, anchor, unusable: pkix, insecure: usable }[tlsa];
  return { kind: 'found', records: [records], validated: tlsa !== 'insecure' };
};

const serverOf = (world: World): ServerFacts => ({
  host: 'mx.test',
  canonicalName: world.alias === undefined ? 'mx.test' : 'real.test',
  validated: world.host === 'secure',
  port: 25,
  ...(world.mx === 'no MX'
    ? {}
    : { mx: { name: 'Example.test', canonicalName: 'mail-domain.test', validated: world.mx === 'secure' } }),
});

/** A client whose DNS is whatever world it is asked about. */
const clientAt = (level: string, values: Record<string, string> = {}) => {
  let world: World | undefined;
  let asked: string[] = [];
  const dns: DaneDns = {
    tlsa: async (name) => {
      asked.push(name);
      const atAlias = name === '_25._tcp.mx.test' && world?.alias !== undefined;
      return answer((atAlias ? world?.aliasTlsa : world?.tlsa) ?? 'none');
    },
    cname: async (name) => {
      asked.push(`CNAME ${name}`);
      return world?.alias === 'servfail'
        ? { kind: 'failed', reason: 'Host not found, try again' }
        : { kind: 'found', records: ['real.test'], validated: world?.alias === 'secure' };
    },
  };
  const config = makeConfig({ smtp_tls_security_level: level, smtp_dns_support_level: 'dnssec', ...values });
  const policies = openTlsPolicies(config, 'smtp', { dns });
  return async (next: World) => {
    world = next;
    asked = [];
    const policy = await policies.policyFor('example.test', 'mx.test', serverOf(world));
    const outcome = policy.kind === 'policy' ? policy.level : `${policy.status} ${policy.reason}`;
    return { policy, outcome, asked };
  };
};

const play = (world: World, level: string, values: Record<string, string> = {}) =>
  clientAt(level, values)(world);

const insecureZone = '4.7.5 mx.test is not in a signed zone';
const noRecords = '4.7.5 no TLSA records found';
const noMx = '4.7.5 non DNSSEC destination';
const failed = '4.7.5 TLSA lookup error: Host not found, try again';
const unusable = '4.7.5 TLSA records of mx.test are unusable';

/** dane; dane-only */
const rows: readonly (readonly [World, string, string])[] = [
  [{ mx: 'secure', host: 'secure', tlsa: 'usable' }, 'dane', 'dane-only'],
  [{ mx: 'secure', host: 'secure', tlsa: 'anchor' }, 'dane', 'dane-only'],
  [{ mx: 'secure', host: 'secure', tlsa: 'unusable' }, 'encrypt', unusable],
  [{ mx: 'secure', host: 'secure', tlsa: 'none' }, 'may', noRecords],
  [{ mx: 'secure', host: 'secure', tlsa: 'insecure' }, 'may', noRecords],
  [{ mx: 'secure', host: 'secure', tlsa: 'servfail' }, failed, failed],
  [{ mx: 'secure', host: 'insecure', tlsa: 'usable' }, 'may', insecureZone],
  [{ mx: 'secure', host: 'insecure', tlsa: 'servfail' }, 'may', insecureZone],
  [{ mx: 'no MX', host: 'secure', tlsa: 'usable' }, 'dane', 'dane-only'],
  [{ mx: 'no MX', host: 'secure', tlsa: 'none' }, 'may', noRecords],
  [{ mx: 'no MX', host: 'secure', tlsa: 'servfail' }, failed, failed],
  [{ mx: 'no MX', host: 'insecure', tlsa: 'usable' }, 'may', insecureZone],
  [{ mx: 'secure', host: 'secure', alias: 'secure', tlsa: 'usable' }, 'dane', 'dane-only'],
  [{ mx: 'secure', host: 'secure', alias: 'secure', tlsa: 'none', aliasTlsa: 'usable' }, 'dane', 'dane-only'],
  [{ mx: 'secure', host: 'secure', alias: 'secure', tlsa: 'none', aliasTlsa: 'none' }, 'may', noRecords],
  [{ mx: 'secure', host: 'secure', alias: 'secure', tlsa: 'servfail', aliasTlsa: 'usable' }, failed, failed],
  [
    { mx: 'secure', host: 'insecure', alias: 'secure', tlsa: 'usable', aliasTlsa: 'usable' },
    'dane',
    'dane-only',
  ],
  [{ mx: 'secure', host: 'insecure', alias: 'secure', tlsa: 'usable', aliasTlsa: 'none' }, 'may', noRecords],
  [
    { mx: 'secure', host: 'insecure', alias: 'insecure', tlsa: 'usable', aliasTlsa: 'usable' },
    'may',
    insecureZone,
  ],
  [
    { mx: 'secure', host: 'insecure', alias: 'servfail', tlsa: 'usable', aliasTlsa: 'usable' },
    failed,
    failed,
  ],
];

describe.each(rows)('%j', (world, dane, daneOnly) => {
  it(`dane is ${dane}, dane-only is ${daneOnly}`, async () => {
    expect((await play(world, 'dane')).outcome).toBe(dane);
    expect((await play(world, 'dane-only')).outcome).toBe(daneOnly);
  });
});

describe('an insecure MX answer', () => {
  const world: World = { mx: 'insecure', host: 'secure', tlsa: 'usable' };
  it.each<[string, Tlsa, string]>([
    ['may', 'usable', 'may'],
    ['may', 'servfail', 'may'],
    ['encrypt', 'usable', 'encrypt'],
    ['encrypt', 'unusable', 'encrypt'],
    ['encrypt', 'none', 'may'],
    ['encrypt', 'servfail', failed],
    ['dane', 'usable', 'halfdane'],
    ['dane', 'unusable', 'encrypt'],
    ['dane', 'none', 'may'],
    ['dane', 'servfail', failed],
  ])('smtp_tls_dane_insecure_mx_policy = %s, TLSA %s: %s', async (policy, tlsa, outcome) => {
    const values = { smtp_tls_dane_insecure_mx_policy: policy };
    expect((await play({ ...world, tlsa }, 'dane', values)).outcome).toBe(outcome);
    expect((await play({ ...world, tlsa }, 'dane-only', values)).outcome).toBe(noMx);
  });
});

it('smtp_tls_force_insecure_host_tlsa_lookup asks for records of hosts in unsigned zones too', async () => {
  const forced = { smtp_tls_force_insecure_host_tlsa_lookup: 'yes' };
  const world: World = { mx: 'secure', host: 'insecure', tlsa: 'usable' };
  expect(await play(world, 'dane')).toMatchObject({ outcome: 'may', asked: [] });
  expect(await play(world, 'dane', forced)).toMatchObject({ outcome: 'dane', asked: ['_25._tcp.mx.test'] });
  const alias: World = { ...world, alias: 'insecure', aliasTlsa: 'usable', tlsa: 'none' };
  expect(await play(alias, 'dane', forced)).toMatchObject({
    outcome: 'dane',
    asked: ['_25._tcp.real.test', '_25._tcp.mx.test'],
  });
});

it('lmtp_dns_support_level and lmtp_tls_force_insecure_host_tlsa_lookup hold for LMTP', async () => {
  const levelWith = async (values: Record<string, string>) => {
    const config = makeConfig({
      lmtp_tls_security_level: 'dane',
      smtp_dns_support_level: 'dnssec',
      ...values,
    });
    const dns: DaneDns = { tlsa: async () => answer('usable'), cname: async () => ({ kind: 'none' }) };
    const server = serverOf({ mx: 'no MX', host: 'insecure', tlsa: 'usable' });
    return openTlsPolicies(config, 'lmtp', { dns }).policyFor('[mx.test]', 'mx.test', server);
  };
  const force = { lmtp_tls_force_insecure_host_tlsa_lookup: 'yes' };
  expect(await levelWith({ lmtp_dns_support_level: 'dnssec', ...force })).toMatchObject({ level: 'dane' });
  expect(await levelWith({ lmtp_dns_support_level: 'dnssec' })).toMatchObject({ level: 'may' });
  expect(await levelWith({ lmtp_dns_support_level: 'enabled', ...force })).toMatchObject({
    level: 'may',
    warnings: [expect.stringContaining('set "lmtp_dns_support_level = dnssec"')],
  });
});

describe('main.cf without what DANE needs', () => {
  it.each([
    [
      { smtp_dns_support_level: 'enabled' },
      'DNSSEC lookups are disabled; set "smtp_dns_support_level = dnssec"',
    ],
    [{ smtp_dns_support_level: '' }, 'DNSSEC lookups are disabled'],
    [{ smtp_host_lookup: 'native' }, 'DNSSEC lookups are disabled'],
    [{ smtp_dns_resolver_options: 'res_defnames' }, 'smtp_dns_resolver_options appends domains'],
    [{ smtp_dns_resolver_options: 'res_dnsrch' }, 'smtp_dns_resolver_options appends domains'],
    [{ ignore_mx_lookup_error: 'yes' }, 'ignore_mx_lookup_error = yes makes MX lookups insecure'],
    [{ tls_dane_digests: 'md99' }, 'tls_dane_digests: no TLSA matching type is known for "md99"'],
  ])('%j: dane is may with a warning, dane-only is no policy', async (values, words) => {
    const world: World = { mx: 'secure', host: 'secure', tlsa: 'usable' };
    const dane = await play(world, 'dane', values);
    expect(dane).toMatchObject({ outcome: 'may', asked: [] });
    expect(dane.policy.warnings).toEqual([expect.stringContaining(words)]);
    expect(dane.policy.warnings?.[0]).toContain('using level may');
    const daneOnly = await play(world, 'dane-only', values);
    expect(daneOnly).toMatchObject({ outcome: '4.7.5 client TLS configuration problem', asked: [] });
    expect(daneOnly.policy.warnings).toEqual([expect.stringContaining(words)]);
  });
});

it('sends the TLSA base domain as server name, and matches base domain, nexthop and its alias for an anchor', async () => {
  const world: World = { mx: 'secure', host: 'secure', alias: 'secure', tlsa: 'anchor' };
  const values = { smtp_tls_servername: 'hostname' };
  expect((await play(world, 'dane', values)).policy).toMatchObject({
    serverName: 'real.test',
    tlsa: { base: 'real.test', names: ['real.test', 'example.test', 'mail-domain.test'] },
  });
  expect((await play({ ...world, mx: 'no MX' }, 'dane')).policy).toMatchObject({
    tlsa: { names: ['real.test'] },
  });
  expect((await play({ ...world, tlsa: 'usable' }, 'dane')).policy).toMatchObject({ tlsa: { names: [] } });
  const lowered = await play({ ...world, tlsa: 'none' }, 'dane', values);
  expect(lowered.policy).toMatchObject({ level: 'may', serverName: 'mx.test' });
});

const everyWorld = function* (): Generator<World> {
  const tlsas: Tlsa[] = ['usable', 'anchor', 'unusable', 'insecure', 'none', 'servfail'];
  for (const mx of ['secure', 'insecure', 'no MX'] as const) {
    for (const host of ['secure', 'insecure'] as const) {
      for (const tlsa of tlsas) {
        yield { mx, host, tlsa };
        for (const alias of ['secure', 'insecure', 'servfail'] as const) {
          for (const aliasTlsa of tlsas) yield { mx, host, tlsa, alias, aliasTlsa };
        }
      }
    }
  }
};

describe.each(['may', 'encrypt', 'dane'])('smtp_tls_dane_insecure_mx_policy = %s', (insecureMxPolicy) => {
  it.each(['no', 'yes'])('no world breaks a promise, TLSA lookups forced: %s', async (force) => {
    const values = {
      smtp_tls_dane_insecure_mx_policy: insecureMxPolicy,
      smtp_tls_force_insecure_host_tlsa_lookup: force,
    };
    const [atDane, atDaneOnly] = [clientAt('dane', values), clientAt('dane-only', values)];
    let worlds = 0;
    for (const world of everyWorld()) {
      worlds++;
      const said = JSON.stringify(world);
      const [dane, only] = [await atDane(world), await atDaneOnly(world)];
      // Where dane-only delivers, dane matches the same records; where dane cannot look, nobody delivers.
      if (only.policy.kind === 'policy') {
        expect(only.outcome, said).toBe('dane-only');
        expect(dane.policy, said).toMatchObject({ level: 'dane', tlsa: only.policy.tlsa });
      }
      if (dane.policy.kind === 'invalid') expect(only.policy.kind, said).toBe('invalid');
      else if (dane.policy.tlsa === undefined) expect(['may', 'encrypt'], said).toContain(dane.outcome);
      else expect(['halfdane', 'dane'], said).toContain(dane.outcome);
    }
    expect(worlds).toBe(684);
  });
});
