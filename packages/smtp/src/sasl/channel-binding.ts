/**
 * What ties a login to its TLS session (RFC 5929, RFC 9266), for the -PLUS mechanisms.
 *
 * TLS 1.3 has its exporter. Below that it is `tls-unique`; but a resumed session may repeat the values of another one when the server lacks the
 * extended master secret (RFC 7627 section 1), which Node does not tell, so that resumed sessions are bound to the server's certificate.
 */
import { createHash, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { ChannelBinding } from './mechanism.ts';

/** Undefined: this session has no value that a server would know too. */
export const channelBindingOf = (socket: TLSSocket): ChannelBinding | undefined => {
  if (socket.getProtocol() === 'TLSv1.3') {
    const data = socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
    return { type: 'tls-exporter', data };
  }
  if (!socket.isSessionReused()) {
    const data = socket.getFinished();
    return data && { type: 'tls-unique', data };
  }
  const { raw } = socket.getPeerCertificate() as { readonly raw?: Buffer };
  const data = raw && endPointDigest(raw);
  return data && { type: 'tls-server-end-point', data };
};

/** RFC 5929 section 4.1: by the hash of the certificate's signature, SHA-256 in place of MD5 and SHA-1. */
const endPointDigest = (certificate: Buffer): Buffer | undefined => {
  const { signatureAlgorithm = '' } = new X509Certificate(certificate);
  const [, hash = ''] = /(md5|sha1|sha224|sha256|sha384|sha512)/i.exec(signatureAlgorithm) ?? [];
  if (hash === '') return undefined;
  return createHash(/md5|sha1/i.test(hash) ? 'sha256' : hash.toLowerCase())
    .update(certificate)
    .digest();
};
