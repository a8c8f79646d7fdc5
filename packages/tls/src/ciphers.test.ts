/** Cipher strings and library options of main.cf. What they do to a handshake is tested in packages/smtp. */
import { constants } from 'node:crypto';
import { makeConfig } from '@mailfleet/config';
import { expect, it } from 'vitest';
import { cipherLists, cipherString } from './ciphers.ts';
import { createTlsClient } from './handshake.ts';
import { libraryOptions } from './library-options.ts';
import { parseLogLevel } from './log-level.ts';
import { type TlsPolicy, tlsPolicy } from './policy.ts';

const policyAt = (level: string, values: Record<string, string> = {}): TlsPolicy => {
  const config = makeConfig({ smtp_tls_security_level: level, ...values });
  const policy = tlsPolicy(config, 'smtp', 'e.com', 'mx.test');
  if (policy.kind !== 'policy') throw new Error('no policy');
  return policy;
};
const lists = {
  tls_high_cipherlist: 'ECDHE-RSA-AES256-GCM-SHA384',
  tls_medium_cipherlist: 'ECDHE-RSA-AES128-GCM-SHA256, AES128-SHA',
  tls_null_cipherlist: 'eNULL',
};
const suites = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256';

it.each([
  ['tls_high_cipherlist', 'high', 'ECDHE-RSA-AES256-GCM-SHA384'],
  ['tls_medium_cipherlist', 'medium', 'ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA'],
  ['tls_low_cipherlist', 'low', 'ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA'],
  ['tls_export_cipherlist', 'export', 'ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA'],
  ['tls_null_cipherlist', 'null', 'eNULL'],
])('%s: grade %s of smtp_tls_ciphers and smtp_tls_mandatory_ciphers', (name, grade, words) => {
  // The lists of the former grades low and export are read and do not count, as in Postfix.
  const config = makeConfig({ tls_low_cipherlist: 'ALL', tls_export_cipherlist: 'ALL', ...lists });
  expect(config.isSet(name)).toBe(true);
  const at = (level: string) =>
    cipherString(
      policyAt(level, { smtp_tls_ciphers: grade, smtp_tls_mandatory_ciphers: grade }),
      cipherLists(config),
    );
  expect(at('may')).toBe(`${suites}:${words}:@SECLEVEL=0`);
  expect(at('encrypt')).toBe(`${suites}:${words}:!eNULL:@SECLEVEL=0`);
  expect(at('verify')).toBe(`${suites}:${words}:!aNULL:@SECLEVEL=1`);
});

it('smtp_tls_exclude_ciphers at every level, smtp_tls_mandatory_exclude_ciphers where TLS is mandatory', () => {
  const values = { smtp_tls_exclude_ciphers: 'RC4:DES, MD5', smtp_tls_mandatory_exclude_ciphers: '3DES' };
  const at = (level: string) =>
    cipherString(policyAt(level, values), cipherLists(makeConfig(lists)))
      ?.split(':')
      .filter((word) => word.startsWith('!'));
  expect(at('may')).toEqual(['!RC4', '!DES', '!MD5']);
  expect(at('encrypt')).toEqual(['!RC4', '!DES', '!MD5', '!3DES', '!eNULL']);
  const bad = policyAt('may', { smtp_tls_exclude_ciphers: 'RC4, +ALL' });
  expect(createTlsClient(makeConfig(), 'smtp').optionsFor(bad)).toEqual({
    kind: 'failed',
    reason: "invalid unary '!+-@' in cipher exclusion: RC4, +ALL",
  });
});

it('tls_medium_cipherlist: one that the library cannot use fails the handshake, not the start', () => {
  const client = createTlsClient(makeConfig({ tls_medium_cipherlist: 'no-such-cipher' }), 'smtp');
  expect(client.unavailable).toBeUndefined();
  expect(client.optionsFor(policyAt('may'))).toEqual({
    kind: 'failed',
    reason: expect.stringContaining('no cipher match'),
  });
});

it('tls_ssl_options and tls_disable_workarounds: names and numbers become bits, unknown ones a warning', () => {
  const at = (values: Record<string, string>) => libraryOptions(makeConfig(values));
  const all = constants.SSL_OP_ALL;
  expect(at({})).toMatchObject({ secureOptions: all, warnings: [] });
  expect(at({ tls_ssl_options: 'no_ticket, NO_RENEGOTIATION, 0x20000' }).secureOptions).toBe(
    Number(
      BigInt(all) |
        BigInt(
          constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
        ),
    ),
  );
  expect(
    at({
      tls_disable_workarounds: 'DONT_INSERT_EMPTY_FRAGMENTS CRYPTOPRO_TLSEXT_BUG MSIE_SSLV2_RSA_PADDING',
    }),
  ).toMatchObject({
    secureOptions: Number(
      BigInt(all) &
        ~BigInt(constants.SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS) &
        ~BigInt(constants.SSL_OP_CRYPTOPRO_TLSEXT_BUG),
    ),
    warnings: [],
  });
  expect(at({ tls_ssl_options: 'FASTER', tls_disable_workarounds: 'ALL_OF_THEM' }).warnings).toEqual([
    'tls_disable_workarounds: ignoring unknown workaround "ALL_OF_THEM"',
    'tls_ssl_options: ignoring unknown option "FASTER"',
  ]);
});

it('tls_eecdh_auto_curves and tls_ffdhe_auto_groups: what the library knows is offered in this order', () => {
  const { ecdhCurve, warnings } = libraryOptions(
    makeConfig({ tls_eecdh_auto_curves: 'secp384r1 flatland X25519', tls_ffdhe_auto_groups: 'ffdhe3072' }),
  );
  expect(ecdhCurve).toBe('secp384r1:X25519:ffdhe3072');
  expect(warnings).toEqual(['ignoring unknown key exchange group "flatland"']);
});

it.each<[string[], string[], string[]]>([
  [['0'], [], []],
  [['1'], ['summary'], []],
  [['2'], ['summary', 'peerCertificate', 'match', 'verbose'], []],
  [['4'], ['summary', 'peerCertificate', 'match', 'verbose'], []],
  [['none'], [], []],
  [['summary', 'Untrusted'], ['summary', 'untrusted'], []],
  [['peercert', 'certmatch', 'trace'], ['peerCertificate', 'match'], []],
  [['ssl-debug', 'cache', 'dane', 'loud'], [], ['loud']],
])('smtp_tls_loglevel %j', (words, on, unknown) => {
  const { unknown: unknownWords, ...logging } = parseLogLevel(words);
  expect(Object.entries(logging).flatMap(([name, value]) => (value ? [name] : []))).toEqual(on);
  expect(unknownWords).toEqual(unknown);
});
