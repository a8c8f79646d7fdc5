/**
 * A message's trace over the separate processes of a fleet is one tree, and tells neither content nor secrets. One
 * delivery at a time to the destination, so that what waits behind a delivery in flight becomes one batch.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Fleet, startFleet } from '../fleet/fleet.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver, treeOf } from './otlp-receiver.ts';

const TOKEN = 'token-0f-the-api';
const PASSWORD = 'pass-w0rd-of-ben';
const CONTENT = 'none of the business of a trace';

let directory: string;
let receiver: OtlpReceiver;
let peer: Awaited<ReturnType<typeof startSmtpServer>>;
let fleet: Fleet;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fleet-trace-'));
  writeFileSync(join(directory, 'tokens'), `${TOKEN}\n`);
  receiver = await startOtlpReceiver();
  peer = await startSmtpServer({
    hooks: { rcpt: ({ recipient }) => (recipient?.startsWith('nobody') ? '550 5.1.1 unknown' : undefined) },
  });
  fleet = await startFleet({
    env: receiver.env,
    parameters: {
      relayhost: `[127.0.0.1]:${peer.port}`,
      smtp_destination_concurrency_limit: '1',
      intake_http_token_file: join(directory, 'tokens'),
      intake_password_maps: `inline:{ben=${PASSWORD}}`,
    },
  });
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await peer?.close();
  await receiver?.close();
  rmSync(directory, { recursive: true });
});

async function post(to: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const response = await fetch(`${fleet.httpUrl}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}`, ...headers },
    body: JSON.stringify({ from: 'ben@example.com', to: [to], subject: CONTENT, text: CONTENT }),
  });
  expect(response.status).toBe(202);
  return ((await response.json()) as { id: string }).id;
}

/** The span of this name that carries the queue id, once it has arrived. */
async function spanOf(queueId: string, name: string): Promise<ReceivedSpan> {
  const isIt = (span: ReceivedSpan): boolean =>
    span.name === name && span.attributes['mailfleet.queue_id'] === queueId;
  const found = (await receiver.waitForSpans((spans) => spans.some(isIt))).find(isIt);
  if (found === undefined) throw new Error(`no span ${name} of ${queueId}`);
  return found;
}

test('a message that separate processes deliver is one tree, below the span of whoever submitted it', async () => {
  const [traceId, callerId] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'];
  const queueId = await post('anna@example.org', { traceparent: `00-${traceId}-${callerId}-01` });
  const deliver = await spanOf(queueId, 'deliver smtp');
  const spans = await receiver.waitForSpans((all) =>
    all.some(({ spanId }) => spanId === deliver.parentSpanId),
  );

  const accept = await spanOf(queueId, 'accept');
  expect(accept).toMatchObject({ traceId, parentSpanId: callerId });
  expect(treeOf(spans, accept)).toEqual([
    'mailfleet-intake: accept',
    '  mailfleet-scheduler: schedule',
    '    mailfleet-scheduler: addBulk delivery',
    '      mailfleet-smtp-worker: process delivery',
    '        mailfleet-smtp-worker: deliver smtp',
  ]);
  expect(spans.filter((span) => span.traceId === traceId)).toHaveLength(5);
  expect((await spanOf(queueId, 'schedule')).attributes).toMatchObject({
    'mailfleet.transport': 'smtp',
    'mailfleet.nexthop': `[127.0.0.1]:${peer.port}`,
  });
  expect(deliver).toMatchObject({ links: [], attributes: { 'mailfleet.status': 'delivered' } });
  expect(deliver.events).toEqual(['connected', 'ehlo', 'mail', 'rcpt', 'data', 'dot']);
});

test('a message that bounces has its notice in its own trace', async () => {
  const queueId = await post('nobody@example.org');
  const notify = await spanOf(queueId, 'notify');
  const accept = await spanOf(queueId, 'accept');
  const spans = await receiver.waitForSpans(
    (all) =>
      all.filter(({ traceId, name }) => traceId === accept.traceId && name === 'process delivery').length ===
      2,
  );
  expect(notify.service).toBe('mailfleet-bounce');
  expect(notify.parentSpanId).toBe(accept.spanId);
  expect(treeOf(spans, notify).slice(0, 2)).toEqual([
    'mailfleet-bounce: notify',
    '  mailfleet-scheduler: schedule',
  ]);
});

test('a batch of several messages is a trace of its own, linked with theirs', async () => {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { hooks } = peer;
  peer.hooks = { ...hooks, dot: () => released.then(() => undefined) };
  const sessions = peer.sessions.length;
  await post('first@example.org');
  await waitFor(() => peer.sessions.length > sessions, 10_000, 'the delivery that holds the others up');
  const queueIds = await Promise.all(['b', 'c', 'd'].map((name) => post(`${name}@example.org`)));
  await waitFor(
    async () => {
      const log = await fleet.maillog();
      return queueIds.every((queueId) => log.includes(`${queueId}: from=`));
    },
    10_000,
    'the messages in the active queue',
  );
  release();

  const delivers = await Promise.all(queueIds.map((queueId) => spanOf(queueId, 'deliver smtp')));
  const schedules = await Promise.all(queueIds.map((queueId) => spanOf(queueId, 'schedule')));
  const accepts = await Promise.all(queueIds.map((queueId) => spanOf(queueId, 'accept')));
  const idOf = ({ traceId, spanId }: ReceivedSpan): object => ({ traceId, spanId });
  const hasLinks = ({ name, links }: ReceivedSpan): boolean => name === 'batch' && links.length > 0;
  const batch = (await receiver.waitForSpans((all) => all.some(hasLinks))).find(hasLinks);
  if (batch === undefined) throw new Error('no span of a batch');
  const spans = await receiver.waitForSpans((all) => treeOf(all, batch).length === 3);
  expect(treeOf(spans, batch)).toEqual([
    'mailfleet-scheduler: batch',
    '  mailfleet-scheduler: addBulk delivery',
    '    mailfleet-smtp-worker: process delivery',
  ]);
  expect(batch.parentSpanId).toBe('');
  expect(batch.attributes['mailfleet.requests']).toBe(3);
  expect(batch.links).toHaveLength(3);
  expect(batch.links).toEqual(expect.arrayContaining(schedules.map(idOf)));
  const job = spans.find(({ traceId, name }) => traceId === batch.traceId && name === 'process delivery');
  for (const [index, deliver] of delivers.entries()) {
    expect(schedules[index]?.parentSpanId).toBe(accepts[index]?.spanId);
    expect(deliver).toMatchObject({
      traceId: accepts[index]?.traceId,
      parentSpanId: schedules[index]?.spanId,
      links: [idOf(batch), job === undefined ? {} : idOf(job)],
    });
  }
  expect(new Set([batch, ...accepts].map(({ traceId }) => traceId)).size).toBe(4);
});

test('no span tells content, passwords or tokens', async () => {
  const transport = createTransport({
    ...{ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true },
    auth: { user: 'ben', pass: PASSWORD },
  });
  const { response } = await transport.sendMail({
    ...{ from: 'ben@example.com', to: 'anna@example.org' },
    ...{ subject: CONTENT, text: CONTENT },
  });
  const queueId = /queued as (\w+)/.exec(response)?.[1] ?? '';
  expect((await spanOf(queueId, 'deliver smtp')).service).toBe('mailfleet-smtp-worker');
  const all = JSON.stringify(receiver.bodies);
  expect(all.includes(queueId)).toBe(true);
  const secrets = [CONTENT, PASSWORD, TOKEN, Buffer.from(`\0ben\0${PASSWORD}`).toString('base64')];
  expect(secrets.filter((secret) => all.includes(secret))).toEqual([]);
});
