/** Replies as servers give them, and trouble of our own, to their class. */
import { expect, test } from 'vitest';
import { outcomeClass } from './classify.ts';
import { TEXT_RULES } from './texts.ts';

/** As the client makes it: the enhanced status of the reply, or x.0.0 of its class. */
function ofReply(reply: string): string | undefined {
  const digit = reply[0] ?? '5';
  const status = /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})/.exec(reply)?.[1] ?? `${digit}.0.0`;
  const kind = digit === '4' ? 'deferred' : 'bounced';
  return outcomeClass({ kind, status, reason: `host mx said: ${reply}`, reply });
}

test.each([
  // The code says it.
  ['550 5.1.1 no', 'unknown-user'],
  ['550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found', 'bad-address'],
  ['452 4.2.2 The recipient is out of storage', 'mailbox-full'],
  ['550 5.2.1 mailbox unavailable', 'mailbox-disabled'],
  ['552 5.3.4 too big', 'too-large'],
  ['550 5.7.26 not accepted', 'unauthenticated'],
  ['550 5.7.25 not accepted', 'blocked'],
  ['421 4.7.28 not now', 'rate-limited'],
  ['550 5.7.27 no', 'bad-sender'],
  ['530 5.7.0 Authentication required', 'auth'],
  ['554 5.4.6 no', 'loop'],
  ['550 5.6.7 no', 'unsupported'],
  // The code says little, the words say it.
  ['450 4.7.1 <a@b>: Recipient address rejected: Greylisted, try later', 'greylisted'],
  ['451 4.7.1 Please try again in 300 seconds', 'greylisted'],
  ['421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints', 'rate-limited'],
  ['421 4.7.0 Our system has detected an unusual rate of unsolicited mail', 'rate-limited'],
  ['451 4.7.500 Server busy. Please try again later', 'rate-limited'],
  ['554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org', 'blocked'],
  ['550 5.7.1 part of their network is on our block list (S3140)', 'blocked'],
  ['554 5.7.1 Message rejected as spam by Content Filtering', 'content'],
  [
    '550 5.7.1 Unauthenticated email from example.org is not accepted due to domain policy',
    'unauthenticated',
  ],
  ['550 Mailbox quota exceeded', 'mailbox-full'],
  ['550 No such user here', 'unknown-user'],
  ['550 5.7.1 <a@b>: Relay access denied', 'policy'],
  ['530 5.7.0 Must issue a STARTTLS command first', 'tls'],
  // Neither says anything.
  ['550 go away', 'other'],
  ['552 no', 'mailbox-full'],
  ['503 what', 'protocol'],
  ['550 5.7.1 no', 'policy'],
])('%s: %s', (reply, expected) => {
  expect(ofReply(reply)).toBe(expected);
});

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

test('every rule of the text table names its source, and hostile texts cost no time', () => {
  const hostile = [
    'a'.repeat(5_000),
    'mailbox '.repeat(700),
    'not '.repeat(1_200),
    'rejected account'.repeat(300),
  ];
  const start = performance.now();
  for (const { source } of TEXT_RULES) expect(source).toMatch(/\w{4}/);
  for (const text of hostile) ofReply(`550 ${text}`);
  expect(performance.now() - start).toBeLessThan(1_000);
});
