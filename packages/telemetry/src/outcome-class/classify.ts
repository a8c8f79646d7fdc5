/**
 * The class of an outcome, from what is known of it: the server's words where its code says little or is known to be used for something
 * else, else the code; without a reply, what kind of trouble our own status names. Pure; worked out once, by whoever decides the outcome, and kept with it.
 */
import { classOfStatus, type OutcomeClass } from './status.ts';
import { TEXT_RULES, type TextRule } from './texts.ts';

export interface Classified {
  readonly kind: 'delivered' | 'deferred' | 'bounced';
  readonly status: string;
  readonly reason: string;
  /** The server's reply; absent: we decided. */
  readonly reply?: string;
}

/** Longer words than this say no more. */
const TEXT_LENGTH = 1_000;

/** Undefined for a success. */
export function outcomeClass({ kind, status, reason, reply }: Classified): OutcomeClass | undefined {
  if (kind === 'delivered') return undefined;
  const { outcomeClass: byStatus, generic } = classOfStatus(status);
  if (reply === undefined) return ourOwn(status, reason, byStatus);
  const rule = textRule(status, reply);
  if (rule !== undefined) return rule.outcomeClass;
  if (!generic) return byStatus;
  return (/\.0\.0$/.test(status) ? BASIC_CODES[reply.slice(0, 3)] : undefined) ?? byStatus;
}

/** The rule of the text table that a reply with this enhanced status meets. */
export function textRule(status: string, reply: string): TextRule | undefined {
  const code = status.slice(status.indexOf('.') + 1);
  const { generic } = classOfStatus(status);
  const words = joinLines(reply.slice(0, TEXT_LENGTH), status);
  return TEXT_RULES.find(
    ({ codes, pattern }) => (codes === undefined ? generic : codes.test(code)) && pattern.test(words),
  );
}

/** A reply of more lines has the codes of each within its sentences. */
function joinLines(reply: string, status: string): string {
  const code = reply.slice(0, 3);
  if (!/^\d{3}$/.test(code)) return reply;
  return reply
    .replaceAll(` ${code}-${status} `, ' ')
    .replaceAll(` ${code} ${status} `, ' ')
    .replaceAll(` ${code}-`, ' ');
}

function ourOwn(status: string, reason: string, byStatus: OutcomeClass): OutcomeClass {
  if (reason.includes('suppression list')) return 'suppressed';
  if (/SASL|authentication/i.test(reason)) return 'auth';
  if (/^[45]\.(?:0\.0|3\.[0-35])$/.test(status)) return 'local';
  return byStatus;
}

/** Replies without an enhanced status; what these codes leave open stays so (RFC 5321 section 4.2.3, RFC 4954). */
const BASIC_CODES: Readonly<Record<string, OutcomeClass>> = {
  421: 'system',
  451: 'system',
  452: 'system',
  500: 'protocol',
  501: 'protocol',
  502: 'protocol',
  503: 'protocol',
  504: 'protocol',
  530: 'auth',
  535: 'auth',
  551: 'unknown-user',
  552: 'mailbox-full',
  553: 'bad-address',
  555: 'protocol',
};
