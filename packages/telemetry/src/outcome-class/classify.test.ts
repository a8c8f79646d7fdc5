/** Replies as servers give them, and trouble of our own, to their class. */
import { expect, test } from 'vitest';
import { outcomeClass, textRule } from './classify.ts';
import { TEXT_RULES } from './texts.ts';

/** As the client makes it: the enhanced status of the reply, or x.0.0 of its class. */
function statusOf(reply: string): string {
  return /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})/.exec(reply)?.[1] ?? `${reply[0]}.0.0`;
}

function ofReply(reply: string): string | undefined {
  const kind = reply.startsWith('4') ? 'deferred' : 'bounced';
  return outcomeClass({ kind, status: statusOf(reply), reason: `host mx said: ${reply}`, reply });
}

/** Replies as the documents in sources.ts have them, or as these servers give them. */
const REPLIES: readonly (readonly [reply: string, outcomeClass: string])[] = [
  // The code says it.
  ['550 5.1.1 no', 'unknown-user'],
  ['550 5.1.1 <a@b>: inactive email address', 'unknown-user'],
  ["550 5.1.2 We weren't able to find the recipient domain.", 'bad-address'],
  ['556 5.1.10 Recipient address has null MX', 'bad-address'],
  ['553 5.1.8 Domain of sender address a@b does not exist', 'bad-sender'],
  ['550 5.1.8 Access denied, bad outbound sender', 'bad-sender'],
  ["452 4.2.2 The recipient's inbox is out of storage space.", 'mailbox-full'],
  ['452 4.5.3 Your message has too many recipients.', 'rate-limited'],
  [
    '452 4.5.3 Domain policy size per transaction exceeded, please try this recipient in a separate transaction.',
    'rate-limited',
  ],
  ['452 4.3.1 Insufficient system storage', 'system'],
  ['550 5.2.1 The email account that you tried to reach is inactive.', 'mailbox-disabled'],
  ["552 5.3.4 Your message exceeded Google's message size limits.", 'too-large'],
  [
    "550 5.7.26 Unauthenticated email from b is not accepted due to domain's DMARC policy.",
    'unauthenticated',
  ],
  ["550 5.7.25 This message was blocked because the sending IP address doesn't have a PTR record", 'blocked'],
  ['421 4.7.28 Gmail has detected an unusual rate of email.', 'rate-limited'],
  ['550 5.7.27 Sender address has null MX', 'bad-sender'],
  ['550 5.7.30 REQUIRETLS support required', 'tls'],
  ['550 5.7.29 ARC validation failure', 'unauthenticated'],
  ['554 5.4.6 Message exceeded 50 hops, this may indicate an email loop.', 'loop'],
  ['550 5.6.7 no', 'unsupported'],
  ['554 5.6.3 Conversion required but not supported', 'unsupported'],
  ['525 5.7.13 User account disabled', 'auth'],
  ['550 5.7.17 Mailbox owner has changed', 'unknown-user'],
  ['451 4.4.1 no answer from host', 'network'],
  // The code is used otherwise.
  ['450 4.2.1 The user you are trying to contact is receiving email too quickly.', 'rate-limited'],
  [
    '550 5.2.1 The user you are trying to contact is receiving email at a rate that prevents additional messages from being delivered.',
    'rate-limited',
  ],
  ['550 5.2.2 Submission quota exceeded', 'rate-limited'],
  [
    '550 5.4.1 Recipient address rejected: Access denied. [BN1NAM02FT022.eop-nam02.prod.protection.outlook.com]',
    'unknown-user',
  ],
  ['550 5.7.504 [a@b]: Recipient address rejected: Access denied', 'unknown-user'],
  ['550 5.4.1 Relay Access Denied', 'bad-address'],
  ['550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup', 'unknown-user'],
  ['550 5.5.0 Requested action not taken: mailbox unavailable', 'unknown-user'],
  ['550 5.7.12 Sender was not authenticated by organization', 'policy'],
  ['554 5.7.9 Message not accepted for policy reasons.', 'policy'],
  [
    '553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.',
    'blocked',
  ],
  ['421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred', 'blocked'],
  ["451 4.7.23 The sending IP address for this message doesn't have a PTR record", 'blocked'],
  ['550 5.7.23 The message was rejected because of Sender Policy Framework violation', 'unauthenticated'],
  ["550 5.7.27 This message was blocked because it didn't pass SPF authentication.", 'unauthenticated'],
  [
    "421 4.7.30 Your email has been rate limited because DKIM authentication didn't pass for this message.",
    'unauthenticated',
  ],
  ["550 5.7.29 This message was blocked because it wasn't sent over a TLS connection.", 'tls'],
  ['451 4.7.500 Access denied, please try again later', 'rate-limited'],
  ['451 4.7.500 Server busy. Please try again later from [192.0.2.1].', 'rate-limited'],
  [
    '450-4.2.1 The user you are trying to contact is receiving email 450-4.2.1 too quickly. Please resend 450 4.2.1 your message later.',
    'rate-limited',
  ],
  // The code is none of the registry's.
  [
    "550 5.7.40 Your message was blocked because the sending domain doesn't have a DMARC record",
    'unauthenticated',
  ],
  ["421 4.7.32 Your email has been rate limited because the From: header isn't aligned", 'rate-limited'],
  ["550 5.2.122 Recipient's per hour message receive limit exceeded.", 'rate-limited'],
  [
    "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
    'rate-limited',
  ],
  ['550 5.7.57 Client was not authenticated to send anonymous mail during MAIL FROM', 'auth'],
  ['550 5.7.64 TenantAttribution; Relay Access Denied', 'policy'],
  ['550 5.7.606 Access denied, banned sending IP [192.0.2.1]', 'blocked'],
  ['550 5.7.708 Access denied, traffic not accepted from this IP', 'blocked'],
  ['550 5.7.509 Access denied, sending domain b does not pass DMARC verification', 'unauthenticated'],
  ['550 5.7.515 Access denied, sending domain b does not meet the required authentication level.', 'policy'],
  ['550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant', 'content'],
  ['554 5.4.14 Routing loop detected', 'loop'],
  // The code says little, the words say it.
  [
    '450 4.2.0 <a@b>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/b.html',
    'greylisted',
  ],
  ['450 4.3.2 Service currently unavailable', 'greylisted'],
  ['421 4.3.2 Service currently unavailable', 'system'],
  ['451 4.7.1 Try again later', 'greylisted'],
  ['421 4.7.0 Try again later, closing connection.', 'policy'],
  ['451 Internal resource temporarily unavailable', 'greylisted'],
  [
    '421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints',
    'rate-limited',
  ],
  ['421 4.7.0 mx Error: too many connections from 192.0.2.1', 'rate-limited'],
  ['421 Too many concurrent SMTP connections from this IP address; please try again later.', 'rate-limited'],
  [
    '421 RP-001 The mail server IP connecting to Outlook.com server has exceeded the rate limit allowed.',
    'rate-limited',
  ],
  [
    '421 4.7.0 This message is suspicious due to the very low reputation of the sending IP address. Email sent from your IP address has been temporarily rate limited.',
    'rate-limited',
  ],
  ['550 5.4.5 Daily user sending limit exceeded.', 'rate-limited'],
  ['421 4.4.5 Server busy, try again later.', 'system'],
  ['432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded', 'rate-limited'],
  ['550 Quota exceeded (mailbox for user is full)', 'mailbox-full'],
  ['552 Requested mail action aborted: exceeded storage allocation', 'mailbox-full'],
  ['550 The email account that you tried to reach is disabled.', 'mailbox-disabled'],
  [
    '550 5.7.0 Email relay denied. The sending email account has been temporarily suspended due to abuse.',
    'policy',
  ],
  ['550 Sender verify failed', 'bad-sender'],
  ['550 <a@b>: Sender address rejected: Domain not found', 'bad-sender'],
  ['550 5.1.0 Sender denied', 'bad-sender'],
  ['550 5.7.1 <a@b>: Recipient address rejected: User unknown in local recipient table', 'unknown-user'],
  ['554 5.7.1 <a@b>: Recipient address rejected: Access denied', 'policy'],
  ["550 5.7.1 Message rejected by the recipient's account policy", 'policy'],
  ['550 Unrouteable address', 'unknown-user'],
  ['550 <a@b>... User unknown', 'unknown-user'],
  ['550 No such user here', 'unknown-user'],
  ["554 delivery error: dd This user doesn't have a yahoo.com account (a@yahoo.com) [-5]", 'unknown-user'],
  ['550 5.7.1 Email rejected per DMARC policy for example.com', 'unauthenticated'],
  ['550 5.7.1 SPF MAIL FROM check failed:', 'unauthenticated'],
  ['554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org', 'blocked'],
  ['450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]', 'blocked'],
  [
    "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).",
    'blocked',
  ],
  ['550 SC-001 Mail rejected by Outlook.com for policy reasons.', 'blocked'],
  [
    '550 5.7.1 This message is likely suspicious due to the very low reputation of the sending domain. To best protect our users from spam, the message has been blocked.',
    'blocked',
  ],
  [
    '550 5.7.1 This message does not meet IPv6 sending guidelines regarding PTR records and authentication.',
    'blocked',
  ],
  [
    "554 Your access to this mail system has been rejected due to the sending MTA's poor reputation.",
    'blocked',
  ],
  [
    "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
    'blocked',
  ],
  ['554 5.7.0 Blocked', 'blocked'],
  ['421 Sender address blocked', 'blocked'],
  [
    '550 5.7.1 This message is likely unsolicited email. To reduce the amount of spam sent to Gmail, this message has been blocked.',
    'content',
  ],
  ['552 5.7.0 This message was blocked because its content presents a potential security issue.', 'content'],
  ['550 5.7.1 Blocked by SpamAssassin', 'content'],
  ['550 5.7.1 Messages missing a valid Message-ID: header are not accepted.', 'content'],
  ['530 5.7.0 Authentication required', 'auth'],
  ['530 5.7.0 Must issue a STARTTLS command first', 'tls'],
  ['421 4.7.0 TLS required for RCPT domain, closing connection.', 'tls'],
  ['552 message size exceeds fixed maximum message size', 'too-large'],
  ['550 Too many "Received" headers - suspected mail loop', 'loop'],
  ['550 relay not permitted', 'policy'],
  ['550 5.7.1 <a@b>: Relay access denied', 'policy'],
  ['550 5.7.1 This message violates example.com email policy. - gcdp - gsmtp', 'policy'],
  // Neither says anything.
  ['550 go away', 'other'],
  ['550 Requested action not taken: mailbox unavailable', 'other'],
  ['552 no', 'mailbox-full'],
  ['503 what', 'protocol'],
  ['550 5.7.1 no', 'policy'],
];

test.each(REPLIES)('%s: %s', (reply, expected) => {
  expect(ofReply(reply)).toBe(expected);
});

test.each(TEXT_RULES.map((rule, index) => ({ ...rule, index })))(
  'rule $index ($outcomeClass) names documents with their addresses, and a reply above meets it',
  ({ index, sources }) => {
    expect(sources.length).toBeGreaterThan(0);
    for (const source of sources) expect(source).toMatch(/^\S.+, https:\/\/[^\s?#]+$/);
    expect(REPLIES.map(([reply]) => textRule(statusOf(reply), reply))).toContain(TEXT_RULES[index]);
  },
);

test.each([
  [
    '4.4.3',
    'Host or domain name not found. Name service error for name=x type=MX: Host not found, try again',
    'dns',
  ],
  ['5.4.4', 'Host or domain name not found. Name service error for name=x type=A: Host not found', 'dns'],
  ['4.4.1', 'connect to mx.example.net[192.0.2.1]:25: Connection refused', 'network'],
  ['4.4.2', 'lost connection with mx.example.net[192.0.2.1] while sending RCPT TO', 'network'],
  ['4.7.5', 'Server certificate not verified', 'tls'],
  ['4.7.4', 'TLS is required, but was not offered by host mx[192.0.2.1]', 'tls'],
  ['4.7.0', 'SASL authentication failed; cannot authenticate to server mx[192.0.2.1]', 'auth'],
  ['4.4.7', 'delivery time expired', 'expired'],
  ['5.4.6', 'mail for example.net loops back to myself', 'loop'],
  ['5.3.4', 'message size 5 exceeds size limit 4 of server mx[192.0.2.1]', 'too-large'],
  ['4.3.0', 'unreadable mail queue entry', 'local'],
  ['4.3.2', 'deferred transport', 'local'],
])('our own %s %s: %s', (status, reason, expected) => {
  expect(outcomeClass({ kind: status.startsWith('4') ? 'deferred' : 'bounced', status, reason })).toBe(
    expected,
  );
});

test('a success has none', () => {
  expect(
    outcomeClass({ kind: 'delivered', status: '2.0.0', reason: '250 ok', reply: '250 ok' }),
  ).toBeUndefined();
});

test('hostile texts cost no time', () => {
  const hostile = [
    'a'.repeat(5_000),
    'mailbox '.repeat(700),
    'not '.repeat(1_200),
    'account '.repeat(600),
    'headers '.repeat(600),
  ];
  const start = performance.now();
  for (const text of hostile) ofReply(`550 ${text}`);
  expect(performance.now() - start).toBeLessThan(1_000);
});
