/**
 * What main.cf says about the TLS library for all sessions: curves and groups, options, workarounds (postconf(5) tls_eecdh_auto_curves,
 * tls_ffdhe_auto_groups, tls_ssl_options, tls_disable_workarounds). What the library that Node carries does not know is left out with a
 * warning; main.cf may come from a machine with another one.
 */
import { constants } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Config } from '@mailfleet/config';

export interface LibraryOptions {
  /** Groups for key exchange, best first; undefined: the library's own. */
  readonly ecdhCurve: string | undefined;
  /** SSL_OP bits. */
  readonly secureOptions: number;
  readonly warnings: readonly string[];
}

/** SSL_OP_TLSEXT_PADDING and SSL_OP_SAFARI_ECDHE_ECDSA_BUG have no name in node:crypto. */
const TLSEXT_PADDING = 0x10;
const SAFARI_ECDHE_ECDSA_BUG = 0x40;

const workarounds: Readonly<Record<string, number>> = {
  CRYPTOPRO_TLSEXT_BUG: constants.SSL_OP_CRYPTOPRO_TLSEXT_BUG,
  DONT_INSERT_EMPTY_FRAGMENTS: constants.SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS,
  TLSEXT_PADDING,
  SAFARI_ECDHE_ECDSA_BUG,
  LEGACY_SERVER_CONNECT: constants.SSL_OP_LEGACY_SERVER_CONNECT,
};

/** Bugs of servers that are long gone: nothing is left to switch off. */
const withoutBit: readonly string[] = [
  'MICROSOFT_SESS_ID_BUG',
  'MICROSOFT_BIG_SSLV3_BUFFER',
  'MSIE_SSLV2_RSA_PADDING',
  'NETSCAPE_CHALLENGE_BUG',
  'NETSCAPE_REUSE_CIPHER_CHANGE_BUG',
  'SSLEAY_080_CLIENT_DH_BUG',
  'SSLREF2_REUSE_CERT_TYPE_BUG',
  'TLS_BLOCK_PADDING_BUG',
  'TLS_D5_BUG',
];

/** SSL_OP_ENABLE_MIDDLEBOX_COMPAT */
const MIDDLEBOX_COMPAT = 0x100000;

const options: Readonly<Record<string, number>> = {
  ALLOW_NO_DHE_KEX: constants.SSL_OP_ALLOW_NO_DHE_KEX,
  ENABLE_MIDDLEBOX_COMPAT: MIDDLEBOX_COMPAT,
  LEGACY_SERVER_CONNECT: constants.SSL_OP_LEGACY_SERVER_CONNECT,
  NO_COMPRESSION: constants.SSL_OP_NO_COMPRESSION,
  NO_ENCRYPT_THEN_MAC: constants.SSL_OP_NO_ENCRYPT_THEN_MAC,
  NO_RENEGOTIATION: constants.SSL_OP_NO_RENEGOTIATION,
  NO_SESSION_RESUMPTION_ON_RENEGOTIATION: constants.SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION,
  NO_TICKET: constants.SSL_OP_NO_TICKET,
  PRIORITIZE_CHACHA: constants.SSL_OP_PRIORITIZE_CHACHA,
  TLSEXT_PADDING,
};

/** Sum of the bits of names (any case) and of numbers like 0x4000; names that `unknown` gets are left out. */
const bitsOf = (
  words: readonly string[],
  names: Readonly<Record<string, number>>,
  unknown: (word: string) => void,
): number => {
  let bits = 0n;
  for (const word of words) {
    const bit = /^0x[0-9a-f]{1,12}$/i.test(word) ? Number(word) : names[word.toUpperCase()];
    if (bit === undefined) unknown(word);
    else bits |= BigInt(bit);
  }
  return Number(bits);
};

export const libraryOptions = (config: Config): LibraryOptions => {
  const warnings: string[] = [];
  const groups = [...config.get('tls_eecdh_auto_curves'), ...config.get('tls_ffdhe_auto_groups')].filter(
    (group) => {
      const known = isGroup(group);
      if (!known) warnings.push(`ignoring unknown key exchange group "${group}"`);
      return known;
    },
  );
  const disabled = bitsOf(config.get('tls_disable_workarounds'), workarounds, (word) => {
    if (!withoutBit.includes(word.toUpperCase())) {
      warnings.push(`tls_disable_workarounds: ignoring unknown workaround "${word}"`);
    }
  });
  const enabled = bitsOf(config.get('tls_ssl_options'), options, (word) => {
    warnings.push(`tls_ssl_options: ignoring unknown option "${word}"`);
  });
  const all = BigInt(constants.SSL_OP_ALL) & ~BigInt(disabled);
  return {
    ecdhCurve: groups.length === 0 ? undefined : groups.join(':'),
    secureOptions: Number(all | BigInt(enabled)),
    warnings,
  };
};

const isGroup = (name: string): boolean => {
  try {
    createSecureContext({ ecdhCurve: name });
    return true;
  } catch {
    return false;
  }
};
