/** The suppression list of a fleet: filled by a bounce, by HTTP and by command, and what it does to later mail. */
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { expect, test } from 'vitest';
import { mailfleet, startFleet } from '../fleet/fleet.ts';

test('a recipient that does not exist gets no second attempt, until it is taken off the list', async () => {
  let exists = false;
  await using peer = await startSmtpServer({
    hooks: {
      rcpt: ({ recipient = '' }) =>
        recipient.toLowerCase().startsWith('bob') && !exists ? '550 5.1.1 unknown' : undefined,
    },
  });
  await using fleet = await startFleet({
    parameters: {
      relayhost: `[127.0.0.1]:${peer.port}`,
      suppression_list_enable: 'yes',
      suppression_classes: 'unknown-user',
    },
  });
  const transport = createTransport({ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true });
  const suppression = ([name = '', ...args]: readonly string[]) =>
    mailfleet(['suppression', name, '-c', fleet.directory, ...args]);
  const send = (from: string, to = 'Bob@example.net') => transport.sendMail({ from, to, text: 'x' });
  const noticeTo = (address: string) =>
    waitFor(
      () => peer.messages.find(({ recipients }) => recipients.includes(address)),
      30_000,
      `a notice to ${address}`,
    );
  const list = async () => (await suppression(['list', '-j'])).stdout;

  await send('first@example.org');
  await noticeTo('first@example.org');
  await waitFor(async () => (await list()).includes('bob@example.net'), 10_000, 'bob on the list');
  expect(JSON.parse(await list())).toMatchObject({ address: 'bob@example.net', class: 'unknown-user' });

  await send('second@example.org');
  const second = await noticeTo('second@example.org');
  expect(second.raw.toString()).toContain('Status: 5.7.1');
  expect(second.raw.toString()).toContain('recipient is on the suppression list (unknown-user)');
  const attempts = () =>
    peer.sessions.flatMap(({ commands }) => commands).filter((line) => /RCPT TO:<bob@/i.test(line)).length;
  expect(attempts()).toBe(1);

  // HTTP.
  const at = `${fleet.httpUrl}/v1/suppressions`;
  const put = await fetch(`${at}/carol@example.net`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ reason: 'asked to' }),
  });
  expect(put.status).toBe(204);
  expect(await (await fetch(`${at}/carol@example.net`)).json()).toMatchObject({
    reason: 'asked to',
    class: 'policy',
  });
  const page = (await (await fetch(`${at}?limit=10`)).json()) as { entries: { address: string }[] };
  expect(page.entries.map(({ address }) => address).sort()).toEqual(['bob@example.net', 'carol@example.net']);
  expect((await fetch(`${at}/carol@example.net`, { method: 'DELETE' })).status).toBe(204);
  expect((await fetch(`${at}/carol@example.net`)).status).toBe(404);
  expect((await fetch(`${at}/nonsense`)).status).toBe(400);

  // The command.
  expect((await suppression(['add', 'dave@example.net', '--for', '1h', '--reason', 'left us'])).code).toBe(0);
  expect((await suppression(['list'])).stdout).toMatch(
    /^dave@example\.net policy since .* until .* \(left us\)$/m,
  );
  expect((await suppression(['remove', 'bob@example.net'])).code).toBe(0);
  expect((await suppression(['remove', 'bob@example.net'])).code).toBe(69);
  exists = true;
  await send('third@example.org');
  await waitFor(
    () => peer.messages.some(({ recipients }) => recipients.includes('Bob@example.net')),
    30_000,
    'bob’s mail',
  );
});
