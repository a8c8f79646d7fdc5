/**
 * What servers say in words: patterns in our own words, each with the documents that have the replies. The first that matches counts.
 * Rules with codes are for servers that use a registered code otherwise; the others are asked only where the code says little.
 *
 * A reply text is evidence, not a fact: nothing but statistics and an operator's own lists may rest on it. As suppression lists may rest
 * on unknown-user, its patterns are the narrowest.
 */
import { SOURCES } from './sources.ts';
import type { OutcomeClass } from './status.ts';

export interface TextRule {
  readonly outcomeClass: OutcomeClass;
  /** Subject and detail of the codes that it is for, whatever the registry says of them; absent: those that say little. */
  readonly codes?: RegExp;
  readonly pattern: RegExp;
  /** Documents with these replies. */
  readonly sources: readonly string[];
}

const { gmail, exchange, outlook, yahoo, mimecast, postfix, exim, smtp } = SOURCES;

/** Codes that these servers give for something else than registered. */
const OTHERWISE: readonly TextRule[] = [
  {
    outcomeClass: 'rate-limited',
    codes: /^2\.1$/,
    pattern: /receiving e?mail (?:too quickly|at a rate)/i,
    sources: [gmail],
  },
  {
    outcomeClass: 'rate-limited',
    codes: /^2\.2$/,
    pattern: /submission quota/i,
    sources: [exchange],
  },
  {
    outcomeClass: 'unknown-user',
    codes: /^(?:4\.1|7\.50[45])$/,
    pattern: /recipient address rejected: access denied|banned recipient/i,
    sources: [exchange],
  },
  {
    outcomeClass: 'bad-address',
    codes: /^4\.1$/,
    pattern: /relay access denied/i,
    sources: [exchange],
  },
  {
    // Registered for a recipient domain's null MX (RFC 7505).
    outcomeClass: 'unknown-user',
    codes: /^1\.10$/,
    pattern: /recipient ?not ?found|not found by SMTP address lookup/i,
    sources: [exchange],
  },
  {
    outcomeClass: 'unknown-user',
    codes: /^5\.0$/,
    pattern: /requested action not taken: mailbox unavailable/i,
    sources: [exchange],
  },
  {
    // Registered for logins.
    outcomeClass: 'policy',
    codes: /^7\.1[23]$/,
    pattern: /sender was not authenticated/i,
    sources: [exchange],
  },
  {
    // Registered for a login that is too weak.
    outcomeClass: 'policy',
    codes: /^7\.9$/,
    pattern: /policy reasons/i,
    sources: [yahoo],
  },
  {
    outcomeClass: 'blocked',
    codes: /^7\./,
    pattern: /will be permanently deferred/i,
    sources: [yahoo],
  },
  {
    // Registered for SPF.
    outcomeClass: 'blocked',
    codes: /^7\.23$/,
    pattern: /\bPTR record/i,
    sources: [gmail],
  },
  {
    // Registered for a sender domain's null MX and for REQUIRETLS.
    outcomeClass: 'unauthenticated',
    codes: /^7\.(?:27|30)$/,
    pattern: /\b(?:SPF|DKIM)\b/,
    sources: [gmail],
  },
  {
    // Registered for ARC.
    outcomeClass: 'tls',
    codes: /^7\.29$/,
    pattern: /\bTLS\b/,
    sources: [gmail],
  },
  {
    outcomeClass: 'rate-limited',
    codes: /^7\.(?:[56]\d\d|8[5-9]\d)$/,
    pattern: /please try again later/i,
    sources: [exchange],
  },
];

/** For codes that say little. */
const WORDS: readonly TextRule[] = [
  {
    outcomeClass: 'greylisted',
    pattern:
      /gr[ea]y-?list|^450[ -]4\.3\.2 service currently unavailable|^451[ -]4\.7\.1 try again later|internal resources? (?:is |are )?temporarily unavailable/i,
    sources: [SOURCES.postgrey, SOURCES.postscreen, SOURCES.rspamd, mimecast],
  },
  {
    outcomeClass: 'rate-limited',
    pattern:
      /rate.?limit|too many (?:messages|connections|concurrent|recipients|errors|AUTH|new TLS|login)|unusual (?:rate|amount) of|throttl|temporarily deferred|limit exceeded|exceeded (?:permitted|the \w+) limit|daily limit|submission quota|\bRP-00\d\b/i,
    sources: [gmail, yahoo, exchange, outlook, postfix, exim],
  },
  {
    outcomeClass: 'mailbox-full',
    pattern:
      /(?:mailbox|account|inbox|user).{0,40}(?:\bfull\b|over ?-?quota|out of storage)|quota exceeded|exceeded storage allocation/i,
    sources: [gmail, SOURCES.dovecot, smtp],
  },
  {
    outcomeClass: 'mailbox-disabled',
    pattern: /(?:mailbox|account) .{0,40}(?:disabled|inactive)|\b(?:disabled|inactive) (?:mailbox|account)/i,
    sources: [gmail],
  },
  {
    outcomeClass: 'bad-sender',
    pattern: /sender (?:address )?(?:rejected|denied)|sender verify failed|bad outbound sender/i,
    sources: [postfix, exim, exchange],
  },
  {
    outcomeClass: 'unknown-user',
    pattern:
      /no such (?:user|mailbox|recipient|account|address)|\bunknown (?:user|recipient|mailbox)|\b(?:user|recipient|mailbox|account)\b[^:;]{0,80}(?:\bunknown\b|not found\b|does(?: not|n'?t) exist|doesn'?t have a)|unrout(?:e)?able address/i,
    sources: [gmail, yahoo, postfix, exim, smtp, SOURCES.sendmail],
  },
  {
    outcomeClass: 'unauthenticated',
    pattern: /\b(?:SPF|DKIM|DMARC)\b|unauthenticated e?mail|is unauthenticated/i,
    sources: [gmail, exchange, SOURCES.spf, SOURCES.dmarc],
  },
  {
    outcomeClass: 'blocked',
    pattern:
      /reputation|spamhaus|blocked using|block-? ?list|black-? ?list|\b(?:RBL|DNSBL)\b|\bPTR records?\b|reverse (?:DNS|hostname)|cannot find your|\b(?:SC|DY|OU)-00\d\b|not in whitelist|not authorized to send e?mail directly/i,
    sources: [gmail, exchange, outlook, yahoo, postfix],
  },
  {
    outcomeClass: 'content',
    pattern:
      /\bspam\b|spamassassin|\bvirus|malware|phish|unsolicited|(?:due to|because) .{0,20}\bcontent|header is|headers?\b.{0,40} not accepted|RFC 5322 (?:section|compliant)|not RFC 5322/i,
    sources: [gmail, yahoo, exchange, SOURCES.spamassassin],
  },
  {
    outcomeClass: 'blocked',
    pattern: /\bblocked\b|banned|traffic not accepted from|tenant has exceeded|rejected by recipient/i,
    sources: [exchange, mimecast],
  },
  {
    outcomeClass: 'auth',
    pattern: /authentication (?:required|failed)|client was not authenticated|not logged in/i,
    sources: [SOURCES.auth, gmail, exchange],
  },
  {
    outcomeClass: 'tls',
    pattern: /must issue a STARTTLS|TLS (?:is )?required/i,
    sources: [SOURCES.starttls, gmail],
  },
  {
    outcomeClass: 'too-large',
    pattern: /message (?:size|too (?:large|big))|size (?:limit|exceeds)/i,
    sources: [SOURCES.size, postfix, gmail],
  },
  {
    outcomeClass: 'loop',
    pattern: /too many hops|mail loop|routing loop|hop count/i,
    sources: [postfix, exim, exchange],
  },
  {
    outcomeClass: 'policy',
    pattern:
      /polic(?:y|ies)|relay(?:ing)? (?:access )?(?:denied|not permitted)|unable to relay|access denied|administrative prohibition|delivery not authorized/i,
    sources: [postfix, exim, exchange, outlook],
  },
];

export const TEXT_RULES: readonly TextRule[] = [...OTHERWISE, ...WORDS];
