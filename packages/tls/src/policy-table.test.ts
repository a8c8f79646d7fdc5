/** Policy tables: keys, entries, the obsolete per-site table, and mistakes that must not weaken anything. */
import { makeConfig } from '@mailfleet/config';
import { expect, it } from 'vitest';
import { combinePerSite, openTlsPolicies, parsePolicyEntry, policyKeys } from './policy-table.ts';

it.each([
  ['mail.example.com', ['mail.example.com', '.example.com', '.com']],
  ['[mail.example.com]', ['[mail.example.com]']],
  ['example.com:587', ['example.com:587']],
  ['/run/lmtp', ['/run/lmtp']],
  ['192.0.2.1', ['192.0.2.1']],
])('keys of %s', (destination, keys) => {
  expect(policyKeys(destination)).toEqual(keys);
});

it.each<[string, object]>([
  ['may', { level: 'may' }],
  ['NONE ciphers=high', { level: 'none' }],
  ['secure match=a.test:.b.test match=c.test', { level: 'secure', match: ['a.test', '.b.test', 'c.test'] }],
  [
    'encrypt, ciphers=high protocols=>=TLSv1.2 { exclude = RC4, 3DES } servername=hostname connection_reuse=yes',
    {
      level: 'encrypt',
      ciphers: 'high',
      protocols: ['>=TLSv1.2'],
      exclude: ['RC4', '3DES'],
      serverName: 'hostname',
      connectionReuse: true,
    },
  ],
  ['fingerprint match=aa:bb|cc:dd', { level: 'fingerprint', match: ['aa:bb', 'cc:dd'] }],
])('entry %s', (text, entry) => {
  expect(parsePolicyEntry(text)).toEqual(entry);
});

it.each([
  '',
  'maybe',
  'halfdane',
  'encrypt nonsense',
  'encrypt color=red',
  'encrypt ciphers=best',
  'encrypt ciphers=high ciphers=high',
  'encrypt match=a.test',
  'may servername=',
  'may connection_reuse=perhaps',
  'secure tafile=/x',
])('entry %j is an error', (text) => {
  expect(parsePolicyEntry(text)).toHaveProperty('error');
});

it.each<[string[], 'none' | 'may' | 'encrypt', unknown]>([
  [[], 'encrypt', 'encrypt'],
  [['may'], 'none', 'may'],
  [['MAY'], 'encrypt', 'encrypt'],
  [['NONE'], 'encrypt', 'none'],
  [['MAY', 'NONE'], 'encrypt', 'none'],
  [['NONE', 'MUST_NOPEERMATCH'], 'may', 'encrypt'],
  [['MUST', 'NONE'], 'may', 'verify'],
  [['MUST_NOPEERMATCH', 'MUST'], 'none', 'verify'],
])('per site %j over %s gives %s', (words, global, level) => {
  expect(combinePerSite(words, global)).toBe(level);
});

it('looks destinations up, and leaves a server out when that fails', async () => {
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
  const both = openTlsPolicies(
    makeConfig({ ...values, smtp_tls_policy_maps: 'inline:{ {x = may} }' }),
    'smtp',
  );
  expect(await both.policyFor('e.com', 'mx.test')).toMatchObject({ level: 'none' });
});
