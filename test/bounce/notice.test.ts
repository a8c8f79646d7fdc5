/**
 * A message to three recipients, one refused for good, one for now, one accepted: what the sender gets back, read by
 * an independent parser field by field.
 */
import { type ReceivedMessage, startSmtpServer } from '@mailfleet/test-kit';
import { type AddressObject, type ParsedMail, simpleParser } from 'mailparser';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fleet, startFleet } from '../fleet/fleet.ts';

type SmtpServer = Awaited<ReturnType<typeof startSmtpServer>>;

let peer: SmtpServer;
let fleet: Fleet;

beforeAll(async () => {
  peer = await startSmtpServer({
    hostname: 'mx.example.net',
    hooks: {
      rcpt: ({ recipient = '' }) =>
        recipient.startsWith('nobody')
          ? `550 5.1.1 <${recipient}>: there is no such user here, and this reply is long enough to be folded`
          : recipient.startsWith('later')
            ? '450 4.2.0 come back later'
            : undefined,
    },
  });
  fleet = await startFleet({
    parameters: { relayhost: `[127.0.0.1]:${peer.port}`, mail_name: 'Mailfleet', bounce_size_limit: '2000' },
  });
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await peer?.close();
});

interface Submission {
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly text?: string;
  readonly ret?: 'full' | 'headers';
  readonly notify?: 'never' | 'success' | 'failure' | 'delay';
}

/** Submits and returns the queue id. */
async function submit({ sender, recipients, text = 'Hello\n', ret, notify }: Submission): Promise<string> {
  const transport = createTransport({ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true });
  const { response } = await transport.sendMail({
    envelope: { from: sender, to: [...recipients] },
    from: sender,
    to: recipients.join(', '),
    subject: 'Three of you',
    text,
    ...(notify === undefined
      ? {}
      : { dsn: { id: 'QQ314159', return: ret ?? 'full', notify, recipient: sender } }),
  });
  return /queued as (\S+)/.exec(response)?.[1] ?? '';
}

async function noticeTo(recipient: string): Promise<ReceivedMessage> {
  for (let count = 1; ; count += 1) {
    const messages = await peer.waitForMessages(count, 30_000);
    const found = messages.find((message) => message.sender === '' && message.recipients.includes(recipient));
    if (found !== undefined) return found;
  }
}

/** Fields of a delivery status, one record for the message and one for each recipient. */
function statusOf(mail: ParsedMail): readonly Readonly<Record<string, string>>[] {
  const part = mail.attachments.find(({ contentType }) => contentType === 'message/delivery-status');
  const text = part?.content.toString() ?? '';
  return text
    .trim()
    .split(/\r?\n\r?\n/)
    .map((block) =>
      Object.fromEntries(
        block
          .replace(/\r?\n\s+/g, ' ')
          .split(/\r?\n/)
          .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      ),
    );
}

describe('a non-delivery notice', () => {
  test('comes back to the sender and says what failed', async () => {
    const sender = 'alice@sender.example.org';
    const queueId = await submit({
      sender,
      recipients: ['bob@example.net', 'nobody@example.net', 'later@example.net'],
      notify: 'failure',
    });
    const received = await noticeTo(sender);
    const mail = await simpleParser(received.raw, { keepDeliveryStatus: true });

    expect((mail.from as AddressObject).value).toEqual([
      { name: 'Mail Delivery System', address: 'MAILER-DAEMON@fleet.test' },
    ]);
    expect((mail.to as AddressObject).value).toEqual([{ name: '', address: sender }]);
    expect(mail.headers.get('auto-submitted')).toBe('auto-replied');
    expect(mail.headers.get('content-type')).toMatchObject({
      value: 'multipart/report',
      params: { 'report-type': 'delivery-status' },
    });
    expect(mail.date).toBeInstanceOf(Date);
    expect(mail.messageId).toMatch(/^<\S+@fleet\.test>$/);

    expect(mail.text).toContain('<nobody@example.net>: host 127.0.0.1[127.0.0.1] said: 550 5.1.1');
    expect(mail.text).not.toContain('later@example.net');
    expect(mail.text).not.toContain('bob@example.net');

    const [message, recipient, ...more] = statusOf(mail);
    expect(more).toEqual([]);
    expect(message).toMatchObject({
      'Reporting-MTA': 'dns; fleet.test',
      'Original-Envelope-Id': 'QQ314159',
      'X-Mailfleet-Queue-ID': queueId,
      'X-Mailfleet-Sender': `rfc822; ${sender}`,
    });
    expect(Date.parse(message?.['Arrival-Date'] ?? '')).toBeGreaterThan(Date.now() - 60_000);
    expect(recipient).toMatchObject({
      'Final-Recipient': 'rfc822; nobody@example.net',
      Action: 'failed',
      Status: '5.1.1',
      'Remote-MTA': 'dns; 127.0.0.1',
      'Diagnostic-Code':
        'smtp; 550 5.1.1 <nobody@example.net>: there is no such user here, and this reply is long enough to be folded',
    });

    const original = mail.attachments.find(({ contentType }) => contentType === 'message/rfc822');
    const returned = await simpleParser(original?.content ?? '');
    expect(returned.subject).toBe('Three of you');
    expect(returned.text?.trim()).toBe('Hello');
    expect(returned.headers.get('return-path')).toMatchObject({ value: [{ address: sender }] });
    expect(await fleet.maillog()).toMatch(
      new RegExp(`bounce\\[\\d+\\]: ${queueId}: sender non-delivery notification: \\w+`),
    );
  });

  test.each([
    ['above bounce_size_limit', { text: `${'x'.repeat(60)}\n`.repeat(50), ret: 'full' }],
    ['by RET=HDRS', { text: 'short\n', ret: 'headers' }],
  ] as const)('has the headers of an original only %s', async (_name, { text, ret }) => {
    const sender = `${ret}@sender.example.org`;
    await submit({ sender, recipients: ['nobody@example.net'], text, ret, notify: 'failure' });
    const mail = await simpleParser((await noticeTo(sender)).raw);
    const part = mail.attachments.find(({ contentType }) => contentType === 'text/rfc822-headers');
    expect(part?.content.toString()).toContain('Subject: Three of you');
    expect(part?.content.toString()).not.toMatch(/xxxx|short/);
  });

  test('is not sent to who wants none, and never about a notice', async () => {
    await submit({ sender: 'never@sender.example.org', recipients: ['nobody@example.net'], notify: 'never' });
    // Its notice is refused in turn, and that begets nothing.
    await submit({ sender: 'nobody@sender.example.org', recipients: ['nobody@example.net'] });
    const last = 'last@sender.example.org';
    await submit({ sender: last, recipients: ['nobody@example.net'] });
    await noticeTo(last);
    const notices = peer.messages
      .filter(({ sender }) => sender === '')
      .flatMap(({ recipients }) => recipients);
    expect(notices.filter((recipient) => /^(never|nobody|postmaster)/.test(recipient))).toEqual([]);
  });
});

test('an outcome’s class stands in the timeline, in the queue listing and on the dashboard', async () => {
  const queueId = await submit({
    sender: 'class@sender.example.org',
    recipients: ['nobody@example.net', 'later@example.net'],
  });
  await noticeTo('class@sender.example.org');
  const { stdout: timeline } = await fleet.command(['log', queueId]);
  expect(timeline).toContain('dsn=5.1.1 class=unknown-user');
  const { stdout: queued } = await fleet.command(['queue', '-j']);
  const line = queued.split('\n').find((each) => each.includes(queueId)) ?? '{}';
  expect(JSON.parse(line).recipients).toMatchObject([{ address: 'later@example.net', delay_class: 'other' }]);
  const page = await (await fetch(`${fleet.dashboardUrl}/messages/${queueId}`)).text();
  expect(page).toContain('5.1.1, unknown-user');
});

test('mailfleet bounce parse reads what mailfleet wrote', async () => {
  const queueId = await submit({
    sender: 'parse@sender.example.org',
    recipients: ['nobody@example.net'],
    notify: 'failure',
  });
  const { raw } = await noticeTo('parse@sender.example.org');
  const { code, stdout } = await fleet.command(['bounce', 'parse'], raw);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    kind: 'dsn',
    reportingMta: 'fleet.test',
    envelopeId: 'QQ314159',
    outcomes: [
      {
        address: 'nobody@example.net',
        kind: 'bounced',
        status: '5.1.1',
        class: 'unknown-user',
        remoteMta: '127.0.0.1',
      },
    ],
    original: { subject: 'Three of you' },
  });
  expect(queueId).not.toBe('');
  const nothing = await fleet.command(['bounce', 'parse'], 'Subject: hi\n\nhello\n');
  expect(nothing).toMatchObject({ code: 65, stdout: '', stderr: expect.stringContaining('it is no report') });
  const { stdout: texts } = await fleet.command(['bounce', 'template']);
  expect(texts).toContain(
    'failure_template = <<EOF\nCharset: us-ascii\nSubject: Your mail could not be delivered',
  );
});
