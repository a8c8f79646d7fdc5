/**
 * A throw-away certificate authority and what it issues: servers' and clients' certificates, intermediate authorities, and
 * everything that can be wrong with them. Keys are P-256 unless a test is about others, so that a certificate costs a
 * millisecond. Files live in a new folder until `remove()`.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { basicConstraints, type Extension, subjectAltName, writeCertificate } from './x509.ts';

export interface Certificate {
  /** PEM texts, ready for node:tls. */
  readonly cert: string;
  readonly key: string;
  /** The certificate, then the intermediate authorities up to, but without, the root. */
  readonly chain: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly chainFile: string;
}

export interface IssueOptions {
  /** Leaves the authority out. */
  readonly selfSigned?: boolean;
  readonly expired?: boolean;
  readonly notYetValid?: boolean;
  readonly keyType?: 'ec' | 'rsa' | 'dsa';
  /** The key of another certificate, in PEM, in place of a new one. */
  readonly key?: string;
  /** Default: the first name. */
  readonly commonName?: string;
  /** In place of subjectAltName and basicConstraints. */
  readonly extensions?: readonly Extension[];
}

export interface CertificateAuthority {
  readonly ca: Certificate;
  /** A certificate for these DNS names and IP addresses. */
  issue(names: readonly string[], options?: IssueOptions): Certificate;
  /** An authority below this one. */
  authority(commonName: string, options?: IssueOptions): CertificateAuthority;
  /** Writes a file beside the others; its path. */
  write(name: string, content: string): string;
  remove(): void;
}

const DAY_MS = 86_400_000;

const newKey = (type: 'ec' | 'rsa' | 'dsa'): KeyObject => {
  switch (type) {
    case 'ec':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    case 'dsa':
      return generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 }).privateKey;
  }
};

const validity = ({ expired, notYetValid }: IssueOptions): { notBefore: Date; notAfter: Date } => {
  const [from, to] = expired === true ? [-3, -1] : notYetValid === true ? [1, 3] : [-1, 30];
  const now = Date.now();
  return { notBefore: new Date(now + from * DAY_MS), notAfter: new Date(now + to * DAY_MS) };
};

export function makeCertificates(commonName = 'Mailfleet test CA'): CertificateAuthority {
  const directory = mkdtempSync(join(tmpdir(), 'mailfleet-certificates-'));
  // Daemons that gave up their rights read some files too.
  chmodSync(directory, 0o755);
  let count = 0;

  const write = (name: string, content: string): string => {
    const file = join(directory, name);
    writeFileSync(file, content);
    return file;
  };

  const sign = (
    subject: string | undefined,
    extensions: readonly Extension[],
    options: IssueOptions,
    issuer: { readonly name: string; readonly key: KeyObject; readonly chain: string } | undefined,
  ): { certificate: Certificate; privateKey: KeyObject } => {
    const privateKey =
      options.key === undefined ? newKey(options.keyType ?? 'ec') : createPrivateKey(options.key);
    const cert = writeCertificate(
      {
        subject,
        issuer: issuer === undefined ? subject : issuer.name,
        publicKey: createPublicKey(privateKey),
        ...validity(options),
        extensions,
      },
      issuer?.key ?? privateKey,
    );
    const stem = `cert${++count}`;
    const chain = `${cert}${issuer?.chain ?? ''}`;
    const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    return {
      privateKey,
      certificate: {
        cert,
        key,
        chain,
        certFile: write(`${stem}.crt`, cert),
        keyFile: write(`${stem}.key`, key),
        chainFile: write(`${stem}-chain.crt`, chain),
      },
    };
  };

  const authorityOf = (
    name: string,
    ca: Certificate,
    key: KeyObject,
    chain: string,
  ): CertificateAuthority => ({
    ca,
    issue: (names, options = {}) =>
      sign(
        options.commonName ?? names[0] ?? 'unnamed.test',
        options.extensions ?? [subjectAltName(names), basicConstraints(false)],
        options,
        options.selfSigned === true ? undefined : { name, key, chain },
      ).certificate,
    authority: (below, options = {}) => {
      const extensions = options.extensions ?? [basicConstraints(true)];
      const made = sign(below, extensions, options, { name, key, chain });
      return authorityOf(below, made.certificate, made.privateKey, made.certificate.chain);
    },
    write,
    remove: () => rmSync(directory, { recursive: true, force: true }),
  });

  const root = sign(commonName, [basicConstraints(true)], {}, undefined);
  return authorityOf(commonName, root.certificate, root.privateKey, '');
}
