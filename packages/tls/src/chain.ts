/**
 * Builds and checks a path from a server's certificate to a trust anchor (RFC 5280 section 6, as far as TLS servers go). For anchors that
 * the TLS library cannot take: bare keys, expired ones, those named by TLSA records. For CA certificates the library decides, and
 * this only measures how long the path is.
 *
 * What an attacker could present is judged here, so every doubt counts against the path: an issuer must be an authority that may sign
 * certificates (keyUsage is part of `checkIssued`), within its path length, its purpose and its name constraints; signatures must
 * not be of a broken kind, keys not short; nothing critical may be unknown; and the search is bounded. Revocation is
 * not looked at, as in Postfix.
 */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { factsOf } from './certificate.ts';

export interface Anchors {
  readonly certificates: readonly X509Certificate[];
  readonly publicKeys: readonly KeyObject[];
}

/** In the words that the TLS library has for the same. */
type PathError =
  | 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'
  | 'DEPTH_ZERO_SELF_SIGNED_CERT'
  | 'CERT_HAS_EXPIRED'
  | 'CERT_NOT_YET_VALID'
  | 'CERT_CHAIN_TOO_LONG'
  | 'INVALID_CA'
  | 'PATH_LENGTH_EXCEEDED'
  | 'INVALID_PURPOSE'
  | 'PERMITTED_VIOLATION'
  | 'UNHANDLED_CRITICAL_EXTENSION'
  | 'CA_MD_TOO_WEAK'
  | 'CA_KEY_TOO_SMALL';

export type PathResult =
  /** `depth`: where the anchor stands; 0 is the server's own certificate. */
  | { readonly kind: 'path'; readonly depth: number; readonly certificates: readonly X509Certificate[] }
  | { readonly kind: 'none'; readonly error: PathError };

export interface PathOptions {
  /** Highest depth at which the anchor may stand. */
  readonly maxDepth: number;
  readonly nowMs: number;
  /** The TLS library has accepted the certificates: only the shortest path counts. */
  readonly measureOnly?: boolean;
}

/** Signature checks that one handshake may cost us. */
const MAX_CHECKS = 100;

const TLS_SERVER = '1.3.6.1.5.5.7.3.1';

/** md2, md4, md5 and sha1 with RSA; sha1 with DSA and ECDSA: collisions can be made, so that two certificates share a signature. */
const brokenSignatures = new Set([
  '1.2.840.113549.1.1.2',
  '1.2.840.113549.1.1.3',
  '1.2.840.113549.1.1.4',
  '1.2.840.113549.1.1.5',
  '1.2.840.10040.4.3',
  '1.2.840.10045.4.1',
]);
const MIN_RSA_BITS = 1024;

/** @param presented what the server sent besides its own certificate, in any order and with anything in it */
export const findPath = (
  leaf: X509Certificate,
  presented: readonly X509Certificate[],
  anchors: Anchors,
  options: PathOptions,
): PathResult => {
  let checks = 0;
  let error: PathError | undefined;
  const blame = (why: PathError | undefined): void => {
    error = why ?? error;
  };
  const signedBy = (certificate: X509Certificate, key: KeyObject): boolean =>
    ++checks <= MAX_CHECKS && certificate.verify(key);
  const issued = (certificate: X509Certificate, by: X509Certificate): boolean =>
    certificate.checkIssued(by) && signedBy(certificate, by.publicKey);

  /** `path`: the server's certificate first; the anchor, when found, last. */
  const extend = (path: readonly X509Certificate[]): readonly X509Certificate[] | undefined => {
    const last = path.at(-1);
    if (last === undefined) return undefined;
    const fails = options.measureOnly === true ? undefined : pathError(path, options.nowMs);
    if (isAnchor(last, anchors)) {
      const why = options.measureOnly === true ? undefined : placeError(path, true);
      if (why === undefined) return path;
      blame(why);
      return undefined;
    }
    if (fails !== undefined) {
      blame(fails);
      return undefined;
    }
    if (path.length > options.maxDepth) {
      blame(isAnchored(last, anchors, issued, signedBy) ? 'CERT_CHAIN_TOO_LONG' : undefined);
      return undefined;
    }
    if (anchors.publicKeys.some((key) => signedBy(last, key))) return [...path, last];
    const issuers = [...anchors.certificates, ...presented].filter(
      (candidate) => !path.some((each) => each.raw.equals(candidate.raw)) && issued(last, candidate),
    );
    if (issuers.length === 0) {
      blame(
        path.length === 1 && factsOf(last).subjectIsIssuer
          ? 'DEPTH_ZERO_SELF_SIGNED_CERT'
          : 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      );
    }
    let best: readonly X509Certificate[] | undefined;
    for (const issuer of issuers) {
      const found = extend([...path, issuer]);
      if (found !== undefined && (best === undefined || found.length < best.length)) best = found;
    }
    return best;
  };

  const path = extend([leaf]);
  return path === undefined
    ? { kind: 'none', error: error ?? 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY' }
    : { kind: 'path', depth: path.length - 1, certificates: path };
};

const isAnchor = (certificate: X509Certificate, { certificates, publicKeys }: Anchors): boolean =>
  certificates.some(({ raw }) => raw.equals(certificate.raw)) ||
  publicKeys.some((key) => key.equals(certificate.publicKey));

const isAnchored = (
  certificate: X509Certificate,
  { certificates, publicKeys }: Anchors,
  issued: (certificate: X509Certificate, by: X509Certificate) => boolean,
  signedBy: (certificate: X509Certificate, key: KeyObject) => boolean,
): boolean =>
  certificates.some((anchor) => issued(certificate, anchor)) ||
  publicKeys.some((key) => signedBy(certificate, key));

/** What is wrong with the last certificate of a path. */
const pathError = (path: readonly X509Certificate[], nowMs: number): PathError | undefined => {
  const certificate = path.at(-1);
  if (certificate === undefined) return undefined;
  if (nowMs < certificate.validFromDate.getTime()) return 'CERT_NOT_YET_VALID';
  if (nowMs > certificate.validToDate.getTime()) return 'CERT_HAS_EXPIRED';
  if (brokenSignatures.has(factsOf(certificate).signatureAlgorithm)) return 'CA_MD_TOO_WEAK';
  return placeError(path, false);
};

/**
 * What is wrong with it for the place where it stands. Of an anchor this is all: whoever chose it vouches for its dates and its
 * signature, not for what it may issue.
 */
const placeError = (path: readonly X509Certificate[], anchor: boolean): PathError | undefined => {
  const certificate = path.at(-1);
  const [leaf] = path;
  if (certificate === undefined || leaf === undefined) return undefined;
  const facts = factsOf(certificate);
  if (facts.unknownCritical) return 'UNHANDLED_CRITICAL_EXTENSION';
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  if (asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS) {
    return 'CA_KEY_TOO_SMALL';
  }
  if (facts.extendedKeyUsage !== undefined && !facts.extendedKeyUsage.includes(TLS_SERVER)) {
    return 'INVALID_PURPOSE';
  }
  if (path.length === 1) return undefined;
  // A root of the time before version 3 has no basicConstraints; only as an anchor is it believed.
  if (!(facts.basicConstraints?.isAuthority ?? (anchor && facts.subjectIsIssuer))) {
    return 'INVALID_CA';
  }
  const below = path.slice(1, -1).filter((each) => !factsOf(each).subjectIsIssuer).length;
  if (below > (facts.basicConstraints?.pathLength ?? Number.POSITIVE_INFINITY)) return 'PATH_LENGTH_EXCEEDED';
  const limits = facts.nameConstraints;
  if (limits === undefined) return undefined;
  // Constraints on kinds of names that are not looked at here may be violated unseen.
  if (limits.others) return 'PERMITTED_VIOLATION';
  const { dnsNames, commonNames } = factsOf(leaf);
  const names = dnsNames ?? commonNames;
  const within = (name: string): boolean =>
    (limits.permittedDns?.some((base) => isBelow(name, base)) ?? true) &&
    !limits.excludedDns.some((base) => isBelow(name, base) || (name.startsWith('*.') && isBelow(base, name)));
  return names.every(within) ? undefined : 'PERMITTED_VIOLATION';
};

/** RFC 5280 section 4.2.1.10: the name itself, or labels added to its left; an empty base holds all names. */
const isBelow = (name: string, base: string): boolean => {
  const have = name.toLowerCase().replace(/^\*\./, '');
  const limit = base.toLowerCase().replace(/^\*?\./, '');
  return limit === '' || have === limit || have.endsWith(`.${limit}`);
};
