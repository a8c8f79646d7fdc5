/**
 * What a finished handshake is worth: trust, name or fingerprint match (RFC 6125 as Postfix reads it), and the log line.
 *
 * A wildcard must be the whole leftmost label and stands for one label. The common name counts only when the certificate
 * has no DNS name.
 */
import { createHash, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { matchTlsa } from './dane/match.ts';
import { requiresMatch } from './level.ts';
import { nameMatches } from './names.ts';
import type { TlsPolicy } from './policy.ts';

export interface PeerVerdict {
  /** The policy's demand on the certificate is met (always so when it makes none). */
  readonly accepted: boolean;
  readonly kind: 'Anonymous' | 'Untrusted' | 'Trusted' | 'Verified';
  /** Why the chain is not trusted, in OpenSSL's words, when it is not. */
  readonly distrust?: string;
  /** e.g. `TLSv1.3`. */
  readonly protocol: string;
  /** The log line, without the server's name in it. */
  readonly summary: (server: string) => string;
}

/** DNS names of a certificate, else its common name. */
const namesOf = (certificate: X509Certificate): string[] => {
  const names = (certificate.subjectAltName ?? '')
    .split(', ')
    .filter((name) => name.startsWith('DNS:'))
    .map((name) => name.slice(4).replace(/^"(.*)"$/, '$1'));
  if (names.length > 0) return names;
  const common = /^CN=(.*)$/m.exec(certificate.subject)?.[1];
  return common === undefined ? [] : [common];
};

const plainHex = (digest: string): string => digest.replaceAll(':', '').toLowerCase();

const fingerprintMatches = (
  certificate: X509Certificate,
  digests: readonly string[],
  algorithm: string,
): boolean => {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
  const ours = [certificate.raw, key].map((bytes) => createHash(algorithm).update(bytes).digest('hex'));
  return digests.some((digest) => ours.includes(plainHex(digest)));
};

const bitsOf = (cipher: string): number =>
  /256|CHACHA20/.test(cipher) ? 256 : /3DES|DES-CBC3/.test(cipher) ? 168 : 128;

/** All that the server sent, its own certificate first. */
const presentedBy = (socket: TLSSocket): X509Certificate[] => {
  const chain: X509Certificate[] = [];
  for (let each = socket.getPeerX509Certificate(); each !== undefined; each = each.issuerCertificate) {
    // Node lets a self-signed certificate be its own issuer.
    if (chain.some(({ raw }) => raw.equals(each?.raw ?? raw))) break;
    chain.push(each);
  }
  return chain;
};

const hasName =
  (certificate: X509Certificate | undefined) =>
  (wanted: readonly string[]): boolean =>
    certificate !== undefined &&
    namesOf(certificate).some((name) => wanted.some((each) => nameMatches(each, name)));

/**
 * @param digest `smtp_tls_fingerprint_digest`
 * @param inherited what the full handshake of a resumed session proved, under this very policy: it shows no certificate
 */
export const verifyPeer = (
  socket: TLSSocket,
  policy: TlsPolicy,
  digest: string,
  inherited?: Pick<PeerVerdict, 'kind' | 'distrust'>,
): PeerVerdict => {
  if (inherited !== undefined)
    return { accepted: true, ...inherited, ...connectionFacts(socket, inherited.kind) };
  const raw = socket.getPeerCertificate().raw as Buffer | undefined;
  const certificate = raw === undefined ? undefined : new X509Certificate(raw);
  const tlsa =
    policy.tlsa === undefined
      ? undefined
      : matchTlsa({ chain: presentedBy(socket), hasName: hasName(certificate) }, policy.tlsa, Date.now());
  const trusted = tlsa === undefined ? socket.authorized : tlsa.matched || tlsa.wrongName;
  const matched =
    certificate !== undefined &&
    (tlsa !== undefined
      ? tlsa.matched
      : policy.level === 'fingerprint'
        ? fingerprintMatches(certificate, policy.match, digest)
        : trusted && hasName(certificate)(policy.match));
  const mustMatch = requiresMatch(policy.level);
  const kind =
    certificate === undefined
      ? 'Anonymous'
      : // Half of DANE proves who the server is, not that the domain wants it.
        mustMatch && matched && policy.level !== 'halfdane'
        ? 'Verified'
        : trusted
          ? 'Trusted'
          : 'Untrusted';
  const error: unknown = tlsa === undefined || tlsa.matched ? socket.authorizationError : tlsa.reason;
  return {
    accepted: !mustMatch || matched,
    kind,
    ...((tlsa?.matched ?? (trusted || certificate === undefined))
      ? {}
      : { distrust: error instanceof Error ? error.message : String(error) }),
    ...connectionFacts(socket, kind),
  };
};

/** What the connection itself says, resumed or not. */
const connectionFacts = (
  socket: TLSSocket,
  kind: PeerVerdict['kind'],
): Pick<PeerVerdict, 'protocol' | 'summary'> => {
  const protocol = socket.getProtocol() ?? 'unknown';
  const cipher = socket.getCipher();
  const bits = bitsOf(cipher.standardName);
  const key = protocol === 'TLSv1.3' ? socket.getEphemeralKeyInfo() : undefined;
  const exchange = key !== null && key !== undefined && 'name' in key ? ` key-exchange ${key.name}` : '';
  return {
    protocol,
    summary: (server) =>
      `${kind} TLS connection established to ${server}: ${protocol} with cipher ${cipher.name} (${bits}/${bits} bits)${exchange}`,
  };
};
