/** Policy tables: keys, entries, the obsolete per-site table, and mistakes that must not weaken anything. */
import { makeConfig } from '@mailfleet/config';
import { describe, expect, it } from 'vitest';
import { combinePerSite, openTlsPolicies, policyKeys } from './policy-table.ts';

it.each([
  ['mail.example.com', ['mail.example.com', '.example.com', '.com']],
  ['[mail.example.com]', ['[mail.example.com]']],
  ['example.com:587', ['example.com:587']],
  ['/run/lmtp', ['/run/lmtp']],
  ['192.0.2.1', ['192.0.2.1']],
])('keys of %s', (destination, keys) => {
  expect(policyKeys(destination)).toEqual(keys);
});

describe('smtp_tls_per_site: what destination and host say together, in any order', () => {
  const words = [undefined, 'MAY', 'NONE', 'MUST_NOPEERMATCH', 'MUST'] as const;
  const none = ['global', 'may', 'none', 'encrypt', 'verify'];
  const rows: Record<string, readonly string[]> = {
    undefined: none,
    MAY: ['may', 'may', 'none', 'encrypt', 'verify'],
    NONE: ['none', 'none', 'none', 'encrypt', 'verify'],
    MUST_NOPEERMATCH: ['encrypt', 'encrypt', 'encrypt', 'encrypt', 'verify'],
    MUST: ['verify', 'verify', 'verify', 'verify', 'verify'],
  };
  const globals = ['none', 'may', 'encrypt', 'verify', 'secure'] as const;
  const cells = words.flatMap((one) =>
    words.flatMap((other, column) =>
      globals.map((global) => {
        const said = rows[String(one)]?.[column];
        // MAY yields to a stronger level of main.cf; every other word counts in both directions.
        const wanted = said === 'global' || (said === 'may' && global !== 'none') ? global : said;
        return [one ?? '-', other ?? '-', global, wanted] as const;
      }),
    ),
  );
  it.each(cells)('%s and %s over %s: %s', async (one, other, global, wanted) => {
    const found = [one, other].filter((word) => word !== '-');
    expect(combinePerSite(found, global)).toBe(wanted);
    expect(combinePerSite(found.map((word) => word.toLowerCase()).reverse(), global)).toBe(wanted);
    const entries = [`{x=x}`, ...(one === '-' ? [] : [`{e.com=${one}}`])];
    if (other !== '-') entries.push(`{mx.test=${other}}`);
    const config = makeConfig({
      smtp_tls_security_level: global,
      smtp_tls_per_site: `inline:{ ${entries.join(', ')} }`,
    });
    expect(await openTlsPolicies(config, 'smtp').policyFor('e.com', 'mx.test')).toMatchObject({
      level: wanted,
    });
  });
});

it.each(['smtp', 'lmtp'] as const)(
  '%s_tls_per_site: an unknown word is 4.7.5, a table that fails 4.3.0',
  async (protocol) => {
    const at = (table: string) =>
      openTlsPolicies(makeConfig({ [`${protocol}_tls_per_site`]: table }), protocol).policyFor('e.com', 'mx');
    expect(await at('inline:{ {e.com = SOMETIMES} }')).toMatchObject({
      kind: 'invalid',
      status: '4.7.5',
      warnings: ['TLS policy lookup for e.com/mx: unknown TLS policy "SOMETIMES"'],
    });
    expect(await at('texthash:/nonexistent/sites')).toMatchObject({
      kind: 'invalid',
      status: '4.3.0',
      reason: 'Temporary lookup error',
    });
  },
);

it('smtp_tls_policy_maps: looks destinations up, and leaves a server out when that fails', async () => {
  const policies = openTlsPolicies(
    makeConfig({
      smtp_tls_security_level: 'may',
      smtp_tls_policy_maps:
        'inline:{ {.example.com = encrypt}, {bad.test = nonsense}, {[relay.test] = none} }',
    }),
    'smtp',
  );
  expect(await policies.policyFor('a.example.com', 'mx')).toMatchObject({ level: 'encrypt' });
  expect(await policies.policyFor('example.com', 'mx')).toMatchObject({ level: 'may' });
  expect(await policies.policyFor('[relay.test]', 'mx')).toMatchObject({ level: 'none' });
  expect(await policies.policyFor('bad.test', 'mx')).toMatchObject({ kind: 'invalid', status: '4.7.5' });
  const broken = openTlsPolicies(
    makeConfig({ smtp_tls_policy_maps: 'texthash:/nonexistent/policy' }),
    'smtp',
  );
  expect(await broken.policyFor('e.com', 'mx')).toMatchObject({ kind: 'invalid' });
});

it('asks the per-site table for destination and host, and only without policy maps', async () => {
  const values = {
    smtp_tls_security_level: 'none',
    smtp_tls_per_site: 'inline:{ {e.com = MAY}, {mx.test = MUST} }',
  };
  const policies = openTlsPolicies(makeConfig(values), 'smtp');
  expect(await policies.policyFor('e.com', 'mx.test')).toMatchObject({ level: 'verify', match: ['mx.test'] });
  expect(await policies.policyFor('e.com', 'other.test')).toMatchObject({ level: 'may' });
  const warnings: string[] = [];
  const both = openTlsPolicies(
    makeConfig({ ...values, smtp_tls_policy_maps: 'inline:{ {x = may} }' }),
    'smtp',
    { warn: (text) => warnings.push(text) },
  );
  expect(warnings).toEqual(['smtp_tls_per_site is ignored, since smtp_tls_policy_maps is set']);
  expect(await both.policyFor('e.com', 'mx.test')).toMatchObject({ level: 'none' });
});

it('lmtp_tls_policy_maps is asked for LMTP, by the path of a socket too', async () => {
  const policies = openTlsPolicies(
    makeConfig({
      smtp_tls_policy_maps: 'inline:{ {/run/lmtp = secure} }',
      lmtp_tls_policy_maps: 'inline:{ {/run/lmtp = encrypt} }',
    }),
    'lmtp',
  );
  expect(await policies.policyFor('/run/lmtp', 'client.test')).toMatchObject({ level: 'encrypt' });
});
