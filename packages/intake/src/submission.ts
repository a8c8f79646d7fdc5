/**
 * What a way in hands to `enqueue`, and the check of everything in it but the content. Addresses arrive in external form
 * (local part quoted where needed), DSN values decoded (RFC 3461); nothing here trusts its caller.
 */
import type { ClientInfo, Notify } from '@mailfleet/smtp';
import { type Address, type AddressRules, NULL_SENDER, parseAddress } from './address.ts';
import type { Intake } from './intake.ts';
import type { SubmittedRecipient } from './recipients.ts';
import { type Refusal, refusal } from './refusal.ts';

export interface RecipientWish {
  readonly address: string;
  readonly notify?: readonly string[];
  /** `type;address`, decoded. */
  readonly orcpt?: string;
}

export interface Submission {
  /** Envelope sender; empty for the null sender. Absent: the address of Sender or From in the message's header. */
  readonly sender?: string;
  readonly recipients: readonly (string | RecipientWish)[];
  /** RFC 5322 text with any line ends, not dot-stuffed. Read once. */
  readonly content: AsyncIterable<Uint8Array> | Uint8Array | string;
  /** Also send to the addresses of To, Cc and Bcc, or of their Resent- forms if there are any (sendmail -t). */
  readonly recipientsFromHeader?: boolean;
  /** NOTIFY for recipients that bring none of their own. */
  readonly notify?: readonly string[];
  /** Body label of MAIL FROM. */
  readonly encoding?: '7bit' | '8bit';
  readonly smtputf8?: boolean;
  readonly ret?: 'FULL' | 'HDRS';
  /** Decoded. */
  readonly envid?: string;
  /** To be sent over TLS to servers that prove who they are, or not at all (RFC 8689). */
  readonly requireTls?: boolean;
  /** The two VERP delimiters (`Envelope.verp`). */
  readonly verp?: string;
  /** Display name for a From header that has to be added. */
  readonly fullName?: string;
  /** Program name of the log line. Default `http` for HTTP, else `pickup`. */
  readonly by?: 'smtpd' | 'http' | 'pickup';
  /** Who handed it in: for log and Received: header, and for the envelope if there is no originalClient. */
  readonly client?: ClientInfo;
  /** Whom the client handed it in for (XFORWARD); kept in the envelope. */
  readonly originalClient?: ClientInfo;
  readonly saslMethod?: string;
  /** User id of a local submitter; only for the log and the Received: header. */
  readonly uid?: number;
  readonly tls?: { readonly version: string; readonly cipher: string };
  /**
   * Add missing headers (default true). False for mail that strangers relay to our domains: there a missing Date is
   * theirs, and Postfix leaves it so.
   */
  readonly addMissingHeaders?: boolean;
  /** Same key, same message: a repeat answers the first one's queue id and stores nothing. */
  readonly idempotencyKey?: string;
  /** W3C trace context of whoever submits. */
  readonly traceparent?: string;
}

/** The checked part of a submission. */
export interface CheckedEnvelope {
  /** Absent: to be taken from the header. */
  readonly sender?: Address;
  readonly recipients: readonly SubmittedRecipient[];
  /** Asked for. */
  readonly smtputf8: boolean;
  /** For addresses that the header brings. */
  readonly rules: AddressRules;
}

const NOTIFY: readonly string[] = ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'] satisfies Notify[];
/** RFC 3461 sections 4.2 and 4.4. */
const ORCPT_LIMIT = 500;
const ENVID_LIMIT = 100;
const PRINTABLE = /^[\x20-\x7e]+$/;

export function checkEnvelope(
  intake: Intake,
  submission: Submission,
): { readonly ok: true; readonly envelope: CheckedEnvelope } | Refusal {
  const smtputf8 = submission.smtputf8 === true && intake.smtputf8;
  // Only an SMTP client can ask for it; whoever else brings such an address means it.
  const rules = intake.addressRules(smtputf8 || submission.by !== 'smtpd');
  const sender = submission.sender === undefined ? undefined : checkSender(submission.sender, rules);
  if (typeof sender === 'object') return sender;
  const { ret, envid } = submission;
  if (ret !== undefined && ret !== 'FULL' && ret !== 'HDRS') {
    return refusal('bad-parameter', 501, '5.5.4', 'RET must be FULL or HDRS', 'ret');
  }
  if (envid !== undefined && (!PRINTABLE.test(envid) || envid.length > ENVID_LIMIT)) {
    const sentence = `ENVID must be 1 to ${ENVID_LIMIT} printable ASCII characters`;
    return refusal('bad-parameter', 501, '5.5.4', sentence, 'envid');
  }
  const tooMany = checkCount(intake, submission.recipients.length);
  if (tooMany !== undefined) return tooMany;
  const recipients: SubmittedRecipient[] = [];
  for (const [index, wish] of submission.recipients.entries()) {
    const own = typeof wish === 'string' ? { address: wish } : wish;
    const checked = checkRecipient(withNotify(own, submission.notify), rules, `recipients[${index}]`);
    if (!checked.ok) return checked;
    recipients.push(checked.recipient);
  }
  if (recipients.length === 0 && submission.recipientsFromHeader !== true) return noRecipients();
  return { ok: true, envelope: { ...(sender === undefined ? {} : { sender }), recipients, smtputf8, rules } };
}

/** The wish, with the submission's NOTIFY unless it has its own. */
export function withNotify(wish: RecipientWish, notify: readonly string[] | undefined): RecipientWish {
  return notify === undefined ? wish : { notify, ...wish };
}

export function noRecipients(): Refusal {
  return refusal(
    'no-recipients',
    554,
    '5.5.1',
    'the message has no recipients; name at least one',
    'recipients',
  );
}

export function checkCount(intake: Intake, count: number): Refusal | undefined {
  const limit = intake.config.get('intake_recipient_limit');
  if (count <= limit) return undefined;
  const sentence = `too many recipients: ${limit} is the limit (intake_recipient_limit); send the rest as another message`;
  return refusal('too-many-recipients', 452, '4.5.3', sentence, 'recipients');
}

export function checkSender(text: string, rules: AddressRules): Address | Refusal {
  if (text === '') return NULL_SENDER;
  const parsed = parseAddress(text, rules);
  if (parsed.ok) return parsed.address;
  return refusal('bad-sender', 501, '5.1.7', `bad sender address: ${parsed.reason}`, 'sender');
}

export function checkRecipient(
  wish: RecipientWish,
  rules: AddressRules,
  path: string,
): { readonly ok: true; readonly recipient: SubmittedRecipient } | Refusal {
  const parsed = parseAddress(wish.address, rules);
  if (!parsed.ok) {
    return refusal('bad-recipient', 501, '5.1.3', `bad recipient address: ${parsed.reason}`, path);
  }
  const notify = checkNotify(wish.notify);
  if (notify === 'bad') {
    const sentence = 'NOTIFY must be NEVER, or any of SUCCESS, FAILURE and DELAY';
    return refusal('bad-parameter', 501, '5.5.4', sentence, `${path}.notify`);
  }
  const { orcpt } = wish;
  if (orcpt !== undefined && !isOrcpt(orcpt)) {
    const sentence = 'ORCPT must be an address type, a semicolon and an address, all printable';
    return refusal('bad-parameter', 501, '5.5.4', sentence, `${path}.orcpt`);
  }
  return {
    ok: true,
    recipient: {
      address: parsed.address,
      ...(notify.length === 0 ? {} : { notify }),
      ...(orcpt === undefined ? {} : { orcpt }),
    },
  };
}

function checkNotify(values: readonly string[] = []): readonly Notify[] | 'bad' {
  const known = values.filter((value): value is Notify => NOTIFY.includes(value));
  if (known.length !== values.length || new Set(known).size !== known.length) return 'bad';
  return known.includes('NEVER') && known.length > 1 ? 'bad' : known;
}

function isOrcpt(orcpt: string): boolean {
  return /^[a-z0-9-]+;[^\p{Cc}\u2028\u2029]+$/iu.test(orcpt) && Buffer.byteLength(orcpt) <= ORCPT_LIMIT;
}
