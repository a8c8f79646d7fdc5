/**
 * Cipher grades and exclusions as cipher strings of the TLS library (postconf(5) smtp_tls_ciphers, tls_high_cipherlist). Grades low and
 * export mean medium, as in Postfix since 3.8. The suites of TLS 1.3 have no grades: they are always offered.
 */
import type { Config } from '@mailfleet/config';
import { requiresMatch } from './level.ts';
import type { TlsPolicy } from './policy.ts';

const tls13 = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256';

export interface CipherLists {
  readonly high: string;
  readonly medium: string;
  readonly null: string;
}

export const cipherLists = (config: Config): CipherLists => ({
  high: config.get('tls_high_cipherlist'),
  medium: config.get('tls_medium_cipherlist'),
  null: config.get('tls_null_cipherlist'),
});

/** The library's cipher string; undefined when an exclusion is written so that it could add ciphers. */
export const cipherString = (policy: TlsPolicy, lists: CipherLists): string | undefined => {
  const exclusions = policy.excludeCiphers.flatMap((word) => word.split(':'));
  if (exclusions.some((word) => /^[!+\-@]/.test(word))) return undefined;
  const { ciphers: grade } = policy;
  const list = grade === 'high' || grade === 'null' ? lists[grade] : lists.medium;
  // Node tells the suites of TLS 1.3 from the rest by this separator only.
  const words = list.split(/[:,; ]+/).filter((word) => word !== '');
  const excluded = exclusions.filter((word) => word !== '').map((word) => `!${word}`);
  // A must-match level needs the library's security level 1: signatures and keys that cannot be forged.
  return [tls13, ...words, ...excluded, `@SECLEVEL=${requiresMatch(policy.level) ? 1 : 0}`].join(':');
};
