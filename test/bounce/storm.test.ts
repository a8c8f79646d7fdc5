/** A storm of bounces and other mail: figures are in docs/bounces.md, this is about who comes first. */
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { expect, test } from 'vitest';
import { startFleet } from '../fleet/fleet.ts';

const BOUNCES = 240;
const MAIL = 20;

test('new mail passes by the notices of a storm that fill the active queue, and all of them arrive', async () => {
  await using refusing = await startSmtpServer({ hooks: { rcpt: '550 5.1.1 unknown' } });
  // At most 20 notices a second, two at a time.
  await using senders = await startSmtpServer({ hooks: { dot: { delayMs: 100 } }, keepMessages: false });
  await using first = await startSmtpServer();
  const route = (domain: string, port: number): string => `{ ${domain} = smtp:[127.0.0.1]:${port} }`;
  await using fleet = await startFleet({
    parameters: {
      transport_maps: `inline:{ ${route('gone.test', refusing.port)} ${route('sender.test', senders.port)} ${route('first.test', first.port)} }`,
      smtp_tls_security_level: 'none',
      smtp_destination_concurrency_limit: '2',
      qmgr_message_active_limit: '50',
    },
  });
  const transport = createTransport({
    host: '127.0.0.1',
    port: fleet.smtpPort,
    ignoreTLS: true,
    pool: true,
    maxConnections: 5,
    maxMessages: Number.MAX_SAFE_INTEGER,
  });
  const send = (count: number, to: string): Promise<unknown> =>
    Promise.all(
      Array.from({ length: count }, (_, n) =>
        transport.sendMail({ from: `u${n}@sender.test`, to, text: 'x' }),
      ),
    );
  await send(BOUNCES, 'nobody@gone.test');
  const bounced = async (): Promise<boolean> =>
    ((await fleet.maillog()).match(/status=bounced/g) ?? []).length >= BOUNCES;
  await waitFor(bounced, 60_000, 'all of them to bounce');
  const before = senders.messageCount;
  await send(MAIL, 'someone@first.test');
  await first.waitForMessages(MAIL, 60_000);
  const meanwhile = senders.messageCount - before;
  const waited = BOUNCES - before;
  expect(waited, 'the storm must not be over').toBeGreaterThan(2 * MAIL);
  // Each place that a notice leaves is offered to new mail first.
  expect(meanwhile).toBeLessThan(waited / 2);
  await waitFor(() => senders.messageCount === BOUNCES, 60_000, 'all notices');
  transport.close();
});
