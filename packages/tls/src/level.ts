/**
 * TLS security levels in increasing order, and the level that main.cf gives to every destination without a policy of its own
 * (TLS_README; postconf(5) smtp_tls_security_level and the obsolete smtp_use_tls, smtp_enforce_tls,
 * smtp_tls_enforce_peername). `halfdane` is an outcome of DANE lookups (TLSA records secure, MX record not) and no setting.
 */
import type { Config } from '@mailfleet/config';

const levels = [
  'none',
  'may',
  'encrypt',
  'fingerprint',
  'halfdane',
  'dane',
  'dane-only',
  'verify',
  'secure',
] as const;

export type TlsLevel = (typeof levels)[number];

const rank = (level: TlsLevel): number => levels.indexOf(level);

/** Any case, as in policy tables; undefined for an unknown word. */
export const parseLevel = (word: string): TlsLevel | undefined =>
  levels.find((level) => level !== 'halfdane' && level === word.toLowerCase());

/** Mail does not go out in clear at this level. */
export const requiresTls = (level: TlsLevel): boolean => rank(level) > rank('may');

/** The server must prove who it is at this level. */
export const requiresMatch = (level: TlsLevel): boolean => rank(level) > rank('encrypt');

/** Servers prove who they are with TLSA records at this level. */
export const usesDane = (level: TlsLevel): boolean =>
  level === 'halfdane' || level === 'dane' || level === 'dane-only';

/** The level of main.cf alone. */
export const globalLevel = (config: Config, protocol: 'smtp' | 'lmtp'): TlsLevel => {
  const set = config.getFor(protocol, 'smtp_tls_security_level');
  if (set !== '') return set;
  if (config.getFor(protocol, 'smtp_enforce_tls')) {
    return config.getFor(protocol, 'smtp_tls_enforce_peername') ? 'verify' : 'encrypt';
  }
  return config.getFor(protocol, 'smtp_use_tls') ? 'may' : 'none';
};
