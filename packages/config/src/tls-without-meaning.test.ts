/** TLS parameters that mean nothing in a fleet: main.cf may set them, is told why nothing follows, and delivery is as before. */
import { expect, it } from 'vitest';
import { loadConfig } from './load.ts';
import { findParameter } from './parameter.ts';

it.each([
  'smtp_tls_enable_rpk',
  'lmtp_tls_enable_rpk',
  'smtp_tls_trace_size_limit',
  'lmtp_tls_trace_size_limit',
  'tls_config_file',
  'tls_config_name',
  'tls_dane_digest_agility',
  'tls_dane_trust_anchor_digest_enable',
  'tls_eecdh_strong_curve',
  'tls_eecdh_ultra_curve',
  'tls_fast_shutdown_enable',
  'tls_legacy_public_key_fingerprints',
  'tls_preempt_cipherlist',
  'tls_random_bytes',
  'tls_random_exchange_name',
  'tls_random_prng_update_period',
  'tls_random_reseed_period',
  'tls_random_source',
  'tls_server_sni_maps',
  'tls_session_ticket_cipher',
  'tls_trace_rate_limit',
  'tls_trust_server_ccerts',
  'tls_wildcard_matches_multiple_labels',
  'openssl_path',
  'tlsmgr_service_name',
  'tlsproxy_service_name',
  'tlsproxy_watchdog_timeout',
  'tlsproxy_client_CAfile',
  'tlsproxy_client_CApath',
  'tlsproxy_client_cert_file',
  'tlsproxy_client_key_file',
  'tlsproxy_client_dcert_file',
  'tlsproxy_client_dkey_file',
  'tlsproxy_client_eccert_file',
  'tlsproxy_client_eckey_file',
  'tlsproxy_client_fingerprint_digest',
  'tlsproxy_client_loglevel',
  'tlsproxy_client_loglevel_parameter',
  'tlsproxy_client_scert_verifydepth',
  'tlsproxy_client_level',
  'tlsproxy_client_security_level',
  'tlsproxy_client_per_site',
  'tlsproxy_client_policy',
  'tlsproxy_client_policy_maps',
  'tlsproxy_client_use_tls',
  'tlsproxy_client_enforce_tls',
  'tlsproxy_client_chain_files',
])('%s is accepted, and said to have no effect', (name) => {
  const parameter = findParameter(name);
  const value = { boolean: 'yes', integer: '2', size: '2', time: '20s' }[String(parameter?.type)] ?? 'x';
  const loaded = loadConfig({ overrides: [`${name}=${value}`] });
  if (!loaded.ok) throw new Error(loaded.problems.map(({ message }) => message).join('; '));
  expect(loaded.warnings.map(({ message }) => message)).toEqual([
    `${name} has no effect here: ${parameter?.moot}`,
  ]);
});
