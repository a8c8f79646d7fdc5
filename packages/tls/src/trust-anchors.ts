/**
 * Trust anchors of a destination (`tafile`, `smtp_tls_trust_anchor_file`): certificates and bare public keys in PEM files, which then
 * count in place of the CA certificates. An anchor may be an intermediate authority, may be expired, and may be the
 * server's own certificate or key.
 */
import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface TrustAnchors {
  readonly certificates: readonly X509Certificate[];
  readonly publicKeys: readonly KeyObject[];
  /** Identifies the set: two sessions that trust other anchors are not worth the same. */
  readonly digest: string;
}

const block = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g;

/** @throws a sentence that names the file, when one cannot be read or holds no anchor */
export const readTrustAnchors = (files: readonly string[]): TrustAnchors => {
  const certificates: X509Certificate[] = [];
  const publicKeys: KeyObject[] = [];
  for (const file of files) {
    const found = certificates.length + publicKeys.length;
    for (const [pem, type] of readFileSync(file, 'utf8').matchAll(block)) {
      try {
        if (/^(?:X509 )?CERTIFICATE$/.test(type ?? '')) {
          certificates.push(new X509Certificate(pem.replaceAll('X509 CERTIFICATE', 'CERTIFICATE')));
        } else if (type === 'PUBLIC KEY') publicKeys.push(createPublicKey(pem));
      } catch (error) {
        throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (certificates.length + publicKeys.length === found) {
      throw new Error(`${file} holds neither a certificate nor a public key`);
    }
  }
  const all = [...certificates.map(({ raw }) => raw), ...publicKeys.map(derOf)];
  const digests = all.map((der) => createHash('sha256').update(der).digest('hex')).sort();
  return { certificates, publicKeys, digest: digests.join(' ') };
};

const derOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });
