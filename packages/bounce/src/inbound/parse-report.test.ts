/** Reports of other systems, in the shapes that they really have, and reports that are none. */
import { describe, expect, test } from 'vitest';
import { parseReport } from './parse-report.ts';

const crlf = (text: string): Buffer => Buffer.from(text.replace(/\n/g, '\r\n'));

function report(status: string, more: { readonly type?: string; readonly encoding?: string } = {}): Buffer {
  const { type = 'message/delivery-status', encoding } = more;
  return crlf(`From: MAILER-DAEMON@mx.example.net
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="=_b1"

preamble
--=_b1
Content-Type: text/plain

It failed.
--=_b1
Content-Type: ${type}${encoding === undefined ? '' : `\nContent-Transfer-Encoding: ${encoding}`}

${status}
--=_b1
Content-Type: message/rfc822

Message-ID: <1@sender.example>
From: Alice <alice@sender.example>
Subject: Hello

body
--=_b1--
`);
}

const STATUS = `Reporting-MTA: dns; mx.example.net
Original-Envelope-Id: QQ31
Arrival-Date: Mon, 23 Nov 2026 10:00:00 +0000

Final-Recipient: rfc822; bob@example.net
Original-Recipient: rfc822;Bob@example.net
Action: failed
Status: 5.2.2 (over quota)
Remote-MTA: dns; mbox.example.net
Diagnostic-Code: smtp; 552 5.2.2 <bob@example.net>
    the mailbox is over quota

Final-Recipient: rfc822;carol@example.net
Action: delayed
Status: 4.4.1
Diagnostic-Code: X-Postfix; connect to mx[192.0.2.1]:25: Connection timed out

Final-Recipient: rfc822; dave@example.net
Action: relayed
Status: 2.0.0`;

describe('a delivery status notification', () => {
  test('yields an outcome for each recipient, with its class', () => {
    expect(parseReport(report(STATUS))).toEqual({
      kind: 'dsn',
      reportingMta: 'mx.example.net',
      envelopeId: 'QQ31',
      arrivalDate: 'Mon, 23 Nov 2026 10:00:00 +0000',
      original: {
        messageId: '<1@sender.example>',
        from: 'Alice <alice@sender.example>',
        subject: 'Hello',
      },
      outcomes: [
        {
          address: 'bob@example.net',
          originalRecipient: 'Bob@example.net',
          kind: 'bounced',
          status: '5.2.2',
          reason: '552 5.2.2 <bob@example.net> the mailbox is over quota',
          action: 'failed',
          remoteMta: 'mbox.example.net',
          reply: '552 5.2.2 <bob@example.net> the mailbox is over quota',
          class: 'mailbox-full',
        },
        {
          address: 'carol@example.net',
          kind: 'deferred',
          status: '4.4.1',
          reason: 'connect to mx[192.0.2.1]:25: Connection timed out',
          action: 'delayed',
          class: 'network',
        },
        {
          address: 'dave@example.net',
          kind: 'delivered',
          status: '2.0.0',
          reason: 'no reason given',
          action: 'relayed',
        },
      ],
    });
  });

  test.each([
    ['base64', Buffer.from(STATUS.replace(/\n/g, '\r\n')).toString('base64')],
    ['quoted-printable', STATUS.replace('over quota)', 'over=20quo=\nta)')],
  ])('in %s', (encoding, body) => {
    expect(parseReport(report(body, { encoding }))).toMatchObject({
      outcomes: [{ status: '5.2.2' }, { status: '4.4.1' }, {}],
    });
  });

  test('in its UTF-8 form', () => {
    const status =
      'Reporting-MTA: dns; mx\n\nFinal-Recipient: utf-8; größe@example.net\nAction: failed\nStatus: 5.1.1';
    expect(
      parseReport(report(status, { type: 'message/global-delivery-status', encoding: '8bit' })),
    ).toMatchObject({
      outcomes: [{ address: 'größe@example.net', class: 'unknown-user' }],
    });
  });
});

test('a complaint (ARF) tells what it is about', () => {
  const complaint = crlf(`Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

spam
--b
Content-Type: message/feedback-report

Feedback-Type: Abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <list+bob=example.net@sender.example>
Original-Rcpt-To: <bob@example.net>
Source-IP: 192.0.2.1

--b
Content-Type: text/rfc822-headers

Message-ID: <1@sender.example>
To: bob@example.net

--b--
`);
  expect(parseReport(complaint)).toEqual({
    kind: 'complaint',
    feedbackType: 'abuse',
    userAgent: 'SomeGenerator/1.0',
    sourceIp: '192.0.2.1',
    mailFrom: 'list+bob=example.net@sender.example',
    recipients: ['bob@example.net'],
    original: { messageId: '<1@sender.example>' },
  });
});

describe('what is no report, or a hostile one', () => {
  test.each([
    ['nothing', ''],
    ['plain mail', 'Subject: hi\n\nFinal-Recipient: rfc822; a@b\nAction: failed\nStatus: 5.1.1\n'],
    ['a report without recipients', report('Reporting-MTA: dns; mx').toString()],
    ['an empty boundary', 'Content-Type: multipart/report; boundary=""\n\n--\n'],
  ])('%s is unknown', (_name, text) => {
    expect(parseReport(crlf(text))).toMatchObject({ kind: 'unknown' });
  });

  test('control characters do not pass, and size costs no time', () => {
    const start = performance.now();
    const block = 'Final-Recipient: rfc822; a\u001b[2J@b\nAction: failed\nStatus: 9.9.9';
    const parsed = parseReport(report(`Reporting-MTA: dns; mx\n\n${`${block}\n\n`.repeat(20_000)}`));
    if (parsed.kind !== 'dsn') throw new Error(parsed.kind);
    expect(parsed.outcomes).toHaveLength(1_000);
    expect(parsed.outcomes[0]).toMatchObject({ address: 'a?[2J@b', status: '5.0.0' });
    for (const hostile of [
      '\r\n'.repeat(1_000_000),
      'a: b\r\n '.repeat(300_000),
      '--=_b1\r\n'.repeat(300_000),
    ]) {
      parseReport(
        Buffer.concat([
          Buffer.from('Content-Type: multipart/report; boundary="=_b1"\r\n'),
          Buffer.from(hostile),
        ]),
      );
    }
    expect(performance.now() - start).toBeLessThan(3_000);
  });
});
