/** Webhooks of a fleet: signed batches, at least once, over an outage of their receiver, and given up in the end. */
import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { expect, test } from 'vitest';
import { startFleet } from '../fleet/fleet.ts';

const SECRET = Buffer.from('0123456789abcdef0123456789abcdef');

interface Delivery {
  readonly id: string;
  readonly body: {
    version: number;
    type: string;
    id: string;
    events: { id: string; type: string; recipient: string; class?: string }[];
  };
}

async function startReceiver() {
  const deliveries: Delivery[] = [];
  const problems: string[] = [];
  const state = { answer: 204, refused: 0 };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const header = (name: string): string => String(request.headers[name] ?? '');
      const signed = `${header('webhook-id')}.${header('webhook-timestamp')}.${body}`;
      const expected = `v1,${createHmac('sha256', SECRET).update(signed).digest('base64')}`;
      if (header('webhook-signature') !== expected) problems.push('bad signature');
      if (Math.abs(Date.now() / 1000 - Number(header('webhook-timestamp'))) > 60) problems.push('bad time');
      if (state.answer === 204) deliveries.push({ id: header('webhook-id'), body: JSON.parse(body) });
      else state.refused += 1;
      response.writeHead(state.answer).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    deliveries,
    problems,
    state,
    url: `http://127.0.0.1:${port}/hook`,
    events: () => deliveries.flatMap(({ body }) => body.events),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('webhook_url gets every outcome in batches of webhook_batch_limit, signed with webhook_secret_file, and what it refuses again', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'webhook-'));
  const secretFile = join(directory, 'secret');
  await writeFile(secretFile, `whsec_${SECRET.toString('base64')}\n`);
  await using receiver = await startReceiver();
  await using peer = await startSmtpServer({
    hooks: { rcpt: ({ recipient = '' }) => (recipient.startsWith('no') ? '550 5.1.1 unknown' : undefined) },
  });
  await using fleet = await startFleet({
    parameters: {
      relayhost: `[127.0.0.1]:${peer.port}`,
      webhook_url: receiver.url,
      webhook_secret_file: secretFile,
      webhook_batch_limit: '5',
    },
  });
  const transport = createTransport({ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true, pool: true });
  const send = (to: string) => transport.sendMail({ from: 'alice@example.org', to, text: 'x' });
  await Promise.all(Array.from({ length: 20 }, (_, i) => send(`r${i}@example.net`)));
  await send('nobody@example.net');
  const told = (recipient: string) => receiver.events().find((event) => event.recipient === recipient);
  await waitFor(() => receiver.events().length >= 22 && told('nobody@example.net'), 30_000, '22 events');
  expect(told('nobody@example.net')).toMatchObject({
    type: 'bounced',
    class: 'unknown-user',
    status: '5.1.1',
  });
  expect(told('r7@example.net')).toMatchObject({ type: 'delivered', status: '2.0.0' });
  // The notice is mail like any other.
  expect(told('alice@example.org')).toMatchObject({ type: 'delivered' });
  expect(receiver.deliveries[0]?.body).toMatchObject({ version: 1, type: 'mailfleet.outcomes' });
  expect(Math.max(...receiver.deliveries.map(({ body }) => body.events.length))).toBeLessThanOrEqual(5);

  receiver.state.answer = 503;
  await send('later@example.net');
  await waitFor(() => receiver.state.refused > 0, 30_000, 'a refusal');
  await waitFor(
    async () => JSON.parse((await fleet.command(['webhook', '-j'])).stdout).retried === 1,
    20_000,
    'a batch to be retried',
  );
  // Mail does not wait for it.
  await peer.waitForMessages(22, 20_000);
  receiver.state.answer = 204;
  await waitFor(() => told('later@example.net'), 30_000, 'the event after the outage');
  await waitFor(
    async () =>
      (await fleet.command(['webhook'])).stdout.startsWith(
        '0 results in no batch yet; batches: 0 waiting, 0 to be',
      ),
    20_000,
    'no lag',
  );
  const ids = receiver.events().map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(receiver.problems).toEqual([]);
  transport.close();
  await rm(directory, { recursive: true });
});

test('webhook_max_age ends the retries: the batch is a dead letter, and said so', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'webhook-'));
  const secretFile = join(directory, 'secret');
  await writeFile(secretFile, SECRET.toString());
  await using receiver = await startReceiver();
  receiver.state.answer = 500;
  await using peer = await startSmtpServer();
  await using fleet = await startFleet({
    parameters: {
      relayhost: `[127.0.0.1]:${peer.port}`,
      webhook_url: receiver.url,
      webhook_secret_file: secretFile,
      webhook_max_age: '1s',
    },
  });
  const transport = createTransport({ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true });
  await transport.sendMail({ from: 'alice@example.org', to: 'bob@example.net', text: 'x' });
  await waitFor(
    async () => (await fleet.maillog()).includes('it is a dead letter now'),
    40_000,
    'the dead letter',
  );
  expect(JSON.parse((await fleet.command(['webhook', '-j'])).stdout)).toMatchObject({
    dead: 1,
    retried: 0,
    waiting: 0,
  });
  await rm(directory, { recursive: true });
});
