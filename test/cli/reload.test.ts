/**
 * main.cf changes under a running fleet, as smtp(8)'s page promises: the next delivery shows it, a mistake changes nothing and is told.
 * The tests share a fleet and build on each other.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Fleet, startFleet } from '../fleet/fleet.ts';

let peer: Awaited<ReturnType<typeof startSmtpServer>>;
let fleet: Fleet;
let before: string;
beforeAll(async () => {
  peer = await startSmtpServer();
  fleet = await startFleet({
    parameters: {
      relayhost: `[127.0.0.1]:${peer.port}`,
      smtp_helo_name: 'first.example',
      // Each message a session of its own, which says HELO anew.
      smtp_connection_cache_on_demand: 'no',
    },
    master: 'slow unix - - n - - smtp -o smtp_helo_name=slow.example\n',
  });
  before = readFileSync(join(fleet.directory, 'main.cf'), 'utf8');
});
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await peer?.close();
});

/** The name that the session with this recipient's message gave. */
async function heloOf(recipient: string): Promise<string | undefined> {
  const response = await fetch(`${fleet.httpUrl}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ from: 'me@example.com', to: [recipient], subject: 'x', text: 'x' }),
  });
  expect(response.status).toBe(202);
  await waitFor(
    () => peer.messages.some(({ recipients }) => recipients.includes(recipient)),
    10_000,
    recipient,
  );
  return peer.sessions.at(-1)?.helo;
}

const toldInLog = (text: string): Promise<unknown> =>
  waitFor(async () => (await fleet.maillog()).includes(text), 20_000, `"${text}" in the mail log`);

const change = (text: string): void => writeFileSync(join(fleet.directory, 'main.cf'), text);

test('smtp_helo_name and config_directory: a change of main.cf shows with the next delivery', async () => {
  expect(await heloOf('one@example.org')).toBe('first.example');
  change(before.replace('first.example', 'second.example'));
  await toldInLog('the configuration changed (smtp_helo_name)');
  expect(await heloOf('two@example.org')).toBe('second.example');
});

test('a wrong main.cf is told by file and line and not used; the former one delivers on', async () => {
  change(`${before.replace('first.example', 'third.example')}smtp_skip_5xx_greeting = perhaps\n`);
  await toldInLog('smtp_skip_5xx_greeting: "perhaps" is neither yes nor no');
  await toldInLog('the former one stays');
  expect(await heloOf('three@example.org')).toBe('second.example');
  change(before.replace('first.example', 'fourth.example'));
  await waitFor(async () => (await fleet.maillog()).split('the configuration changed').length > 2, 20_000);
  expect(await heloOf('four@example.org')).toBe('fourth.example');
});

test('what is read at the start only is said to need a restart', async () => {
  change(`${before}smtp_worker_sessions = 7\n`);
  await toldInLog('smtp_worker_sessions: has no effect until this process is restarted');
});
