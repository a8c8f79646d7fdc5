/**
 * The files of a TLS client: whom it trusts, and the certificates it shows (postconf(5) smtp_tls_CAfile, smtp_tls_cert_file,
 * smtp_tls_chain_files). Any mistake throws a sentence that names the file; TLS is then unavailable, as in Postfix, since a session
 * without the certificate that somebody configured would not be what they asked for.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import type { Config } from '@mailfleet/config';

export interface Credentials {
  /** CA certificates in PEM. */
  readonly ca: readonly string[];
  /** Certificate chains and keys in PEM, one of each for every algorithm. */
  readonly pairs: readonly KeyPair[];
  /** Changes whenever a file does. */
  readonly version: string;
}

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export type Protocol = 'smtp' | 'lmtp';

const block = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g;

interface PemObject {
  readonly type: 'certificate' | 'key';
  readonly pem: string;
}

/** Certificates and private keys of a file in their order; other objects are left out. */
const pemObjects = (file: string): PemObject[] =>
  [...readFileSync(file, 'utf8').matchAll(block)].flatMap(([pem, type = '']): PemObject[] => {
    if (/^(?:X509 |TRUSTED )?CERTIFICATE$/.test(type)) return [{ type: 'certificate', pem }];
    return /^(?:[A-Z0-9]+ )?PRIVATE KEY$/.test(type) ? [{ type: 'key', pem }] : [];
  });

export const readCredentials = (config: Config, protocol: Protocol): Credentials => ({
  ca: readAuthorities(config, protocol),
  pairs: readPairs(config, protocol),
  version: credentialsVersion(config, protocol),
});

/** What the files' times say: the same as long as none of them was replaced. */
export const credentialsVersion = (config: Config, protocol: Protocol): string =>
  filesOf(config, protocol)
    .map((file) => {
      try {
        const { mtimeMs, ino, size } = statSync(file);
        return `${mtimeMs} ${ino} ${size}`;
      } catch {
        return 'none';
      }
    })
    .join(',');

const filesOf = (config: Config, protocol: Protocol): string[] =>
  [
    config.getFor(protocol, 'smtp_tls_CAfile'),
    config.getFor(protocol, 'smtp_tls_CApath'),
    ...config.getFor(protocol, 'smtp_tls_chain_files'),
    ...pairNames.flatMap((names) => names.map((name) => config.getFor(protocol, name))),
  ].filter((file) => file !== '' && file !== 'none');

const readAuthorities = (config: Config, protocol: Protocol): string[] => {
  const file = config.getFor(protocol, 'smtp_tls_CAfile');
  const path = config.getFor(protocol, 'smtp_tls_CApath');
  const authorities: string[] = [];
  if (file !== '') {
    const found = certificatesIn(file);
    if (found.length === 0) throw new Error(`smtp_tls_CAfile: ${file} holds no certificate`);
    authorities.push(...found);
  }
  // Only what has the name of a hash is meant to be trusted, as `openssl rehash` makes them; the folder may hold other files.
  const hashed = path === '' ? [] : readdirSync(path).filter((name) => /^[0-9a-f]{8}\.\d+$/.test(name));
  for (const name of hashed) authorities.push(...certificatesIn(join(path, name)).filter(isReadable));
  if (config.get('tls_append_default_CA') && (file !== '' || path !== '')) {
    const system = getCACertificates('system');
    authorities.push(...(system.length > 0 ? system : getCACertificates('bundled')).filter(isReadable));
  }
  return [...new Set(authorities)];
};

/** What stands in a folder is somebody else's: one bad file of it must not end all TLS. */
const isReadable = (pem: string): boolean => {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
};

const certificatesIn = (file: string): string[] =>
  pemObjects(file)
    .filter(({ type }) => type === 'certificate')
    .map(({ pem }) => pem.replaceAll(/(?:X509|TRUSTED) CERTIFICATE/g, 'CERTIFICATE'));

const pairNames = [
  ['smtp_tls_cert_file', 'smtp_tls_key_file'],
  ['smtp_tls_dcert_file', 'smtp_tls_dkey_file'],
  ['smtp_tls_eccert_file', 'smtp_tls_eckey_file'],
] as const;

const readPairs = (config: Config, protocol: Protocol): KeyPair[] => {
  const chainFiles = config.getFor(protocol, 'smtp_tls_chain_files');
  if (chainFiles.length > 0) return readChainFiles(chainFiles);
  return pairNames.flatMap(([certName, keyName]) => {
    const certFile = config.getFor(protocol, certName);
    if (certFile === '' || certFile === 'none') return [];
    const keyFile = config.getFor(protocol, keyName);
    const cert = certificatesIn(certFile).join('\n');
    if (cert === '') throw new Error(`${certName}: ${certFile} holds no certificate`);
    // Of several keys the first counts.
    const key = pemObjects(keyFile).find(({ type }) => type === 'key')?.pem;
    if (key === undefined) throw new Error(`${keyName}: ${keyFile} holds no private key`);
    checkPair({ cert, key }, certFile, keyFile);
    return [{ cert, key }];
  });
};

/** Each key stands before its certificate and that one's issuers; a file may hold several such chains, and begin within one. */
const readChainFiles = (files: readonly string[]): KeyPair[] => {
  const chains: { key: string; certs: string[]; file: string }[] = [];
  for (const file of files) {
    const objects = pemObjects(file);
    if (objects.length === 0) throw new Error(`chain file ${file} holds neither key nor certificate`);
    for (const { type, pem } of objects) {
      const open = chains.at(-1);
      if (type === 'key') {
        if (open?.certs.length === 0)
          throw new Error(`${open.file}: a key is not followed by its certificate`);
        chains.push({ key: pem, certs: [], file });
      } else if (open === undefined) {
        throw new Error(`${file}: a chain file begins with the key, then its certificate`);
      } else open.certs.push(pem);
    }
  }
  const [last] = chains.slice(-1);
  if (last?.certs.length === 0) throw new Error(`${last.file}: a key is not followed by its certificate`);
  return chains.map(({ key, certs, file }) => {
    const pair = { key, cert: certs.join('\n') };
    checkPair(pair, file, file);
    return pair;
  });
};

const checkPair = ({ cert, key }: KeyPair, certFile: string, keyFile: string): void => {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(key);
  } catch {
    const why = /ENCRYPTED/.test(key) ? 'is encrypted; it must not be' : 'cannot be read';
    throw new Error(`the private key in ${keyFile} ${why}`);
  }
  if (!new X509Certificate(cert).checkPrivateKey(privateKey)) {
    throw new Error(`the private key in ${keyFile} does not match the certificate in ${certFile}`);
  }
};
