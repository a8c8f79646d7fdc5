/** Levels and policies from parameters alone, name matching, protocol and cipher lists. */
import { makeConfig } from '@mailfleet/config';
import { expect, it } from 'vitest';
import { cipherLists, cipherString } from './ciphers.ts';
import { globalLevel, parseLevel, requiresMatch, requiresTls } from './level.ts';
import { nameMatches } from './names.ts';
import { nexthopDomain, type TlsPolicy, tlsPolicy } from './policy.ts';
import { protocolRange } from './protocols.ts';

it.each([
  [{}, 'none'],
  [{ smtp_use_tls: 'yes' }, 'may'],
  [{ smtp_enforce_tls: 'yes' }, 'verify'],
  [{ smtp_enforce_tls: 'yes', smtp_use_tls: 'yes', smtp_tls_enforce_peername: 'no' }, 'encrypt'],
  [{ smtp_enforce_tls: 'yes', smtp_tls_security_level: 'may' }, 'may'],
  [{ smtp_use_tls: 'yes', smtp_tls_security_level: 'none' }, 'none'],
])('%j gives level %s', (values, level) => {
  expect(globalLevel(makeConfig({ smtp_tls_security_level: '', ...values }), 'smtp')).toBe(level);
});

it('lmtp has levels of its own', () => {
  const config = makeConfig({ smtp_tls_security_level: 'encrypt', lmtp_use_tls: 'yes' });
  expect([globalLevel(config, 'smtp'), globalLevel(config, 'lmtp')]).toEqual(['encrypt', 'may']);
});

it('orders levels', () => {
  expect(
    ['none', 'may', 'encrypt', 'fingerprint', 'secure'].map((word) => {
      const level = parseLevel(word.toUpperCase());
      return level && [requiresTls(level), requiresMatch(level)];
    }),
  ).toEqual([
    [false, false],
    [false, false],
    [true, false],
    [true, true],
    [true, true],
  ]);
  expect(parseLevel('maybe')).toBeUndefined();
});

it.each([
  ['example.com', 'example.com'],
  ['example.com:587', 'example.com'],
  ['[mail.example.com]:25', 'mail.example.com'],
  ['[ipv6:::1]', '::1'],
])('the domain of %s is %s', (destination, domain) => {
  expect(nexthopDomain(destination)).toBe(domain);
});

it.each([
  ['verify', ['mx.test']],
  ['secure', ['example.com', '.example.com']],
  ['encrypt', []],
])('level %s matches %j', (level, match) => {
  const config = makeConfig({ smtp_tls_security_level: level });
  expect(tlsPolicy(config, 'smtp', '[example.com]:587', 'mx.test')).toMatchObject({
    kind: 'policy',
    level,
    match,
  });
});

it('smtp_tls_connection_reuse and lmtp_tls_connection_reuse: whether sessions that speak TLS are parked', () => {
  const config = makeConfig({ smtp_tls_connection_reuse: 'no', lmtp_tls_connection_reuse: 'yes' });
  const at = (protocol: 'smtp' | 'lmtp') => tlsPolicy(config, protocol, 'e.com', 'mx', { level: 'encrypt' });
  expect(at('smtp')).toMatchObject({ connectionReuse: false });
  expect(at('lmtp')).toMatchObject({ connectionReuse: true });
});

it('mandatory levels have parameters of their own', () => {
  const values = {
    smtp_tls_protocols: '>=TLSv1.2',
    smtp_tls_mandatory_protocols: 'TLSv1.3',
    smtp_tls_ciphers: 'medium',
    smtp_tls_mandatory_ciphers: 'high',
    smtp_tls_exclude_ciphers: 'RC4',
    smtp_tls_mandatory_exclude_ciphers: '3DES',
  };
  const at = (level: string) =>
    tlsPolicy(makeConfig({ ...values, smtp_tls_security_level: level }), 'smtp', 'e.com', 'mx');
  expect(at('may')).toMatchObject({ protocols: ['>=TLSv1.2'], ciphers: 'medium', excludeCiphers: ['RC4'] });
  expect(at('encrypt')).toMatchObject({
    protocols: ['TLSv1.3'],
    ciphers: 'high',
    excludeCiphers: ['RC4', '3DES', 'eNULL'],
  });
  expect(at('secure')).toMatchObject({ excludeCiphers: ['RC4', '3DES', 'aNULL'] });
});

it('an empty fingerprint list is no policy', () => {
  const config = makeConfig({ smtp_tls_security_level: 'fingerprint' });
  expect(tlsPolicy(config, 'smtp', 'e.com', 'mx')).toMatchObject({ kind: 'invalid', status: '4.7.5' });
});

it.each([
  ['mx.example.com', 'MX.example.com', true],
  ['mx.example.com', '*.example.com', true],
  ['a.mx.example.com', '*.example.com', false],
  ['mx.example.com', 'm*.example.com', false],
  ['example.com', '*.example.com', false],
  ['.example.com', 'mx.example.com', true],
  ['.example.com', 'a.mx.example.com', true],
  ['.example.com', 'example.com', false],
  ['.example.com', '*.example.com', true],
  ['.example.com', 'notexample.com', false],
])('wanted %s, presented %s: %s', (wanted, presented, matches) => {
  expect(nameMatches(wanted, presented)).toBe(matches);
});

it.each([
  [['>=TLSv1'], 'TLSv1', 'TLSv1.3'],
  [['>=TLSv1.2', '<=TLSv1.2'], 'TLSv1.2', 'TLSv1.2'],
  [['!SSLv2', '!SSLv3', '!TLSv1'], 'TLSv1.1', 'TLSv1.3'],
  [['SSLv3', 'TLSv1'], 'TLSv1', 'TLSv1'],
  [['tlsv1.2:tlsv1.3'], 'TLSv1.2', 'TLSv1.3'],
  [['>=0303'], 'TLSv1.2', 'TLSv1.3'],
  [[], 'TLSv1', 'TLSv1.3'],
])('protocols %j', (list, minVersion, maxVersion) => {
  expect(protocolRange(list)).toEqual({ minVersion, maxVersion, holes: 0 });
});

it.each([[['TLSv9']], [['SSLv3']], [['!TLSv1', '!TLSv1.1', '!TLSv1.2', '!TLSv1.3']]])(
  'protocols %j cannot be met',
  (list) => {
    expect(protocolRange(list)).toBeUndefined();
  },
);

it('an exclusion cannot add ciphers', () => {
  const policy = tlsPolicy(
    makeConfig({ smtp_tls_security_level: 'may' }),
    'smtp',
    'e.com',
    'mx',
  ) as TlsPolicy;
  const lists = cipherLists(makeConfig());
  expect(cipherString({ ...policy, excludeCiphers: ['RC4'] }, lists)).toContain(':!RC4');
  expect(cipherString({ ...policy, excludeCiphers: ['-ALL'] }, lists)).toBeUndefined();
});
