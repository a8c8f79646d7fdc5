/**
 * Whether a presented chain leads from the server's certificate to a given trust anchor (RFC 5280 section 6, as far as mail
 * servers need it): signatures, issuer names, validity, basic constraints with path length, key usage.
 *
 * Errs on the safe side: a critical extension or a name constraint that is not understood here ends the search without trust.
 */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { extensionId, extensionsOf, pathLengthOf } from './extensions.ts';

/** What may vouch for a chain. */
export interface Anchors {
  /** This certificate of the chain is an anchor. */
  readonly isAnchor: (certificate: X509Certificate) => boolean;
  /** Anchors that the server need not present. */
  readonly certificates: readonly X509Certificate[];
  /** Anchors known by their key alone. */
  readonly keys: readonly KeyObject[];
}

/** A server that presents more is mistaken or an attacker; bounds the search. */
const MOST_CERTIFICATES = 10;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const ANY_PURPOSE = '2.5.29.37.0';

const understood: readonly string[] = [
  extensionId.subjectAltName,
  extensionId.keyUsage,
  extensionId.basicConstraints,
  extensionId.certificatePolicies,
  extensionId.extendedKeyUsage,
];

/**
 * @param presented the server's certificate, then whatever else it sent, in any order
 * @returns undefined: trusted; else why not, in OpenSSL's words where it has some
 */
export const distrustOf = (
  presented: readonly X509Certificate[],
  anchors: Anchors,
  nowMs: number,
): string | undefined => {
  const [leaf, ...others] = presented.slice(0, MOST_CERTIFICATES);
  if (leaf === undefined) return 'no certificate';
  return flawOf(leaf, undefined, nowMs) ?? climb(leaf, others, 0, anchors, nowMs);
};

/** Looks for a way up from `subject`, which is good itself. @param depth authorities between it and the server's certificate, itself included */
const climb = (
  subject: X509Certificate,
  others: readonly X509Certificate[],
  depth: number,
  anchors: Anchors,
  nowMs: number,
): string | undefined => {
  if (anchors.keys.some((key) => subject.verify(key))) return undefined;
  const absent = anchors.certificates.filter((each) => isIssuer(each, subject));
  if (absent.some((each) => flawOf(each, depth, nowMs) === undefined)) return undefined;
  let reason = 'unable to get local issuer certificate';
  for (const issuer of others) {
    if (!isIssuer(issuer, subject)) continue;
    const flaw = flawOf(issuer, depth, nowMs);
    if (flaw === undefined && anchors.isAnchor(issuer)) return undefined;
    const rest = others.filter((each) => each !== issuer);
    const above = flaw ?? climb(issuer, rest, depth + 1, anchors, nowMs);
    if (above === undefined) return undefined;
    reason = above;
  }
  return reason;
};

/** checkIssued compares names and key identifiers and wants the right to sign certificates. */
const isIssuer = (issuer: X509Certificate, subject: X509Certificate): boolean =>
  subject.checkIssued(issuer) && subject.verify(issuer.publicKey);

/** @param below how many authorities stand between it and the server's certificate; undefined: it is that certificate */
const flawOf = (
  certificate: X509Certificate,
  below: number | undefined,
  nowMs: number,
): string | undefined => {
  if (nowMs < Date.parse(certificate.validFrom)) return 'certificate is not yet valid';
  if (nowMs > Date.parse(certificate.validTo)) return 'certificate has expired';
  try {
    const extensions = extensionsOf(certificate);
    const strange = extensions.some(
      ({ id, critical }) => id === extensionId.nameConstraints || (critical && !understood.includes(id)),
    );
    if (strange) return 'unhandled critical extension';
    if (below !== undefined && below > (pathLengthOf(extensions) ?? below))
      return 'path length constraint exceeded';
  } catch {
    return 'certificate cannot be read';
  }
  if (below !== undefined && !certificate.ca) return 'invalid CA certificate';
  const purposes = certificate.keyUsage as readonly string[] | undefined;
  return purposes === undefined || purposes.some((each) => each === SERVER_AUTH || each === ANY_PURPOSE)
    ? undefined
    : 'unsuitable certificate purpose';
};
