/** The policies that docs/tls.md shows are read as it says. */
import { readFileSync } from 'node:fs';
import { makeConfig } from '@mailfleet/config';
import { openTlsPolicies } from '@mailfleet/tls';
import { expect, it } from 'vitest';

const page = readFileSync(new URL('../../../../docs/tls.md', import.meta.url), 'utf8');

it('smtp_tls_policy_maps of "Send only encrypted"', async () => {
  const line = /^smtp_tls_policy_maps = (inline:.*)$/m.exec(page)?.[1] ?? '';
  const policies = openTlsPolicies(makeConfig({ smtp_tls_policy_maps: line }), 'smtp');
  expect(await policies.policyFor('partner.example', 'mx.test')).toMatchObject({ level: 'encrypt' });
  expect(await policies.policyFor('a.partner.example', 'mx.test')).toMatchObject({
    level: 'encrypt',
    protocols: ['>=TLSv1.2'],
    ciphers: 'high',
  });
  expect(await policies.policyFor('other.example', 'mx.test')).toMatchObject({ level: 'may' });
});

it('smtp_tls_policy_maps of "Verify a partner"', async () => {
  const entries = [...page.matchAll(/^([a-z.-]+\.example) {2,}((?:secure|fingerprint) .*)$/gm)];
  expect(entries).toHaveLength(4);
  const table = entries.map(([, key, value]) => `{${key} = ${value?.replaceAll('...', '00')}}`).join(', ');
  const policies = openTlsPolicies(makeConfig({ smtp_tls_policy_maps: `inline:{ ${table} }` }), 'smtp');
  expect(await policies.policyFor('partner.example', 'mx.test')).toMatchObject({
    level: 'secure',
    match: ['partner.example', '.partner.example'],
  });
  expect(await policies.policyFor('other.example', 'mx.test')).toMatchObject({ serverName: 'mx.test' });
  // The file of the example is not here, and so no mail would go out.
  expect(await policies.policyFor('own-ca.example', 'mx.test')).toMatchObject({
    kind: 'invalid',
    warnings: [expect.stringContaining('/etc/mailfleet/their-ca.pem')],
  });
  expect(await policies.policyFor('pinned.example', 'mx.test')).toMatchObject({ level: 'fingerprint' });
});
