/**
 * What goes wrong, in the words of TLS reports (RFC 8460 section 4.3), and the trouble with a destination's policy that shows before any
 * server is asked. Only what the destination can mend is told: for main.cf and for this machine there is no word here.
 */

export type FailureType =
  | 'starttls-not-supported'
  | 'certificate-host-mismatch'
  | 'certificate-expired'
  | 'certificate-not-trusted'
  | 'validation-failure'
  | 'tlsa-invalid'
  | 'dnssec-invalid'
  | 'dane-required'
  | StsFailureType;

/** Of a policy that cannot be had: its server, its certificate, its text. */
export type StsFailureType = 'sts-policy-fetch-error' | 'sts-webpki-invalid' | 'sts-policy-invalid';

export interface PolicyFailure {
  readonly type: FailureType;
  /** For people. */
  readonly reason: string;
}

/** No type of its own: the certificate was never seen. */
export const outsidePolicy: PolicyFailure = {
  type: 'validation-failure',
  reason: 'host is none of the policy',
};
