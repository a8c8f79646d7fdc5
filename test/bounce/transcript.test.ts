/** Sessions that go wrong, on either side of a fleet: what the postmaster gets, and that nothing comes of that in turn. */
import { type ReceivedMessage, startSmtpServer } from '@mailfleet/test-kit';
import { simpleParser } from 'mailparser';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Fleet, startFleet } from '../fleet/fleet.ts';

let peer: Awaited<ReturnType<typeof startSmtpServer>>;
let fleet: Fleet;

beforeAll(async () => {
  peer = await startSmtpServer({
    hostname: 'mx.example.net',
    hooks: {
      rcpt: ({ recipient = '' }) =>
        recipient.startsWith('odd') || recipient.startsWith('errors') ? '503 5.5.1 Bad sequence' : undefined,
    },
  });
  fleet = await startFleet({
    parameters: {
      relayhost: `[127.0.0.1]:${peer.port}`,
      notify_classes: 'protocol, policy',
      error_notice_recipient: 'ops@example.net',
      mynetworks: '127.0.0.2',
    },
  });
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await peer?.close();
});

async function postmasterMail(word: string): Promise<ReceivedMessage> {
  for (let count = 1; ; count += 1) {
    const messages = await peer.waitForMessages(count, 30_000);
    const found = messages.find(({ raw }) => raw.toString().includes(word));
    if (found !== undefined) return found;
  }
}

test('error_notice_recipient gets transcripts of class protocol from workers, and of class policy from the intake', async () => {
  const relayDenied = createTransport({ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true });
  await expect(
    relayDenied.sendMail({ from: 'stranger@example.org', to: 'bob@example.net', text: 'x' }),
  ).rejects.toThrow('Relay access denied');
  const denied = await postmasterMail('Relay access denied');
  expect(denied).toMatchObject({ sender: 'double-bounce@fleet.test', recipients: ['ops@example.net'] });

  const transport = createTransport({
    host: '127.0.0.1',
    port: fleet.smtpPort,
    ignoreTLS: true,
    localAddress: '127.0.0.2',
  });
  const { response } = await transport.sendMail({
    from: 'alice@example.org',
    to: 'odd@example.net',
    text: 'SECRET',
  });
  const queueId = /queued as (\S+)/.exec(response)?.[1] ?? '';
  const received = await postmasterMail(`The message was ${queueId}`);
  expect(received).toMatchObject({ sender: 'double-bounce@fleet.test', recipients: ['ops@example.net'] });
  const mail = await simpleParser(received.raw);
  expect(mail.subject).toBe(`Mailfleet SMTP client: errors from 127.0.0.1[127.0.0.1]:${peer.port}`);
  expect(mail.headers.get('auto-submitted')).toBe('auto-generated');
  expect(mail.text).toContain(' Out: RCPT TO:<odd@example.net>');
  expect(mail.text).toContain(' In: 503 5.5.1 Bad sequence');
  expect(received.raw.toString()).not.toContain('SECRET');
  expect(Math.max(...(mail.text ?? '').split('\n').map((line) => line.length))).toBeLessThanOrEqual(78);
});
