/**
 * Gets a domain's MTA-STS policy file (RFC 8461 section 3.3). The domain is a stranger's choice, so is where its name leads: only
 * `mta-sts.<domain>` is asked, as outside-request.ts asks strangers, for one small text.
 */

import { type OutsideOptions, requestOutside } from '../outside-request.ts';
import type { StsFailureType } from '../tlsrpt/failure-type.ts';
import { MOST_BYTES, readPolicyFile, type StsPolicy } from './policy-file.ts';

/** The domain has no policy to give. */
export class StsFetchError extends Error {
  readonly code: StsFailureType;
  constructor(code: StsFailureType, cause: unknown) {
    super(textOf(cause), { cause });
    this.code = code;
  }
}

export const textOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/** OpenSSL's and Node's names for certificates that do not do. */
const aboutCertificate =
  /^(?:ERR_TLS_CERT_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|PATH_LENGTH_|INVALID_(?:CA|PURPOSE)$)/;
/** Whatever the domain does, nothing would have been fetched. */
const ours = new Set(
  'EMFILE ENFILE ENOMEM ENOBUFS EACCES EPERM EADDRNOTAVAIL ENETDOWN ENETUNREACH'.split(' '),
);

/** What went wrong with a request; undefined: this machine. */
export const stsFailureType = (error: unknown): StsFailureType | undefined => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (ours.has(code)) return undefined;
  return aboutCertificate.test(code) ? 'sts-webpki-invalid' : 'sts-policy-fetch-error';
};

/** Rejects with a sentence that says why there is no policy to be had; a `StsFetchError` when that is up to the domain. */
export const fetchPolicy = async (domain: string, options: OutsideOptions): Promise<StsPolicy> => {
  const url = new URL(`https://mta-sts.${domain}/.well-known/mta-sts.txt`);
  const sent = { url, method: 'GET', headers: { accept: 'text/plain' }, mostBytes: MOST_BYTES } as const;
  const { status, type, body } = await requestOutside(sent, options).catch((error: unknown) => {
    const failure = stsFailureType(error);
    throw failure === undefined ? error : new StsFetchError(failure, error);
  });
  // A redirect would let others speak for the domain.
  if (status !== 200) throw new StsFetchError('sts-policy-fetch-error', `${url.href}: status ${status}`);
  if (type !== 'text/plain') {
    throw new StsFetchError('sts-policy-fetch-error', `${url.href}: the answer is no text/plain`);
  }
  try {
    return readPolicyFile(body);
  } catch (error) {
    throw new StsFetchError('sts-policy-invalid', error);
  }
};
