import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import type { MessageView, QueueListing } from '@mailfleet/queue';
import type { Outcome } from '@mailfleet/smtp';
import { afterEach, describe, expect, test } from 'vitest';
import { type Dashboard, type DashboardOptions, runDashboard } from './server.ts';

const startMs = Date.UTC(2026, 10, 23, 22, 0, 0);
const running: { readonly abort: AbortController; readonly dashboard: Dashboard }[] = [];

afterEach(async () => {
  for (const { abort, dashboard } of running.splice(0)) {
    abort.abort();
    await dashboard.closed;
  }
});

async function start(
  values: Record<string, string>,
  queue: Partial<DashboardOptions['queue']> = {},
): Promise<string> {
  const abort = new AbortController();
  const logged: unknown[] = [];
  const dashboard = await runDashboard({
    config: makeConfig({ dashboard_listen: '127.0.0.1:0', ...values }),
    queue: { ...readable, ...queue } as DashboardOptions['queue'],
    telemetry: { log: { error: (...words: unknown[]) => logged.push(words) } } as never,
    signal: abort.signal,
  });
  running.push({ abort, dashboard });
  return dashboard.url;
}

const outcome: Outcome = {
  recipient: 0,
  address: 'b@example.org',
  kind: 'deferred',
  status: '4.7.1',
  reason: 'host mx.example.org[192.0.2.1] said: 450 4.7.1 <b>later</b> (in reply to RCPT TO command)',
  relay: 'mx.example.org[192.0.2.1]:25',
  action: 'delayed',
  reply: '450 4.7.1 <b>later</b>',
  times: {
    arrivalMs: startMs,
    activatedMs: startMs + 5,
    handedOffMs: startMs + 12,
    setUpMs: startMs + 40,
    doneMs: startMs + 65,
  },
};

function listing(queueId: string): QueueListing {
  return {
    queue: 'deferred',
    envelope: { queueId, sender: 'a@example.org', sizeBytes: 4100, arrivalMs: startMs, createdMs: startMs },
    recipients: [
      {
        address: '"<script>alert(1)</script>"@example.org',
        transport: 'smtp',
        nexthop: 'example.org',
        delayReason: 'x < y & z',
      },
    ],
    dueMs: startMs + 300_000,
    forcedExpire: false,
  };
}

const view: MessageView = {
  listing: {
    ...listing('4Abc'),
    envelope: { ...listing('4Abc').envelope, messageId: '<"><script>x</script>@h>' },
  },
  timeline: [
    { kind: 'event', atMs: startMs + 70, step: 'deferred', detail: 'until <later>' },
    {
      kind: 'event',
      atMs: startMs + 80,
      step: 'notified',
      detail: 'sender delay notification: 4Q1, postmaster delay notification: 4Q2',
    },
    { kind: 'accepted', atMs: startMs, envelope: listing('4Abc').envelope, recipients: 1 },
    {
      kind: 'attempt',
      batchId: 'batch-7',
      worker: 'smtp-worker@host[12]',
      batchedMs: startMs + 10,
      steps: [{ atMs: startMs + 30, step: 'connected', detail: 'mx.example.org[192.0.2.1]:25' }],
      outcomes: [outcome],
    },
  ],
};

/** A queue of 120 messages, in pages as the real one gives them. */
const readable: Partial<DashboardOptions['queue']> = {
  counts: async () => ({ incoming: 0, active: 3, deferred: 1234, hold: 0, corrupt: 0 }),
  find: async (queueId) => (queueId === '4Abc' ? view : undefined),
  list: async ({ cursor, limit }) => {
    const from = Number(cursor ?? 0);
    const messages = Array.from({ length: Math.min(limit, 120 - from) }, (_, index) =>
      listing(`Q${from + index}`),
    );
    return from + limit < 120 ? { messages, cursor: String(from + limit) } : { messages };
  },
  boardQueues: async () => [],
};

describe('pages', () => {
  test('the start page counts and links the queues', async () => {
    const response = await fetch(await start({}));
    const text = await response.text();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(text).toContain('1,234');
    expect(text).toContain('href="/messages?queue=deferred"');
  });

  test('nothing from a message becomes markup', async () => {
    const url = await start({});
    for (const path of ['/messages', '/messages/4Abc', '/messages/%3Cscript%3E']) {
      const text = await (await fetch(`${url}${path}`)).text();
      expect(text).not.toContain('<script');
      expect(text).not.toContain('<b>later');
      expect(text).toContain('&lt;script&gt;');
    }
    const page = await (await fetch(`${url}/messages/4Abc`)).text();
    expect(page).toContain('&lt;b&gt;later&lt;/b&gt;');
    expect(page).toContain('until &lt;later&gt;');
  });

  test('the timeline stands in order of time, with offsets from acceptance and who worked', async () => {
    const text = await (await fetch(`${await start({})}/messages/4Abc`)).text();
    const places = ['<h3>accepted', '<h3>delivery attempt', '<h3>deferred'].map((title) =>
      text.indexOf(title),
    );
    expect(Math.min(...places)).toBeGreaterThan(0);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(text).toContain('postmaster delay notification: <a class="id" href="/messages/4Q2">4Q2</a>');
    expect(text).toContain('2026-11-23 22:00:00.010');
    expect(text).toContain('+20 ms</span><span><b>connected</b>');
    expect(text).toContain('worker smtp-worker@host[12], batch batch-7');
    expect(text).toContain('queued 5 ms, scheduled 7 ms, set up 28 ms, sent 25 ms');
  });

  test('a listing leads from page to page to its end', async () => {
    const url = await start({});
    const seen: string[] = [];
    let next: string | undefined = '/messages?queue=deferred';
    while (next !== undefined) {
      const text: string = await (await fetch(`${url}${next}`)).text();
      seen.push(...[...text.matchAll(/class="id" href="\/messages\/(\w+)"/g)].map((match) => match[1] ?? ''));
      next = /rel="next" href="([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&');
    }
    expect(seen).toEqual(Array.from({ length: 120 }, (_, index) => `Q${index}`));
  });

  test('search leads to the message, and an unknown id gets a sentence', async () => {
    const url = await start({});
    const found = await fetch(`${url}/find?id=%204Abc%20`, { redirect: 'manual' });
    expect([found.status, found.headers.get('location')]).toEqual([303, '/messages/4Abc']);
    const missing = await fetch(`${url}/messages/4Abd`);
    expect(missing.status).toBe(404);
    expect(await missing.text()).toContain('No message with queue id 4Abd');
  });
});

describe('JSON', () => {
  test('pages have twins under /api', async () => {
    const url = await start({});
    expect(await (await fetch(`${url}/api/`)).json()).toMatchObject({ counts: { deferred: 1234 } });
    expect(await (await fetch(`${url}/api/messages/4Abc`)).json()).toMatchObject({
      queueId: '4Abc',
      listing: { queue: 'deferred' },
      timeline: view.timeline,
    });
    const page = await (await fetch(`${url}/api/messages?queue=hold&limit=2`)).json();
    expect(page).toMatchObject({ messages: [{ envelope: { queueId: 'Q0' } }, {}], cursor: '2' });
  });

  test.each([
    ['/api/nothing', 404, /no such page/],
    ['/api/messages/none', 404, /No message with queue id none/],
    ['/api/messages?queue=bounced', 400, /incoming, active, deferred, hold/],
    ['/api/messages?limit=501', 400, /1 to 500/],
    ['/api/messages?limit=0', 400, /1 to 500/],
    ['/api/messages?cursor=a&cursor=b', 400, /one cursor/],
  ])('%s is answered with %d and a sentence', async (path, status, sentence) => {
    const response = await fetch(`${await start({})}${path}`);
    expect(response.status).toBe(status);
    expect(((await response.json()) as { error: string }).error).toMatch(sentence);
  });

  test('a queue that cannot be read is told in one sentence, without the cause', async () => {
    const url = await start({}, { counts: () => Promise.reject(new Error('secret detail')) });
    const response = await fetch(`${url}/api/`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret');
  });
});

describe('access', () => {
  const directory = mkdtemp(join(tmpdir(), 'dashboard-'));
  afterEach(async () => rm(join(await directory, 'password'), { force: true }));

  async function passwordFile(text: string): Promise<string> {
    const file = join(await directory, 'password');
    await writeFile(file, text);
    return file;
  }

  const login = (password: string): Record<string, string> => ({
    authorization: `Basic ${Buffer.from(`anyone:${password}`).toString('base64')}`,
  });

  test.each([
    [{ dashboard_listen: '0.0.0.0:0' }, /0\.0\.0\.0, which other machines can reach/],
    [{ dashboard_listen: '127.0.0.1:0, [::]:0' }, /::, which other machines can reach/],
    [{ dashboard_listen: '127.0.0.1' }, /write address:port/],
    [{ dashboard_listen: '127.0.0.1:70000' }, /write address:port/],
    [{ dashboard_listen: '' }, /dashboard_listen is empty/],
    [{ dashboard_password_file: '/nonexistent/password' }, /cannot be read/],
  ])('%j is refused at start', async (values, sentence) => {
    await expect(start(values)).rejects.toThrow(sentence);
  });

  test('an empty password is refused at start', async () => {
    await expect(start({ dashboard_password_file: await passwordFile('\nsecond line\n') })).rejects.toThrow(
      /empty first line/,
    );
  });

  test('with a password everything but /healthz asks for it', async () => {
    const url = await start({
      dashboard_listen: '0.0.0.0:0',
      dashboard_password_file: await passwordFile('geheim\n'),
    });
    for (const path of ['/', '/messages', '/api/', '/jobs', '/nothing', '/style.css']) {
      expect((await fetch(`${url}${path}`)).status, path).toBe(401);
      expect((await fetch(`${url}${path}`, { headers: login('Geheim') })).status, path).toBe(401);
    }
    expect((await fetch(url)).headers.get('www-authenticate')).toContain('Basic realm="Mailfleet"');
    expect((await fetch(url, { headers: login('geheim') })).status).toBe(200);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  test('a change asked for by another site is refused', async () => {
    const url = await start({ dashboard_password_file: await passwordFile('geheim') });
    const headers = { ...login('geheim'), origin: 'https://example.net' };
    expect((await fetch(`${url}/jobs/api/queues/pause`, { method: 'PUT', headers })).status).toBe(403);
  });

  test('without a password it only reads, and answers to this machine’s names only', async () => {
    const url = await start({});
    expect((await fetch(`${url}/jobs/api/queues/pause`, { method: 'PUT' })).status).toBe(405);
    const { request } = await import('node:http');
    const status = await new Promise((resolve, reject) => {
      request(url, { headers: { host: 'rebound.example.net' } }, (response) => resolve(response.statusCode))
        .on('error', reject)
        .end();
    });
    expect(status).toBe(421);
  });
});
