/** Why a certificate is not trusted, in the words of Postfix's log. */
import type { X509Certificate } from 'node:crypto';

/** Numbers that the TLS library has for reasons without words of their own. */
const numbers: Readonly<Record<string, readonly [number, string]>> = {
  CERT_SIGNATURE_FAILURE: [7, 'certificate signature failure'],
  PATH_LENGTH_EXCEEDED: [25, 'path length constraint exceeded'],
  UNHANDLED_CRITICAL_EXTENSION: [34, 'unhandled critical extension'],
  PERMITTED_VIOLATION: [47, 'permitted subtree violation'],
  CA_KEY_TOO_SMALL: [67, 'CA certificate key too weak'],
  CA_MD_TOO_WEAK: [68, 'CA signature digest algorithm too weak'],
  DANE_NO_MATCH: [65, 'no matching DANE TLSA records'],
  INVALID_CA: [79, 'invalid CA certificate'],
};

/** The log line about it. */
export const distrustLine = (server: string, why: string): string => {
  // Postfix names the role in some of its texts and not in others.
  const role = /^(?:certificate (?:has expired|not yet valid)$|num=)/.test(why) ? 'server ' : '';
  return `${role}certificate verification failed for ${server}: ${why}`;
};

/** @param code the TLS library's name of the reason, without `X509_V_ERR_` */
export const distrustText = (
  code: string,
  certificate: X509Certificate,
  others: readonly X509Certificate[],
  maxIntermediates: number,
): string => {
  switch (code) {
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return 'self-signed certificate';
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return `untrusted issuer ${oneLine(topOf(certificate, others).issuer)}`;
    case 'CERT_NOT_YET_VALID':
    case 'ERROR_IN_CERT_NOT_BEFORE_FIELD':
      return 'certificate not yet valid';
    case 'CERT_HAS_EXPIRED':
    case 'ERROR_IN_CERT_NOT_AFTER_FIELD':
      return 'certificate has expired';
    case 'CERT_CHAIN_TOO_LONG':
      return `certificate chain longer than limit(${maxIntermediates})`;
    case 'INVALID_PURPOSE':
      return 'not designated for use as a server certificate';
    case 'CERT_UNTRUSTED':
      return 'not trusted by local or TLSA policy';
    default: {
      const [number, words] = numbers[code] ?? [];
      return number === undefined ? code : `num=${number}:${words}`;
    }
  }
};

/** The last certificate on the way up that the server presented. */
const topOf = (certificate: X509Certificate, others: readonly X509Certificate[]): X509Certificate => {
  let top = certificate;
  const rest = new Set(others);
  for (let found: X509Certificate | undefined = certificate; found !== undefined; ) {
    top = found;
    found = [...rest].find((each) => top.checkIssued(each));
    if (found !== undefined) rest.delete(found);
  }
  return top;
};

/** `/C=…/O=…/CN=…` */
const oneLine = (name: string): string => `/${name.split('\n').join('/')}`;
