/**
 * Every parameter that the client's manual page documented has a test that names it in its title. `npm run parameters` prints which.
 */
import { fileURLToPath } from 'node:url';
import { parameters } from '@mailfleet/config';
import { expect, test } from 'vitest';
import { byParameter, testsOfSources } from './named-tests.ts';
import { titlesIn } from './titles.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Those whose test is still to come; the list can only shrink. */
const PENDING: readonly string[] = [
  'disable_mime_output_conversion',
  'error_notice_recipient',
  'mime_boundary_length_limit',
  'mime_nesting_limit',
  'non_smtpd_milters',
  'notify_classes',
  'send_cyrus_sasl_authzid',
  'smtp_enforce_tls',
  'smtp_generic_maps',
  'smtp_sasl_auth_enable',
  'smtp_sasl_mechanism_filter',
  'smtp_sasl_password_maps',
  'smtp_sasl_path',
  'smtp_sasl_security_options',
  'smtp_sasl_tls_security_options',
  'smtp_sasl_tls_verified_security_options',
  'smtp_sasl_type',
  'smtp_sender_dependent_authentication',
  'smtp_tls_CAfile',
  'smtp_tls_CApath',
  'smtp_tls_cert_file',
  'smtp_tls_cipherlist',
  'smtp_tls_dcert_file',
  'smtp_tls_dkey_file',
  'smtp_tls_enforce_peername',
  'smtp_tls_exclude_ciphers',
  'smtp_tls_key_file',
  'smtp_tls_loglevel',
  'smtp_tls_mandatory_ciphers',
  'smtp_tls_mandatory_exclude_ciphers',
  'smtp_tls_mandatory_protocols',
  'smtp_tls_note_starttls_offer',
  'smtp_tls_scert_verifydepth',
  'smtp_tls_secure_cert_match',
  'smtp_tls_session_cache_database',
  'smtp_tls_session_cache_timeout',
  'smtp_tls_verify_cert_match',
  'smtp_use_tls',
  'tls_daemon_random_bytes',
  'tls_export_cipherlist',
  'tls_high_cipherlist',
  'tls_low_cipherlist',
  'tls_medium_cipherlist',
  'tls_null_cipherlist',
];

test('each parameter of the seed page has a test with its name in the title', () => {
  const seeds = parameters.flatMap(({ name, seed }) => (seed === true ? [name as string] : []));
  const named = byParameter(seeds, testsOfSources(root));
  const unnamed = seeds.filter((name) => named.get(name)?.length === 0);
  expect(
    unnamed.filter((name) => !PENDING.includes(name)),
    'without a test that names them',
  ).toEqual([]);
});

test('titles are those of tests and suites, with the strings of a table whose rows stand in them', () => {
  const source = `
    const rows = [['from_constant', { in_key: 'in_value' }]];
    describe('suite', () => {
      test.skipIf(x)(\`template \${y} end\`, () => use('in_body'));
      test.each([['from_row', 1]])('row %s', () => {});
      it.concurrent.each(rows)('constant %s', () => {});
      test.each([['not_shown']])('fixed', () => {});
    });
    other('no_test', () => {});`;
  expect(titlesIn('a.test.ts', source).sort()).toEqual(
    [
      'suite',
      'template $ end',
      'row %s',
      'from_row',
      'constant %s',
      'from_constant',
      'in_value',
      'fixed',
    ].sort(),
  );
});
