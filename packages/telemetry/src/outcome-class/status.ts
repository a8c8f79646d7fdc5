/**
 * What enhanced status codes say of an outcome's cause: the IANA registry "SMTP Enhanced Status Codes" (RFC 3463, 5248 and those that
 * add to it), each subject and detail to a class. Generic ones are here too; texts.ts may know better about those.
 */

/** Why a recipient was not reached, for people who send: what to do about an address, a reputation, or a set-up. */
export type OutcomeClass =
  /** The mailbox is not, or no longer, there: stop sending. */
  | 'unknown-user'
  | 'mailbox-disabled'
  | 'mailbox-full'
  /** The domain takes no mail, or the address is none. */
  | 'bad-address'
  | 'bad-sender'
  /** Because of who sends: an address, a network or a domain on a list, or with a bad name. */
  | 'blocked'
  /** Because of what is sent. */
  | 'content'
  | 'too-large'
  /** Come back later, for a first message between strangers. */
  | 'greylisted'
  /** Too much at a time. */
  | 'rate-limited'
  /** SPF, DKIM, DMARC or ARC of the message. */
  | 'unauthenticated'
  /** Any other rule of the receiver's. */
  | 'policy'
  /** Our login was refused. */
  | 'auth'
  | 'tls'
  | 'dns'
  | 'network'
  | 'protocol'
  /** The server lacks an extension that the message needs. */
  | 'unsupported'
  | 'loop'
  | 'expired'
  /** The recipient is on our own suppression list. */
  | 'suppressed'
  /** The receiving system has trouble of its own. */
  | 'system'
  /** We have. */
  | 'local'
  | 'other';

/** Whole, but for those of successes only (X.1.5, X.1.9, X.3.6). */
const REGISTRY: Readonly<Record<string, OutcomeClass>> = {
  '0.0': 'other',
  '1.0': 'bad-address',
  '1.1': 'unknown-user',
  '1.2': 'bad-address',
  '1.3': 'bad-address',
  '1.4': 'bad-address',
  '1.6': 'unknown-user',
  '1.7': 'bad-sender',
  '1.8': 'bad-sender',
  '1.10': 'bad-address',
  '2.0': 'other',
  '2.1': 'mailbox-disabled',
  '2.2': 'mailbox-full',
  '2.3': 'too-large',
  '2.4': 'system',
  '3.0': 'system',
  '3.1': 'system',
  '3.2': 'system',
  '3.3': 'unsupported',
  '3.4': 'too-large',
  '3.5': 'system',
  '4.0': 'network',
  '4.1': 'network',
  '4.2': 'network',
  '4.3': 'dns',
  '4.4': 'dns',
  '4.5': 'system',
  '4.6': 'loop',
  '4.7': 'expired',
  '5.0': 'protocol',
  '5.1': 'protocol',
  '5.2': 'protocol',
  '5.3': 'rate-limited',
  '5.4': 'protocol',
  '5.5': 'protocol',
  '5.6': 'auth',
  '6.0': 'content',
  '6.1': 'content',
  '6.2': 'unsupported',
  '6.3': 'unsupported',
  '6.4': 'unsupported',
  '6.5': 'unsupported',
  '6.6': 'system',
  '6.7': 'unsupported',
  '6.8': 'unsupported',
  '6.9': 'unsupported',
  '6.10': 'unsupported',
  '7.0': 'policy',
  '7.1': 'policy',
  '7.2': 'policy',
  '7.3': 'policy',
  '7.4': 'tls',
  '7.5': 'tls',
  '7.6': 'tls',
  '7.7': 'content',
  '7.8': 'auth',
  '7.9': 'auth',
  '7.10': 'tls',
  '7.11': 'auth',
  '7.12': 'auth',
  '7.13': 'auth',
  '7.14': 'auth',
  '7.15': 'policy',
  '7.16': 'too-large',
  '7.17': 'unknown-user',
  '7.18': 'unknown-user',
  '7.19': 'policy',
  '7.20': 'unauthenticated',
  '7.21': 'unauthenticated',
  '7.22': 'unauthenticated',
  '7.23': 'unauthenticated',
  '7.24': 'unauthenticated',
  '7.25': 'blocked',
  '7.26': 'unauthenticated',
  '7.27': 'bad-sender',
  '7.28': 'rate-limited',
  '7.29': 'unauthenticated',
  '7.30': 'tls',
};

/** By subject, for details that are not listed. */
const SUBJECTS: Readonly<Record<string, OutcomeClass>> = {
  '1': 'bad-address',
  '2': 'other',
  '3': 'system',
  '4': 'network',
  '5': 'protocol',
  '6': 'content',
  '7': 'policy',
};

/** Registered codes that servers give for anything, so that their words count for more. */
const GENERIC = /^(?:[0-7]\.0|3\.2|4\.5|5\.[1245]|7\.1)$/;

/** Class of an enhanced status code, and whether the code is one that says little; one that is not registered says its subject only. */
export function classOfStatus(status: string): {
  readonly outcomeClass: OutcomeClass;
  readonly generic: boolean;
} {
  const code = status.slice(status.indexOf('.') + 1);
  const [subject = ''] = code.split('.');
  return {
    outcomeClass: REGISTRY[code] ?? SUBJECTS[subject] ?? 'other',
    generic: GENERIC.test(code) || REGISTRY[code] === undefined,
  };
}
