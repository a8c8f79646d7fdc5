import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { type InboxEntry, type Lease, openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { openSessionRegistry, type SessionRegistry } from '@mailfleet/scache';
import type { Batch, DeliveryRequest } from '@mailfleet/smtp';
import { createTelemetry, type Telemetry } from '@mailfleet/telemetry';
import { type SmtpServer, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { runSmtpWorker } from './run.ts';

let redis: Awaited<ReturnType<typeof startEmbeddedRedis>>;
let redisFolder: string;

beforeAll(async () => {
  redisFolder = mkdtempSync(join(tmpdir(), 'smtp-worker-redis-'));
  redis = await startEmbeddedRedis({ directory: redisFolder });
});

afterAll(async () => {
  await redis.stop();
  rmSync(redisFolder, { recursive: true });
});

let folder: string;
let queue: Queue;
let registry: SessionRegistry;
let telemetry: Telemetry;
let server: SmtpServer;
let lease: Lease;
let drain: AbortController;
let worker: Promise<void>;
/** Inbox entries that earlier tests left. */
let inboxPosition: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'smtp-worker-'));
  const config = makeConfig({
    maillog_file: join(folder, 'maillog'),
    content_directory: folder,
    smtp_tls_security_level: 'none',
    smtp_connection_cache_time_limit: '100s',
    connection_cache_ttl_limit: '100s',
  });
  telemetry = createTelemetry({ config, program: 'smtp' });
  queue = await openQueue({ config, redisUrl: redis.url, telemetry });
  registry = openSessionRegistry({ config, queue });
  const acquired = await queue.acquireLease(0, 'test', 60_000);
  if (acquired === undefined) throw new Error('another scheduler leads the shard of this test');
  lease = acquired;
  inboxPosition = (await queue.readInbox(0, '0', 1)).at(-1)?.id ?? '0';
  server = await startSmtpServer();
  drain = new AbortController();
  worker = runSmtpWorker({ config, queue, telemetry, name: 'worker@test', signal: drain.signal });
});

afterEach(async () => {
  drain.abort();
  await worker;
  await queue.releaseLease(lease, 'test');
  await server.close();
  await queue.close();
  await telemetry.shutdown();
  rmSync(folder, { recursive: true });
});

/** Accepts a message per list of recipients and activates it: the requests of a batch made by hand. */
async function queueMail(...messages: readonly (readonly string[])[]): Promise<DeliveryRequest[]> {
  for (const addresses of messages) {
    const now = Date.now();
    const bytes = Buffer.from(`Subject: for ${addresses.join(' and ')}\r\n\r\nHello.\r\n`);
    const accepted = await queue.accept({
      envelope: {
        queueId: queue.newQueueId(),
        sender: 'ben@example.com',
        sizeBytes: bytes.length,
        arrivalMs: now,
        createdMs: now,
      },
      recipients: addresses.map((address, index) => ({
        index,
        address,
        transport: 'smtp',
        nexthop: nexthop(),
      })),
      content: { kind: 'inline', bytes },
    });
    expect(accepted).toBe('accepted');
  }
  const active = await queue.activate(lease, 'incoming', 100, Date.now());
  expect(active).toHaveLength(messages.length);
  return active.map(({ envelope, recipients, contentShard, activatedMs }) => ({
    envelope,
    recipients,
    contentShard,
    activatedMs,
  }));
}

const nexthop = (): string => `[127.0.0.1]:${server.port}`;

async function addBatch(
  id: string,
  requests: readonly DeliveryRequest[],
  hints: Pick<Batch, 'connectionLoad' | 'connectionStore' | 'worker'> = {},
): Promise<void> {
  const batch: Batch = {
    id,
    shard: 0,
    fence: lease.fence,
    transport: 'smtp',
    protocol: 'smtp',
    nexthop: nexthop(),
    batchedMs: Date.now(),
    requests,
    ...hints,
  };
  await queue.addBatches([batch]);
}

/** What the leader hears of a batch, up to its end. */
async function heardOf(batchId: string): Promise<InboxEntry[]> {
  return waitFor(
    async () => {
      const entries = await queue.readInbox(0, inboxPosition, 100);
      const ours = entries.filter((entry) => 'batchId' in entry && entry.batchId === batchId);
      return ours.some(({ kind }) => kind === 'batch-end') ? ours : undefined;
    },
    10_000,
    `the end of batch ${batchId}`,
  );
}

const maillog = (): string[] =>
  readFileSync(join(folder, 'maillog'), 'utf8')
    .split('\n')
    .map((line) => line.replace(/^.*?\]: /, ''))
    .filter((line) => line.includes('status='));

test('a batch is delivered over one session, recorded, logged and ended', async () => {
  server.hooks = {
    rcpt: ({ recipient }) => (recipient === 'no@example.org' ? '550 5.1.1 no such user' : undefined),
  };
  const requests = await queueMail(['anna@example.org', 'no@example.org'], ['carl@example.org']);
  await addBatch('b-delivered', requests);
  const entries = await heardOf('b-delivered');

  expect(server.sessions).toHaveLength(1);
  expect(server.messages.map(({ recipients }) => recipients)).toEqual([
    ['anna@example.org'],
    ['carl@example.org'],
  ]);
  expect(String(server.messages[1]?.raw)).toContain('Subject: for carl@example.org');
  const [first, second] = requests.map(({ envelope }) => envelope.queueId);
  expect(entries).toMatchObject([
    { kind: 'result', queueId: first },
    { kind: 'result', queueId: second, outcomes: [{ recipient: 0, kind: 'delivered' }] },
    { kind: 'batch-end', returned: [] },
  ]);
  expect(entries[0]).toMatchObject({
    outcomes: expect.arrayContaining([
      { recipient: 0, kind: 'delivered' },
      { recipient: 1, kind: 'bounced' },
    ]),
  });
  await waitFor(() => maillog().length === 3);
  const log = maillog().join('\n');
  expect(log).toMatch(
    new RegExp(`^${first}: to=<no@example.org>, relay=127.0.0.1.*dsn=5.1.1, status=bounced \\(host`, 'm'),
  );
  expect(log).toMatch(new RegExp(`^${first}: to=<anna@example.org>, .*dsn=2.0.0, status=sent \\(250`, 'm'));
  expect(log).toMatch(new RegExp(`^${second}: to=<carl@example.org>, .*status=sent \\(250`, 'm'));
});

test('told to drain, the worker finishes the transaction in flight and gives the rest back', async () => {
  const requests = await queueMail(...Array.from({ length: 20 }, (_, i) => [`r${i}@example.org`]));
  server.hooks = {
    dot: () => {
      drain.abort();
      return undefined;
    },
  };
  await addBatch('b-drained', requests);
  await worker;
  const entries = await heardOf('b-drained');
  const end = entries.at(-1);
  const returned = end?.kind === 'batch-end' ? end.returned : [];
  expect(returned.length).toBeGreaterThan(0);
  // Nothing is lost and nothing is both: each message was either received and recorded, or came back.
  const recorded = entries.flatMap((entry) => (entry.kind === 'result' ? [entry.queueId] : []));
  expect([...recorded, ...returned].toSorted()).toEqual(
    requests.map(({ envelope }) => envelope.queueId).toSorted(),
  );
  expect(server.messageCount).toBe(recorded.length);
});

test('a server that refuses the session is reported as trouble of the whole destination', async () => {
  server.hooks = { greeting: '421 4.3.2 closing' };
  const requests = await queueMail(['anna@example.org']);
  await addBatch('b-refused', requests);
  const entries = await heardOf('b-refused');
  expect(entries[0]).toMatchObject({
    kind: 'result',
    outcomes: [{ recipient: 0, kind: 'deferred' }],
    hopStatus: { status: '4.3.2' },
  });
});

test('a session waits for the next batch to its destination, and ends with QUIT when the worker stops', async () => {
  const requests = await queueMail(['anna@example.org'], ['carl@example.org']);
  await addBatch('b-parks', requests.slice(0, 1), { connectionLoad: true, connectionStore: true });
  await heardOf('b-parks');
  const listed = await waitFor(async () => {
    const page = await registry.page(0, 0, 10);
    return page.length > 0 ? page : undefined;
  });
  expect(listed).toMatchObject([
    { session: { worker: 'worker@test', destination: { nexthop: nexthop() }, uses: 1 } },
  ]);
  expect(await registry.claim({ shard: 0, transport: 'smtp', nexthop: nexthop() }, 2)).toEqual([
    'worker@test',
  ]);
  await addBatch('b-takes', requests.slice(1), {
    connectionLoad: true,
    connectionStore: true,
    worker: 'worker@test',
  });
  await heardOf('b-takes');
  expect(server.sessions).toHaveLength(1);
  expect(server.messageCount).toBe(2);
  await waitFor(() => maillog().some((line) => line.includes('to=<carl@example.org>')));
  expect(maillog().find((line) => line.includes('to=<carl@example.org>'))).toContain(', conn_use=2, ');
  await waitFor(async () => (await registry.page(0, 0, 10))[0]?.session.uses === 2);
  drain.abort();
  await worker;
  await waitFor(() => server.connections.open === 0);
  await waitFor(async () => (await registry.page(0, 0, 10)).length === 0);
  expect(server.sessions[0]?.commands.at(-1)).toBe('QUIT');
  await waitFor(() =>
    readFileSync(join(folder, 'maillog'), 'utf8').includes(
      'statistics: domain lookup hits=1 miss=1 success=50%',
    ),
  );
});

test('a batch that comes for a session which is gone opens another', async () => {
  const requests = await queueMail(['anna@example.org']);
  await addBatch('b-late', requests, { connectionLoad: true, worker: 'worker@test' });
  await heardOf('b-late');
  expect([server.sessions.length, server.messageCount]).toEqual([1, 1]);
});

test('a worker whose main.cf is wrong about logins says so and does not start', async () => {
  const start = (values: Record<string, string>): Promise<void> => {
    const config = makeConfig({ content_directory: folder, ...values });
    return runSmtpWorker({ config, queue, telemetry, name: 'wrong@test', signal: drain.signal });
  };
  await expect(start({ smtp_sasl_auth_enable: 'yes' })).rejects.toThrow(
    'smtp_sasl_auth_enable = yes needs a table of passwords',
  );
  await expect(start({ sasl_auth_cache_key_file: '/nonexistent' })).rejects.toThrow(
    'sasl_auth_cache_key_file: cannot read /nonexistent',
  );
});
