/**
 * What servers say in words, where their codes say little: patterns in our own words, each with whose replies it is for. The first that
 * matches counts. A reply text is evidence, not a fact: nothing but statistics and an operator's own lists may rest on it.
 */
import type { OutcomeClass } from './status.ts';

interface TextRule {
  readonly outcomeClass: OutcomeClass;
  readonly pattern: RegExp;
  /** Whose words: documentation or well-known behaviour of these servers. */
  readonly source: string;
}

export const TEXT_RULES: readonly TextRule[] = [
  {
    outcomeClass: 'greylisted',
    pattern: /gr[ea]y-?list|postgrey|try again (?:in|after) \d+ (?:seconds|minutes)/i,
    source: 'postgrey, rspamd, milter-greylist and OpenBSD spamd: replies to a first attempt',
  },
  {
    outcomeClass: 'rate-limited',
    pattern:
      /rate.?limit|too many (?:messages|connections|emails|recipients|errors)|unusual rate|throttl|\bTSS0\d\b|(?:exceeded|reached) .{0,40}(?:limit|quota) (?:of|for) (?:messages|connections)|sending too (?:fast|much)|server busy/i,
    source:
      'Gmail (SMTP error reference), Yahoo postmaster pages (TSS codes), Exchange Online (4.7.500), Postfix anvil limits',
  },
  {
    outcomeClass: 'mailbox-full',
    pattern:
      /(?:mailbox|account|inbox|quota|user).{0,40}(?:full|over ?quota|exceed)|(?:over|exceed\w*|out of).{0,20}(?:quota|storage)|quota exceeded|insufficient (?:disk|storage) space/i,
    source: 'Dovecot quota plug-in, Cyrus, Gmail (SMTP error reference), Exchange Online NDR list',
  },
  {
    outcomeClass: 'mailbox-disabled',
    pattern:
      /(?:mailbox|account|user|recipient).{0,30}(?:disabled|inactive|suspended|deactivated|locked|closed|expired)|\b(?:disabled|inactive|suspended) (?:mailbox|account|user|recipient)/i,
    source: 'Gmail (SMTP error reference), Yahoo postmaster pages, Exchange',
  },
  {
    outcomeClass: 'unknown-user',
    pattern:
      /(?:no such|unknown|invalid|non-?existent|does not exist|doesn'?t (?:exist|have)|not (?:found|exist|known)|unrout(?:e)?able|rejected).{0,40}(?:user|mailbox|recipient|account|address)|(?:user|mailbox|recipient|account|address).{0,60}(?:unknown|not (?:found|exist|known|here|listed|available)|does(?: not|n'?t) exist|no longer|invalid|undeliverable)|no mailbox here|account that you tried to reach does not/i,
    source: 'Postfix, Exim, qmail, Sendmail, Exchange, Gmail (SMTP error reference): unknown recipients',
  },
  {
    outcomeClass: 'unauthenticated',
    pattern:
      /\b(?:SPF|DKIM|DMARC|ARC)\b|unauthenticated (?:email|mail)|sender policy framework|domain.{0,20}alignment/i,
    source:
      'Gmail sender guidelines, Yahoo sender hub, Microsoft high-volume sender rules, OpenDMARC, policyd-spf',
  },
  {
    outcomeClass: 'content',
    pattern:
      /\bspam\b(?!haus|cop)|\bviru?s|malware|phish|unsolicited|content (?:rejected|blocked|filter)|message (?:content|contains)|attachment|blocked .{0,20}(?:url|link|content)|suspicious/i,
    source: 'SpamAssassin and rspamd milters, ClamAV, Exchange Online, Gmail (SMTP error reference)',
  },
  {
    outcomeClass: 'blocked',
    pattern:
      /spamhaus|spamcop|barracuda|\b(?:dns)?[rd]?bl\b|blo?ck(?:ed|ing|-? ?list)|black-?list|deny-?list|reputation|\bS3140\b|\bS3150\b|client host .{0,80}(?:rejected|blocked)|reverse (?:dns|hostname)|\bPTR\b|banned|listed (?:at|in|on|by)/i,
    source:
      'Postfix reject_rbl_client, Spamhaus, Barracuda, Outlook.com (S3140/S3150), Yahoo postmaster pages',
  },
  {
    outcomeClass: 'bad-sender',
    pattern:
      /sender (?:address )?(?:rejected|denied|verify failed|unknown)|domain of sender|sender domain|invalid sender/i,
    source: 'Postfix reject_unknown_sender_domain, Exim sender verification, Sendmail',
  },
  {
    outcomeClass: 'auth',
    pattern: /authentication (?:required|failed|unsuccessful)|must (?:be )?authenticat|not logged in/i,
    source: 'submission services: Postfix, Exim, Exchange',
  },
  {
    outcomeClass: 'tls',
    pattern: /must issue a STARTTLS|TLS (?:is )?required|encryption (?:is )?required/i,
    source: 'Postfix smtpd_tls_security_level = encrypt, Exchange',
  },
  {
    outcomeClass: 'too-large',
    pattern: /message (?:size|too (?:large|big))|size (?:limit|exceeds)|too large/i,
    source: 'RFC 1870 replies of all servers',
  },
  {
    outcomeClass: 'loop',
    pattern: /too many hops|mail loop|loops? back|hop count/i,
    source: 'Postfix, Sendmail, Exchange hop counts',
  },
  {
    outcomeClass: 'dns',
    pattern: /(?:host|domain).{0,40}(?:not found|lookup|does not resolve)|no (?:valid )?MX/i,
    source: 'relays that tell their own lookups',
  },
  {
    outcomeClass: 'policy',
    pattern:
      /polic(?:y|ies)|not (?:authori[sz]ed|permitted|allowed)|relay(?:ing)? (?:access )?denied|refused/i,
    source: 'Postfix, Exim and Exchange access rules',
  },
];
