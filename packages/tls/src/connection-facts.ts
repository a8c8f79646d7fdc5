/**
 * What the connection itself says, resumed or not: protocol, cipher, keys; and the line that sums it up, in Postfix's words (TLS_README,
 * "smtp_tls_loglevel"). Node does not tell which digest an RSA server signed with, so that the line ends before it there.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

export interface ConnectionFacts {
  /** e.g. `TLSv1.3`. */
  readonly protocol: string;
  /** OpenSSL's name. */
  readonly cipher: string;
  /** The group of the key exchange, where the library tells it. */
  readonly group?: string;
  /** The log line about a session with this server. */
  readonly summary: (server: string) => string;
}

export const connectionFacts = (
  socket: TLSSocket,
  kind: string,
  certificate: X509Certificate | undefined,
): ConnectionFacts => {
  const protocol = socket.getProtocol() ?? 'unknown';
  const cipher = socket.getCipher();
  const ephemeral = socket.getEphemeralKeyInfo();
  const group = ephemeral !== null && 'name' in ephemeral ? ephemeral.name : undefined;
  const details =
    protocol === 'TLSv1.3'
      ? `${group === undefined ? '' : ` key-exchange ${group}`}${signatureOf(certificate)}`
      : '';
  return {
    protocol,
    cipher: cipher.name,
    ...(group === undefined ? {} : { group }),
    summary: (server) =>
      `${kind} TLS connection established to ${server}: ${protocol} with cipher ${cipher.name} (${bitsOf(cipher.standardName)} bits)${details}`,
  };
};

/** Bits used and bits of the cipher. */
const bitsOf = (cipher: string): string => {
  if (/NULL/.test(cipher)) return '0/0';
  if (/3DES/.test(cipher)) return '112/168';
  const bits = /256_(?:GCM|CBC|CCM)|CHACHA20/.test(cipher) ? 256 : 128;
  return `${bits}/${bits}`;
};

/** The digest that goes with a curve. */
const curves: Readonly<Record<string, string>> = {
  prime256v1: 'SHA256',
  secp384r1: 'SHA384',
  secp521r1: 'SHA512',
};

/** With what the server signed, as far as its key decides that (RFC 8446 section 4.2.3). */
const signatureOf = (certificate: X509Certificate | undefined): string => {
  const key = certificate?.publicKey;
  switch (key?.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      return ` server-signature RSA-PSS (${key.asymmetricKeyDetails?.modulusLength} bits)`;
    case 'ec': {
      const curve = key.asymmetricKeyDetails?.namedCurve ?? '';
      const digest = curves[curve];
      return digest === undefined
        ? ' server-signature ECDSA'
        : ` server-signature ECDSA (${curve}) server-digest ${digest}`;
    }
    case 'ed25519':
      return ' server-signature ED25519';
    case 'ed448':
      return ' server-signature ED448';
    default:
      return '';
  }
};
