/**
 * From a policy to the options of node:tls: trust anchors, client certificate, protocol range, ciphers.
 *
 * Certificates are read once per client (`createTlsClient`) and secure contexts are kept per protocol and cipher choice, because making
 * one costs more than a handshake. Verification is ours (`verifyPeer`), so node never ends a handshake over it.
 * A certificate file that cannot be read makes TLS unavailable, with a warning, as in Postfix.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  type SecureVersion,
} from 'node:tls';
import type { Config } from '@mailfleet/config';
import { requiresMatch } from './level.ts';
import type { TlsPolicy } from './policy.ts';

export type HandshakeOptions =
  | { readonly kind: 'options'; readonly options: ConnectionOptions }
  | { readonly kind: 'failed'; readonly reason: string };

export interface TlsClient {
  /** Set when TLS cannot be used at all, and why. */
  readonly unavailable: string | undefined;
  optionsFor(policy: TlsPolicy): HandshakeOptions;
}

const versions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const satisfies readonly SecureVersion[];
/** Read without an error, but OpenSSL no longer has them. */
const gone = ['sslv2', 'sslv3'];
const hexVersion: Readonly<Record<string, SecureVersion>> = {
  '0301': 'TLSv1',
  '0302': 'TLSv1.1',
  '0303': 'TLSv1.2',
  '0304': 'TLSv1.3',
};

const versionOf = (word: string): SecureVersion | undefined =>
  versions.find((version) => version.toLowerCase() === word.toLowerCase()) ?? hexVersion[word];

/** Lowest and highest version that a protocol list allows; undefined when it is malformed or allows none. */
export const protocolRange = (
  list: readonly string[],
): { readonly minVersion: SecureVersion; readonly maxVersion: SecureVersion } | undefined => {
  let low = 0;
  let high = versions.length - 1;
  const included = new Set<number>();
  const excluded = new Set<number>();
  let positive = false;
  for (const word of list.flatMap((entry) => entry.split(':'))) {
    const [, sign = '', name = ''] = /^(>=|<=|!)?(.*)$/.exec(word) ?? [];
    const version = versionOf(name);
    if (version === undefined) {
      if (sign === '>=' && (name === '' || name.toLowerCase() === 'none' || name === '0')) continue;
      if (!gone.includes(name.toLowerCase())) return undefined;
      if (sign === '') positive = true;
      if (sign === '<=') high = -1;
      continue;
    }
    const index = versions.indexOf(version as (typeof versions)[number]);
    if (sign === '>=') low = Math.max(low, index);
    else if (sign === '<=') high = Math.min(high, index);
    else if (sign === '!') excluded.add(index);
    else {
      positive = true;
      included.add(index);
    }
  }
  const usable = versions.filter(
    (_, index) => index >= low && index <= high && !excluded.has(index) && (!positive || included.has(index)),
  );
  const minVersion = usable[0];
  const maxVersion = usable.at(-1);
  return minVersion === undefined || maxVersion === undefined ? undefined : { minVersion, maxVersion };
};

const tls13 = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256';

/** OpenSSL cipher string of a grade with exclusions; undefined when an exclusion could add ciphers. */
export const cipherString = (policy: TlsPolicy): string | undefined => {
  if (policy.excludeCiphers.some((word) => /^[!+\-@]/.test(word))) return undefined;
  const grade = policy.ciphers === 'high' ? 'HIGH' : policy.ciphers === 'null' ? 'eNULL' : 'HIGH:MEDIUM';
  const anonymous = policy.ciphers === 'null' ? '' : 'aNULL:-aNULL:';
  const excluded = policy.excludeCiphers.map((word) => `:!${word}`).join('');
  const suites = policy.ciphers === 'null' ? '' : `${tls13}:`;
  return `${suites}${anonymous}${grade}${excluded}:@STRENGTH:@SECLEVEL=${requiresMatch(policy.level) ? 1 : 0}`;
};

interface Material {
  readonly ca: readonly string[];
  readonly pairs: readonly { readonly cert: string; readonly key: string }[];
}

const readMaterial = (config: Config, protocol: 'smtp' | 'lmtp'): Material => {
  const ca: string[] = [];
  const caFile = config.getFor(protocol, 'smtp_tls_CAfile');
  if (caFile !== '') ca.push(readFileSync(caFile, 'utf8'));
  const caPath = config.getFor(protocol, 'smtp_tls_CApath');
  if (caPath !== '') {
    for (const name of readdirSync(caPath)) {
      if (/\.(?:pem|crt|\d+)$/.test(name)) ca.push(readFileSync(join(caPath, name), 'utf8'));
    }
  }
  const pairs: { cert: string; key: string }[] = [];
  const files = [
    ['smtp_tls_cert_file', 'smtp_tls_key_file'],
    ['smtp_tls_dcert_file', 'smtp_tls_dkey_file'],
    ['smtp_tls_eccert_file', 'smtp_tls_eckey_file'],
  ] as const;
  for (const [certName, keyName] of files) {
    const cert = config.getFor(protocol, certName);
    if (cert === '' || cert === 'none') continue;
    pairs.push({
      cert: readFileSync(cert, 'utf8'),
      key: readFileSync(config.getFor(protocol, keyName), 'utf8'),
    });
  }
  return { ca, pairs };
};

export const createTlsClient = (config: Config, protocol: 'smtp' | 'lmtp'): TlsClient => {
  let material: Material = { ca: [], pairs: [] };
  let unavailable: string | undefined;
  try {
    material = readMaterial(config, protocol);
    makeContext(material, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }, undefined);
  } catch (error) {
    unavailable = error instanceof Error ? error.message : String(error);
  }
  const contexts = new Map<string, SecureContext>();

  return {
    unavailable,
    optionsFor: (policy) => {
      const range = protocolRange(policy.protocols);
      const ciphers = cipherString(policy);
      if (range === undefined) {
        return { kind: 'failed', reason: `no usable protocol in "${policy.protocols.join(', ')}"` };
      }
      if (ciphers === undefined) {
        return { kind: 'failed', reason: `bad cipher exclusion in "${policy.excludeCiphers.join(', ')}"` };
      }
      const key = `${range.minVersion} ${range.maxVersion} ${ciphers}`;
      let context = contexts.get(key);
      if (context === undefined) {
        try {
          context = makeContext(material, range, ciphers);
        } catch (error) {
          return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) };
        }
        contexts.set(key, context);
      }
      return {
        kind: 'options',
        options: {
          secureContext: context,
          rejectUnauthorized: false,
          checkServerIdentity: () => undefined,
          ...(policy.serverName === '' ? {} : { servername: policy.serverName }),
        },
      };
    },
  };
};

const makeContext = (
  material: Material,
  range: { readonly minVersion: SecureVersion; readonly maxVersion: SecureVersion },
  ciphers: string | undefined,
): SecureContext =>
  createSecureContext({
    // An empty list, not node's own bundle: main.cf alone says whom to trust.
    ca: [...material.ca],
    ...(material.pairs.length === 0
      ? {}
      : { cert: material.pairs.map((pair) => pair.cert), key: material.pairs.map((pair) => pair.key) }),
    ...range,
    ...(ciphers === undefined ? {} : { ciphers }),
  });
