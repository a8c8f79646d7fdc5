/** Entries of a policy table: every attribute, where it may stand, how often, and what a mistake costs. */
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { expect, it } from 'vitest';
import { tlsPolicy } from './policy.ts';
import { parsePolicyEntry } from './policy-entry.ts';

it.each<[string, object]>([
  ['may', { level: 'may' }],
  ['DANE-only', { level: 'dane-only' }],
  [
    'NONE ciphers=high nonsense',
    {
      level: 'none',
      warnings: [
        'ignoring attribute "ciphers=high" with TLS disabled',
        'ignoring attribute "nonsense" with TLS disabled',
      ],
    },
  ],
  ['secure match=a.test:.b.test MATCH=c.test', { level: 'secure', match: ['a.test', '.b.test', 'c.test'] }],
  [
    'encrypt, ciphers=High protocols=>=TLSv1.2:!TLSv1 { exclude = RC4, 3DES } servername=hostname connection_reuse=yes',
    {
      level: 'encrypt',
      ciphers: 'high',
      protocols: ['>=TLSv1.2', '!TLSv1'],
      exclude: ['RC4', '3DES'],
      serverName: 'hostname',
      connectionReuse: true,
    },
  ],
  ['may exclude=', { level: 'may', exclude: [] }],
  ['may connection_reuse=yes connection_reuse=no', { level: 'may', connectionReuse: false }],
  ['may enable_rpk=yes', { level: 'may' }],
  ['fingerprint match=aa:bb|cc:dd', { level: 'fingerprint', match: ['aa:bb', 'cc:dd'] }],
  ['verify tafile=/a { tafile = /b c }', { level: 'verify', trustAnchorFiles: ['/a', '/b c'] }],
  [
    'secure match=mx.e.com policy_type=sts policy_domain=e.com policy_ttl=86400 {policy_string = version: STSv1} ' +
      '{policy_string = mode:\tenforce} mx_host_pattern=mx.e.com mx_host_pattern=*.e.net { policy_failure = no policy }',
    {
      level: 'secure',
      match: ['mx.e.com'],
      published: {
        type: 'sts',
        domain: 'e.com',
        ttlSeconds: 86_400,
        strings: ['version: STSv1', 'mode: enforce'],
        mxHostPatterns: ['mx.e.com', '*.e.net'],
        failure: 'no policy',
      },
    },
  ],
  [
    'may policy_type=no-policy-found',
    { level: 'may', published: { type: 'no-policy-found', strings: [], mxHostPatterns: [] } },
  ],
])('smtp_tls_policy_maps entry %s', (text, entry) => {
  expect(parsePolicyEntry(text)).toEqual(entry);
});

it.each([
  ['', 'invalid empty policy'],
  ['maybe', 'invalid security level "maybe"'],
  ['halfdane', 'invalid security level "halfdane"'],
  ['encrypt nonsense', 'malformed attribute/value pair "nonsense"'],
  ['encrypt {ciphers high}', 'malformed attribute/value pair "{ciphers high}"'],
  ['encrypt color=red', 'invalid attribute name: "color"'],
  ['encrypt ciphers=best', 'attribute "ciphers" has bad value: "best"'],
  ['encrypt ciphers=', 'attribute "ciphers" has empty value'],
  ['encrypt protocols=', 'attribute "protocols" has empty value'],
  ['encrypt match=a.test', 'attribute "match" invalid at security level "encrypt"'],
  ['dane match=a.test', 'attribute "match" invalid at security level "dane"'],
  ['encrypt tafile=/x', 'attribute "tafile" invalid at security level "encrypt"'],
  ['fingerprint tafile=/x', 'attribute "tafile" invalid at security level "fingerprint"'],
  ['may servername=', 'attribute "servername" has empty value'],
  ['may servername=a..b', 'attribute "servername" has bad value: "a..b"'],
  ['may connection_reuse=perhaps', 'attribute "connection_reuse" has bad value: "perhaps"'],
  ['may enable_rpk=1', 'attribute "enable_rpk" has bad value: "1"'],
  ['may policy_type=dane', 'attribute "policy_type" has bad value: "dane"'],
  ['may policy_type=sts policy_ttl=1h', 'attribute "policy_ttl" has bad value: "1h"'],
  ['may policy_type=sts policy_domain=a:b', 'attribute "policy_domain" has bad value: "a:b"'],
  ['secure policy_failure=x', 'attributes of a published policy need "policy_type"'],
  ['may mx_host_pattern=x.test', 'attributes of a published policy need "policy_type"'],
  ...[
    'ciphers=high',
    'protocols=TLSv1.3',
    'exclude=RC4',
    'servername=a.test',
    'policy_ttl=1',
    'policy_type=sts',
    'policy_domain=a.test',
    'policy_failure=x',
  ].map((attribute) => [
    `encrypt ${attribute} ${attribute}`,
    `attribute "${attribute.split('=')[0]}" is specified multiple times`,
  ]),
])('smtp_tls_policy_maps entry %j is an error: %s', (text, error) => {
  expect(parsePolicyEntry(text)).toEqual({ error });
});

const entryFor = (text: string, host = 'mx.e.com', values: Record<string, string> = {}) => {
  const entry = parsePolicyEntry(text);
  if ('error' in entry) throw new Error(entry.error);
  return tlsPolicy(makeConfig(values), 'smtp', 'e.com', host, entry);
};

it.each([
  ['mx.e.com', 'policy', ['mx.e.com']],
  ['MX.E.COM', 'policy', ['mx.e.com']],
  ['a.e.net', 'policy', ['a.e.net']],
  ['a.b.e.net', 'invalid', undefined],
  ['e.net', 'invalid', undefined],
  ['mx.evil.test', 'invalid', undefined],
])('smtp_tls_enforce_sts_mx_patterns: host %s is %s', (host, kind, match) => {
  const text =
    'secure match=mx.e.com:.e.net policy_type=sts policy_domain=e.com mx_host_pattern=mx.e.com mx_host_pattern=*.e.net';
  expect(entryFor(text, host)).toMatchObject({ kind, ...(match ? { match } : {}) });
  // Without it, the names of the table are what counts.
  expect(entryFor(text, host, { smtp_tls_enforce_sts_mx_patterns: 'no' })).toMatchObject({
    kind: 'policy',
    match: ['mx.e.com', '.e.net'],
  });
});

it('a trust anchor file that cannot be read, or is empty, leaves the server out', () => {
  const empty = join(tmpdir(), `mailfleet-no-anchors-${process.pid}.pem`);
  writeFileSync(empty, 'nothing\n');
  expect(entryFor('verify tafile=/nonexistent/ta.pem')).toMatchObject({
    kind: 'invalid',
    warnings: [expect.stringContaining('/nonexistent/ta.pem')],
  });
  expect(entryFor(`secure tafile=${empty}`)).toMatchObject({
    kind: 'invalid',
    warnings: [expect.stringContaining('holds neither a certificate nor a public key')],
  });
});

it('a malformed digest is left out with a warning, and a policy without any digest is none', () => {
  expect(entryFor('fingerprint match=zz|aa:bb|cc')).toMatchObject({
    match: ['aa:bb', 'cc'],
    warnings: ['e.com: ignoring malformed fingerprint "zz"'],
  });
  expect(entryFor('fingerprint match=zz')).toMatchObject({ kind: 'invalid', status: '4.7.5' });
});
