/** The daemon over a real queue and Redis: a notice becomes mail once, whatever fails on the way. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, makeConfig } from '@mailfleet/config';
import {
  type NoticeRequest,
  openQueue,
  type Queue,
  type QueueListing,
  startEmbeddedRedis,
} from '@mailfleet/queue';
import { createRouter } from '@mailfleet/routing';
import type { Outcome, Recipient } from '@mailfleet/smtp';
import type { MailEvent } from '@mailfleet/telemetry';
import { startMilter, waitFor } from '@mailfleet/test-kit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runBounce } from './daemon.ts';
import { notify } from './notify.ts';
import { noticeSettings } from './settings.ts';
import { openTemplates } from './templates.ts';

let directory: string;
let redis: Awaited<ReturnType<typeof startEmbeddedRedis>>;
let config: Config;
let queue: Queue;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bounce-'));
  redis = await startEmbeddedRedis({ directory: join(directory, 'redis') });
  config = makeConfig({
    myhostname: 'mail.example.com',
    mail_name: 'Mailfleet',
    relayhost: '[relay.example.com]',
    content_directory: join(directory, 'content'),
    content_inline_limit: '10000',
    notify_classes: 'bounce',
    local_transport: 'lmtp:unix:/run/lmtp',
  });
});

afterAll(async () => {
  await redis.stop();
  await rm(directory, { recursive: true });
});

beforeEach(async () => {
  queue = await openQueue({ config, redisUrl: redis.url });
});

afterEach(async () => {
  await queue.close();
});

/** Accepts a message, bounces its recipients and asks for the notice, as worker and leader do. */
async function bounceMessage(
  values: { sender?: string; recipients?: readonly Partial<Recipient>[]; content?: Buffer } = {},
): Promise<string> {
  const {
    sender = 'alice@example.org',
    recipients = [{}],
    content = Buffer.from('Subject: Hi\r\n\r\nText\r\n'),
  } = values;
  const queueId = queue.newQueueId();
  const nowMs = Date.now();
  await queue.accept({
    envelope: { queueId, sender, sizeBytes: content.length, arrivalMs: nowMs, createdMs: nowMs },
    recipients: recipients.map((recipient, index) => ({
      index,
      address: `r${index}@example.net`,
      transport: 'smtp',
      nexthop: 'example.net',
      ...recipient,
    })),
    content: await queue.spoolContent(chunks(content)),
  });
  const lease = await waitFor(() => queue.acquireLease(0, 'leader', 10_000), 5000, 'the lease');
  if (lease === undefined) throw new Error('no lease');
  const active = await queue.activate(lease, 'incoming', 100, nowMs);
  const pass = active.find((message) => message.envelope.queueId === queueId)?.pass ?? 0;
  await queue.recordLocal(lease, {
    queueId,
    steps: [],
    outcomes: recipients.map((_, index) => bounced(index, nowMs)),
  });
  const request: NoticeRequest = { shard: 0, queueId, pass, notice: 'failure', term: 'test' };
  await queue.conclude(lease, [{ kind: 'notice', request }], undefined);
  await queue.releaseLease(lease, 'leader');
  return queueId;
}

async function* chunks(content: Buffer): AsyncGenerator<Uint8Array> {
  yield content;
}

function bounced(recipient: number, nowMs: number): Outcome {
  return {
    recipient,
    address: `r${recipient}@example.net`,
    kind: 'bounced',
    status: '5.1.1',
    reason: 'host mx.example.net[192.0.2.1] said: 550 5.1.1 unknown (in reply to RCPT TO command)',
    relay: 'mx.example.net[192.0.2.1]:25',
    action: 'failed',
    remoteMta: 'mx.example.net',
    reply: '550 5.1.1 unknown',
    times: { arrivalMs: nowMs, activatedMs: nowMs, handedOffMs: nowMs, setUpMs: nowMs, doneMs: nowMs },
  };
}

/** Runs the daemon until `done` holds; returns what it emitted. */
async function runUntil(done: () => Promise<boolean>): Promise<readonly MailEvent[]> {
  const events: MailEvent[] = [];
  const abort = new AbortController();
  const telemetry = { emit: (event: MailEvent) => void events.push(event) };
  const closed = runBounce({
    config,
    queue,
    telemetry,
    name: 'bounce',
    signal: abort.signal,
  });
  await waitFor(done, 20_000, 'the notice');
  abort.abort();
  await closed;
  return events;
}

async function isNotified(queueId: string): Promise<boolean> {
  const view = await queue.find(queueId);
  return view?.timeline.some((entry) => entry.kind === 'event' && entry.step === 'notified') === true;
}

async function noticesOf(events: readonly MailEvent[]): Promise<readonly QueueListing[]> {
  const ids = events.flatMap((event) => (event.kind === 'notified' ? [event.noticeQueueId] : []));
  const { messages } = await queue.list({ queues: ['deferred'], limit: 100 });
  return messages.filter(({ envelope }) => ids.includes(envelope.queueId));
}

async function contentOf(listing: QueueListing | undefined): Promise<string> {
  if (listing === undefined) throw new Error('no such message');
  const content = await queue.content({
    envelope: listing.envelope,
    recipients: [],
    contentShard: 0,
    activatedMs: 0,
  });
  if (content === undefined || Buffer.isBuffer(content)) return String(content);
  const parts: Uint8Array[] = [];
  for await (const chunk of content) parts.push(chunk);
  return Buffer.concat(parts).toString();
}

describe('the bounce daemon', () => {
  test('posts the sender’s notice and the postmaster’s copy as mail, and says so', async () => {
    const queueId = await bounceMessage({ recipients: [{ notify: ['FAILURE'] }, { notify: ['NEVER'] }] });
    const events = await runUntil(() => isNotified(queueId));
    expect(events).toMatchObject([
      { kind: 'notified', queueId, audience: 'sender', notice: 'non-delivery' },
      { kind: 'notified', queueId, audience: 'postmaster', notice: 'non-delivery' },
    ]);
    const notices = await noticesOf(events);
    const toSender = notices.find(({ envelope }) => envelope.sender === '');
    const copy = notices.find(({ envelope }) => envelope.sender === 'double-bounce@mail.example.com');
    expect(toSender?.recipients).toMatchObject([
      { address: 'alice@example.org', transport: 'smtp', nexthop: '[relay.example.com]' },
    ]);
    expect(copy?.recipients).toMatchObject([{ address: 'postmaster@mail.example.com' }]);
    const text = await contentOf(toSender);
    expect(text.length).toBe(toSender?.envelope.sizeBytes);
    expect(text).toContain('Final-Recipient: rfc822; r0@example.net');
    expect(text).not.toContain('r1@example.net');
    expect(text).toContain('\r\nReturn-Path: <alice@example.org>\r\nSubject: Hi\r\n\r\nText\r\n');
    expect(await contentOf(copy)).toContain('Final-Recipient: rfc822; r1@example.net');
  });

  test('quotes a large original that comes as a stream', async () => {
    const content = Buffer.concat([
      Buffer.from('Subject: large\r\n\r\n'),
      Buffer.alloc(40_000, 'line of it\r\n'),
    ]);
    const queueId = await bounceMessage({ content });
    const notices = await noticesOf(await runUntil(() => isNotified(queueId)));
    const text = await contentOf(notices.find(({ envelope }) => envelope.sender === ''));
    expect(text).toContain(content.toString());
  });

  test('posts nothing while its route cannot be told, and all of it later', async () => {
    const queueId = await bounceMessage();
    const astray = {
      settings: noticeSettings(config),
      templates: openTemplates(config, () => undefined),
      queue,
      router: createRouter(config.with({ transport_maps: `texthash:${directory}/nonexistent` })),
      telemetry: { emit: () => {} },
      now: Date.now,
    };
    const before = await queue.counts();
    const request: NoticeRequest = { shard: 0, queueId, pass: 0, notice: 'failure', term: 'test' };
    await expect(notify(astray, request, undefined)).rejects.toThrow('no route for <alice@example.org>');
    expect(await queue.counts()).toEqual(before);
    expect(await noticesOf(await runUntil(() => isNotified(queueId)))).toHaveLength(2);
  });

  test('posts nothing twice when a process died between posting and saying so', async () => {
    const queueId = await bounceMessage();
    const dying = {
      settings: noticeSettings(config),
      templates: openTemplates(config, () => undefined),
      queue: { ...queue, noticePosted: () => Promise.reject(new Error('died')) },
      router: createRouter(config),
      telemetry: { emit: () => {} },
      now: Date.now,
    };
    const request: NoticeRequest = { shard: 0, queueId, pass: 0, notice: 'failure', term: 'test' };
    await expect(notify(dying, request, undefined)).rejects.toThrow('died');
    const before = await queue.counts();
    expect(before.deferred).toBeGreaterThanOrEqual(2);
    const events = await runUntil(() => isNotified(queueId));
    expect(events).toMatchObject([{ audience: 'sender' }, { audience: 'postmaster' }]);
    expect(await queue.counts()).toEqual(before);
    expect(await noticesOf(events)).toHaveLength(2);
  });

  test.each([
    ['bounce', ['', 'checked']],
    ['notify', ['checked', '']],
    ['bounce, notify', ['checked', 'checked']],
    ['', ['', '']],
  ])(
    'internal_mail_filter_classes = %s: header_checks are asked about notices of these classes',
    async (classes, marks) => {
      const queueId = await bounceMessage();
      const events: MailEvent[] = [];
      const checked = config.with({
        header_checks: 'regexp:{{/^Subject: / PREPEND X-Mark: checked}}',
        internal_mail_filter_classes: classes,
      });
      const notifier = {
        settings: noticeSettings(checked),
        templates: openTemplates(config, () => undefined),
        queue,
        router: createRouter(config),
        telemetry: { emit: (event: MailEvent) => void events.push(event) },
        now: Date.now,
      };
      await notify(notifier, { shard: 0, queueId, pass: 0, notice: 'failure', term: 'test' }, undefined);
      const notices = await noticesOf(events);
      const byClass = [
        notices.find(({ envelope }) => envelope.sender !== ''),
        notices.find(({ envelope }) => envelope.sender === ''),
      ];
      const found = await Promise.all(
        byClass.map(async (one) => /^X-Mark: (\w+)/m.exec(await contentOf(one))?.[1] ?? ''),
      );
      expect(found).toEqual(marks);
    },
  );

  test('internal_mail_filter_classes, body_checks: a notice that is refused or discarded is thrown away, with a warning', async () => {
    const queueId = await bounceMessage();
    const events: MailEvent[] = [];
    const notifier = {
      settings: noticeSettings(
        config.with({
          body_checks: 'regexp:{{/diagnostic|recipient/ REJECT not here}}',
          internal_mail_filter_classes: 'bounce',
        }),
      ),
      templates: openTemplates(config, () => undefined),
      queue,
      router: createRouter(config),
      telemetry: { emit: (event: MailEvent) => void events.push(event) },
      now: Date.now,
    };
    await notify(notifier, { shard: 0, queueId, pass: 0, notice: 'failure', term: 'test' }, undefined);
    const notices = await noticesOf(events);
    expect(notices.map(({ envelope }) => envelope.sender)).not.toContain('');
    expect(events).toContainEqual(
      expect.objectContaining({
        kind: 'remark',
        program: 'cleanup',
        text: expect.stringMatching(/^reject: body /),
      }),
    );
  });

  test.each([
    ['bounce', [undefined, 'yes']],
    ['notify', ['yes', undefined]],
    ['', [undefined, undefined]],
  ])(
    'internal_mail_filter_classes = %s: non_smtpd_milters are shown notices of these classes',
    async (classes, marks) => {
      const queueId = await bounceMessage();
      const events: MailEvent[] = [];
      await using milter = await startMilter(({ letter }) =>
        letter === 'E' ? ['hX-Milter\0yes\0', 'c'] : undefined,
      );
      const filtered = config.with({
        non_smtpd_milters: milter.address,
        internal_mail_filter_classes: classes,
      });
      await notify(
        {
          settings: noticeSettings(filtered),
          templates: openTemplates(config, () => undefined),
          queue,
          router: createRouter(config),
          telemetry: { emit: (event: MailEvent) => void events.push(event) },
          now: Date.now,
        },
        { shard: 0, queueId, pass: 0, notice: 'failure', term: 'test' },
        undefined,
      );
      const notices = await noticesOf(events);
      const copy = notices.find(({ envelope }) => envelope.sender !== '');
      const toSender = notices.find(({ envelope }) => envelope.sender === '');
      const texts = [await contentOf(copy), await contentOf(toSender)];
      expect(texts.map((text) => /^X-Milter: (\w+)\r$/m.exec(text)?.[1])).toEqual(marks);
      expect(milter.told('M')).toEqual(
        marks.flatMap((mark, at) =>
          mark === undefined ? [] : [at === 0 ? 'double-bounce@mail.example.com' : ''],
        ),
      );
    },
  );

  test('non_smtpd_milters: a notice that one refuses is thrown away, one that it cannot look at now is written again later', async () => {
    const queueId = await bounceMessage();
    const events: MailEvent[] = [];
    let reply = 't';
    await using milter = await startMilter(({ letter }) => (letter === 'E' ? [reply] : undefined));
    const filtered = config.with({
      non_smtpd_milters: milter.address,
      internal_mail_filter_classes: 'bounce',
    });
    const notifier = {
      settings: noticeSettings(filtered),
      templates: openTemplates(config, () => undefined),
      queue,
      router: createRouter(config),
      telemetry: { emit: (event: MailEvent) => void events.push(event) },
      now: Date.now,
    };
    const request: NoticeRequest = { shard: 0, queueId, pass: 0, notice: 'failure', term: 'test' };
    await expect(notify(notifier, request, undefined)).rejects.toThrow(/could not be shown to a milter/);
    reply = 'r';
    await notify(notifier, request, undefined);
    expect((await noticesOf(events)).map(({ envelope }) => envelope.sender)).not.toContain('');
    expect(events).toContainEqual(
      expect.objectContaining({ text: expect.stringMatching(/^milter-reject: inet:/) }),
    );
  });

  test('posts a second notice for what bounced after the first of the same pass', async () => {
    const queueId = await bounceMessage({ recipients: [{}, {}] });
    const notifier = {
      settings: noticeSettings(config),
      templates: openTemplates(config, () => undefined),
      queue,
      router: createRouter(config),
      telemetry: { emit: () => {} },
      now: Date.now,
    };
    const request: NoticeRequest = { shard: 0, queueId, pass: 0, notice: 'failure', term: 'test' };
    const onlyAbout = (recipient: number) => ({
      ...notifier,
      queue: {
        ...queue,
        noticeMaterial: async (asked: NoticeRequest) => {
          const material = await queue.noticeMaterial(asked);
          if (material === undefined) throw new Error('no material');
          const entries = material.entries.filter((entry) => entry.recipient.index === recipient);
          return { ...material, entries };
        },
      },
    });
    const { deferred } = await queue.counts();
    await notify(onlyAbout(0), request, undefined);
    await notify(onlyAbout(1), request, undefined);
    // Each time the sender's and the postmaster's.
    expect((await queue.counts()).deferred).toBe(deferred + 4);
  });

  test('tells nobody of double bounces, and warns', async () => {
    const queueId = await bounceMessage({ sender: 'double-bounce@mail.example.com' });
    const events = await runUntil(() => isNotified(queueId));
    expect(events).toMatchObject([{ kind: 'remark', warning: true, queueId }]);
    expect((await queue.find(queueId))?.timeline.at(-1)).toMatchObject({
      step: 'notified',
      detail: 'no non-delivery notification: the message is a double bounce itself and is discarded',
    });
  });
});
