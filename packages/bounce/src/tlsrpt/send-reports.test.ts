/**
 * smtp_tlsrpt_enable, from counted handshakes to the report that is out (RFC 8460), over a real Redis and a real HTTPS collector;
 * tlsrpt_contact_address in the report.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { openReportStore, type ReportStore } from '@mailfleet/scache';
import { makeCertificates } from '@mailfleet/test-kit';
import { failureOf, type TlsResult } from '@mailfleet/tls';
import { Redis } from 'ioredis';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ReportSenderOptions, sendDueReports } from './send-reports.ts';

let folder: string;
let redisServer: Awaited<ReturnType<typeof startEmbeddedRedis>>;
let redis: Redis;
let queue: Queue;
let store: ReportStore;
let collector: Server;
const authority = makeCertificates();
const posts: { type: string | undefined; url: string | undefined; body: Buffer }[] = [];
let status = 200;
const config = makeConfig({
  myhostname: 'mx.sender.test',
  mydomain: 'sender.test',
  tlsrpt_contact_address: 'tls@sender.test',
});

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tlsrpt-'));
  redisServer = await startEmbeddedRedis({ directory: folder });
  redis = new Redis(redisServer.url);
  queue = await openQueue({ config: makeConfig({ content_directory: folder }), redisUrl: redisServer.url });
  store = openReportStore(queue);
  const { cert, key } = authority.issue(['collector.test']);
  collector = createServer({ cert, key }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      posts.push({ type: request.headers['content-type'], url: request.url, body: Buffer.concat(chunks) });
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await queue.close();
  redis.disconnect();
  collector.close();
  await redisServer.stop();
  rmSync(folder, { recursive: true });
  authority.remove();
});
beforeEach(async () => {
  await redis.flushall();
  posts.length = 0;
  status = 200;
});

const day = '2026-01-02';
const subject = { day, domain: 'example.test' };
const sts = {
  type: 'sts',
  domain: 'example.test',
  strings: ['version: STSv1', 'mode: enforce'],
  mxHosts: ['mx.example.test'],
} as const;
const good: TlsResult = { policy: sts };
const bad: TlsResult = {
  policy: sts,
  failure: {
    ...failureOf('certificate-expired', 'certificate has expired'),
    sendingMtaIp: '192.0.2.1',
    receivingMxHostname: 'mx.example.test',
    receivingIp: '192.0.2.2',
  },
};
const other: TlsResult = {
  policy: { type: 'no-policy-found', domain: 'example.test', strings: [], mxHosts: [] },
};

const send = async (rua: string | Error, more: Partial<ReportSenderOptions> = {}) => {
  const notes: string[] = [];
  const accepted: Parameters<ReportSenderOptions['queue']['accept']>[0][] = [];
  const sent = await sendDueReports(
    {
      config,
      store,
      queue: {
        newQueueId: () => queue.newQueueId(),
        claimIdempotencyKey: (...rest) => queue.claimIdempotencyKey(...rest),
        spoolContent: (source) => queue.spoolContent(source),
        accept: async (message) => {
          accepted.push(message);
          return queue.accept(message);
        },
      },
      router: {
        route: async (address) => ({
          kind: 'routed',
          address,
          transport: 'smtp',
          nexthop: address.split('@')[1] ?? '',
          agent: 'smtp',
        }),
      },
      txt: async (name) => {
        expect(name).toBe('_smtp._tls.example.test');
        if (rua instanceof Error) throw rua;
        return rua === '' ? [] : [`v=TLSRPTv1; rua=${rua}`];
      },
      outside: {
        addresses: async () => ['127.0.0.1'],
        port: (collector.address() as AddressInfo).port,
        ca: authority.ca.cert,
        allowLocal: true,
      },
      note: (text) => notes.push(text),
      ...more,
    },
    new AbortController().signal,
  );
  return { sent, notes, accepted };
};

const count = async (): Promise<void> => {
  await store.count(subject, [
    { result: good, count: 5 },
    { result: bad, count: 2 },
  ]);
  await store.count(subject, [
    { result: good, count: 1 },
    { result: other, count: 3 },
  ]);
};

const report = {
  'organization-name': 'sender.test',
  'date-range': { 'start-datetime': '2026-01-02T00:00:00Z', 'end-datetime': '2026-01-02T23:59:59Z' },
  'contact-info': 'tls@sender.test',
  'report-id': '2026-01-02.example.test@sender.test',
  policies: expect.arrayContaining([
    {
      policy: {
        'policy-type': 'sts',
        'policy-string': ['version: STSv1', 'mode: enforce'],
        'policy-domain': 'example.test',
        'mx-host': ['mx.example.test'],
      },
      summary: { 'total-successful-session-count': 6, 'total-failure-session-count': 2 },
      'failure-details': [
        {
          'result-type': 'certificate-expired',
          'sending-mta-ip': '192.0.2.1',
          'receiving-mx-hostname': 'mx.example.test',
          'receiving-ip': '192.0.2.2',
          'failed-session-count': 2,
          'failure-reason-code': 'certificate_has_expired',
        },
      ],
    },
    {
      policy: { 'policy-type': 'no-policy-found', 'policy-domain': 'example.test' },
      summary: { 'total-successful-session-count': 3, 'total-failure-session-count': 0 },
    },
  ]),
};

it('by HTTPS: one POST of the compressed report with tlsrpt_contact_address, and the counts are gone', async () => {
  await count();
  const { sent, notes } = await send('https://collector.test/in?x=1');
  expect(sent).toBe(1);
  expect(posts).toHaveLength(1);
  expect(posts[0]).toMatchObject({ type: 'application/tlsrpt+gzip', url: '/in?x=1' });
  expect(JSON.parse(gunzipSync(posts[0]?.body ?? '').toString())).toEqual(report);
  expect(notes).toEqual(['the TLS report of 2026-01-02 for example.test is out']);
  expect(await redis.keys('*tlsrpt*')).toEqual([]);
  expect((await send('https://collector.test/in')).sent).toBe(0);
});

it('by mail: through our own queue, with the headers of RFC 8460, TLS-Required: No, and nobody to bounce to', async () => {
  await count();
  const { accepted } = await send('mailto:reports@example.test');
  expect(accepted).toHaveLength(1);
  const [message] = accepted;
  expect(message).toMatchObject({
    envelope: { sender: '', tlsOptional: true },
    recipients: [{ address: 'reports@example.test', nexthop: 'example.test' }],
  });
  const bytes = message?.content.kind === 'inline' ? message.content.bytes : Buffer.alloc(0);
  const parsed = await simpleParser(Buffer.from(bytes));
  const header = (name: string): unknown => parsed.headers.get(name);
  expect(parsed.subject).toBe(
    'Report Domain: example.test Submitter: sender.test Report-ID: <2026-01-02.example.test@sender.test>',
  );
  expect(header('content-type')).toMatchObject({
    value: 'multipart/report',
    params: { 'report-type': 'tlsrpt' },
  });
  expect([header('tls-report-domain'), header('tls-report-submitter'), header('tls-required')]).toEqual([
    'example.test',
    'sender.test',
    'No',
  ]);
  expect(parsed.from?.text).toBe('tls@sender.test');
  const [file] = parsed.attachments;
  expect(file?.contentType).toBe('application/tlsrpt+gzip');
  expect(file?.filename).toBe('sender.test!example.test!1767312000!1767398399.json.gz');
  expect(JSON.parse(gunzipSync(file?.content ?? '').toString())).toEqual(report);
});

describe('a report that cannot be sent', () => {
  it.each<[string, string | Error, RegExp]>([
    ['a collector that says no', 'https://collector.test/in', /status 500/],
    ['a collector that is not there', 'https://other.test/in', /altnames/],
    ['an address inside', 'https://127.0.0.1/in', /no https: address of a host name/],
    ['a port', 'https://collector.test:8443/in', /has a port/],
    ['DNS is silent', new Error('SERVFAIL'), /waits: SERVFAIL/],
  ])('%s: it stays for later, and nobody else takes it meanwhile', async (_, rua, reason) => {
    await count();
    status = 500;
    const { sent, notes } = await send(rua);
    expect(sent).toBe(0);
    expect(notes).toEqual([expect.stringMatching(reason)]);
    expect(await store.read(subject)).toHaveLength(3);
    expect((await send(rua)).notes).toEqual([]);
    expect(await store.hurry(subject)).toBe(true);
    status = 200;
    expect((await send('https://collector.test/in')).sent).toBe(1);
  });

  it('a domain that withdrew its record gets none', async () => {
    await count();
    expect((await send('')).sent).toBe(0);
    expect(await redis.keys('*tlsrpt*')).toEqual([]);
  });
});

it('a day is reported when it is over, and mailfleet tlsrpt --send brings it forward', async () => {
  const today = { day: new Date(Date.now() + 86_400_000).toISOString().slice(0, 10), domain: 'example.test' };
  await store.count(today, [{ result: good, count: 1 }]);
  expect((await send('https://collector.test/in')).sent).toBe(0);
  expect(await store.hurry(today)).toBe(true);
  expect((await send('https://collector.test/in')).sent).toBe(1);
  expect(await store.hurry(today)).toBe(false);
});

it('results are bounded: beyond 500 they count without host and address', async () => {
  const many = Array.from({ length: 600 }, (_, i) => ({
    result: { policy: sts, failure: { ...failureOf('validation-failure'), receivingIp: `192.0.2.${i}` } },
    count: 1,
  }));
  await store.count(subject, many);
  const read = await store.read(subject);
  expect(read.length).toBeLessThanOrEqual(501);
  expect(read.reduce((sum, each) => sum + each.count, 0)).toBe(600);
  expect(read).toContainEqual({
    result: { policy: sts, failure: { type: 'validation-failure' } },
    count: 100,
  });
});
