/**
 * What a finished handshake is worth: trust, name or fingerprint match (RFC 6125 as Postfix reads it), and what the log says of it.
 *
 * Trust is the TLS library's word where CA certificates decide, and ours (chain.ts) where trust anchors or TLSA records do.
 */
import { createHash, type X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { factsOf, serverNames } from './certificate.ts';
import { type Anchors, findPath } from './chain.ts';
import { type ConnectionFacts, connectionFacts } from './connection-facts.ts';
import { matchTlsa } from './dane/match.ts';
import { distrustText } from './distrust.ts';
import { requiresMatch } from './level.ts';
import { nameMatches } from './names.ts';
import type { TlsPolicy } from './policy.ts';

/** What certificates are measured by. */
export interface PeerTrust {
  /** CA certificates of main.cf. */
  readonly authorities: Anchors;
  /** Most authorities between the server's certificate and the anchor. */
  readonly maxIntermediates: number;
  /** `smtp_tls_fingerprint_digest` */
  readonly digest: string;
}

export interface PeerVerdict extends ConnectionFacts {
  /** The policy's demand on the certificate is met (always so when it makes none). */
  readonly accepted: boolean;
  readonly kind: PeerKind;
  /** Why the certificate is not trusted, in Postfix's words, when it is not. */
  readonly distrust?: string;
  /** The name, digest or record that satisfied the policy. */
  readonly matched?: string;
  /** For the log: `subject_CN=…, issuer_CN=…, fingerprint=…, pkey_fingerprint=…`; absent after a resumption. */
  readonly description?: string;
}

/**
 * Anonymous: no certificate; Untrusted: nobody that we trust vouches for it; Trusted: somebody does; Verified: and it is what the policy
 * demands.
 */
type PeerKind = 'Anonymous' | 'Untrusted' | 'Trusted' | 'Verified';

interface Finding {
  readonly trusted: boolean;
  readonly matched?: string;
  readonly distrust?: string;
}

/** @param inherited what the full handshake of a resumed session proved, under this very policy: it shows no certificate */
export const verifyPeer = (
  socket: TLSSocket,
  policy: TlsPolicy,
  trust: PeerTrust,
  inherited?: Pick<PeerVerdict, 'kind' | 'distrust'>,
): PeerVerdict => {
  if (inherited !== undefined) {
    return { accepted: true, ...inherited, ...connectionFacts(socket, inherited.kind, undefined) };
  }
  const presented = presentedBy(socket);
  const [certificate, ...others] = presented;
  const finding: Finding =
    certificate === undefined ? { trusted: false } : judge(socket, certificate, others, policy, trust);
  const mustMatch = requiresMatch(policy.level);
  const kind = kindOf(certificate !== undefined, finding, policy, mustMatch);
  const { matched, distrust } = finding;
  return {
    accepted: !mustMatch || matched !== undefined,
    kind,
    ...(matched === undefined ? {} : { matched }),
    ...(distrust === undefined ? {} : { distrust }),
    ...(certificate === undefined ? {} : { description: describe(certificate, trust.digest) }),
    ...connectionFacts(socket, kind, certificate),
  };
};

const kindOf = (
  hasCertificate: boolean,
  { trusted, matched }: Finding,
  { level }: TlsPolicy,
  mustMatch: boolean,
): PeerKind => {
  if (!hasCertificate) return 'Anonymous';
  // Half of DANE proves who the server is, not that the domain wants it.
  if (mustMatch && matched !== undefined && level !== 'halfdane') return 'Verified';
  return trusted ? 'Trusted' : 'Untrusted';
};

const judge = (
  socket: TLSSocket,
  certificate: X509Certificate,
  others: readonly X509Certificate[],
  policy: TlsPolicy,
  trust: PeerTrust,
): Finding => {
  if (policy.tlsa !== undefined) {
    const hasName = (names: readonly string[]): boolean => matchedName(certificate, names) !== undefined;
    const verdict = matchTlsa({ chain: [certificate, ...others], hasName }, policy.tlsa, Date.now());
    return verdict.matched
      ? { trusted: true, matched: 'a TLSA record' }
      : { trusted: verdict.wrongName, distrust: verdict.reason };
  }
  if (policy.level === 'fingerprint') {
    const matched = matchedFingerprint(certificate, policy.match, trust.digest);
    return matched === undefined
      ? {
          trusted: false,
          distrust: distrustText('DANE_NO_MATCH', certificate, others, trust.maxIntermediates),
        }
      : { trusted: true, matched };
  }
  const distrust = distrustOf(socket, certificate, others, policy, trust);
  if (distrust !== undefined) return { trusted: false, distrust };
  const { published } = policy;
  if (published?.failure !== undefined) return { trusted: true, distrust: published.failure };
  const matched = matchedName(certificate, policy.match);
  return matched === undefined ? { trusted: true } : { trusted: true, matched };
};

/** Why nobody that we trust vouches for the certificate; undefined: somebody does. */
const distrustOf = (
  socket: TLSSocket,
  certificate: X509Certificate,
  others: readonly X509Certificate[],
  { trustAnchors }: TlsPolicy,
  { authorities, maxIntermediates }: PeerTrust,
): string | undefined => {
  const words = (code: string): string => distrustText(code, certificate, others, maxIntermediates);
  const maxDepth = maxIntermediates + 1;
  const nowMs = Date.now();
  if (trustAnchors !== undefined) {
    const path = findPath(certificate, others, trustAnchors, { maxDepth, nowMs });
    if (path.kind === 'path') return undefined;
    const unknown = /^UNABLE_TO_GET|SELF_SIGNED/.test(path.error);
    return words(unknown ? 'DANE_NO_MATCH' : path.error);
  }
  if (!socket.authorized) {
    const error: unknown = socket.authorizationError;
    return words(
      error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error),
    );
  }
  // The library looked for a path of any length.
  const path = findPath(certificate, others, authorities, { maxDepth, nowMs, measureOnly: true });
  return path.kind === 'path' ? undefined : words('CERT_CHAIN_TOO_LONG');
};

/** The server's certificate first, then whatever else it sent, in its order. */
const presentedBy = (socket: TLSSocket): X509Certificate[] => {
  const chain: X509Certificate[] = [];
  for (let each = socket.getPeerX509Certificate(); each !== undefined; each = each.issuerCertificate) {
    // Node lets a self-signed certificate be its own issuer.
    if (chain.length >= MOST_CERTIFICATES || chain.at(-1)?.raw.equals(each.raw) === true) break;
    chain.push(each);
  }
  return chain;
};

/** A server that presents more is mistaken or an attacker. */
const MOST_CERTIFICATES = 50;

/** The first name of the certificate that satisfies one of the wanted ones. */
const matchedName = (certificate: X509Certificate, wanted: readonly string[]): string | undefined =>
  serverNames(certificate).find((name) => wanted.some((each) => nameMatches(each, name)));

const plainHex = (digest: string): string => digest.replaceAll(':', '').toLowerCase();

const matchedFingerprint = (
  certificate: X509Certificate,
  digests: readonly string[],
  algorithm: string,
): string | undefined => {
  const ours = fingerprints(certificate, algorithm);
  return digests.find((digest) => ours.includes(plainHex(digest)));
};

/** Of the certificate and of its public key. */
const fingerprints = (certificate: X509Certificate, algorithm: string): readonly [string, string] => {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return [hexDigest(certificate.raw, algorithm), hexDigest(key, algorithm)];
};

const hexDigest = (bytes: Buffer, algorithm: string): string =>
  createHash(algorithm).update(bytes).digest('hex');

const describe = (certificate: X509Certificate, algorithm: string): string => {
  const { commonNames, issuerCommonName } = factsOf(certificate);
  const colons = (digest: string): string => digest.toUpperCase().replace(/..(?!$)/g, '$&:');
  const [ofCertificate, ofKey] = fingerprints(certificate, algorithm);
  return (
    `subject_CN=${commonNames.at(-1) ?? ''}, issuer_CN=${issuerCommonName ?? ''}, ` +
    `fingerprint=${colons(ofCertificate)}, pkey_fingerprint=${colons(ofKey)}`
  );
};
