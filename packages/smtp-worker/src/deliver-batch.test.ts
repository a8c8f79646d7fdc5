import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import {
  type Batch,
  createDeliveryAgent,
  type DeliveryAgent,
  type DeliveryRequest,
  type RequestResult,
} from '@mailfleet/smtp';
import { createTelemetry, type MailEvent, type Telemetry } from '@mailfleet/telemetry';
import { type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type BatchDeliveryParts, deliverClaimed } from './deliver-batch.ts';

function request(queueId: string, recipients: number): DeliveryRequest {
  return {
    envelope: { queueId, sender: 'ben@example.com', sizeBytes: 10, arrivalMs: 1, createdMs: 1 },
    recipients: Array.from({ length: recipients }, (_, index) => ({
      index,
      address: `r${index}@example.org`,
    })),
    contentShard: 0,
    activatedMs: 2,
  };
}

function batchOf(...requests: DeliveryRequest[]): Batch {
  return {
    id: 'b1',
    shard: 0,
    fence: 1,
    transport: 'smtp',
    protocol: 'smtp',
    nexthop: 'example.org',
    batchedMs: 3,
    requests,
  };
}

let folder: string;
let telemetry: Telemetry;
let events: MailEvent[];
let server: SmtpServer;
let agent: DeliveryAgent;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'smtp-worker-'));
  const config = makeConfig({ maillog_file: join(folder, 'maillog'), smtp_tls_security_level: 'none' });
  events = [];
  telemetry = createTelemetry({ config, program: 'smtp', sinks: [(event) => events.push(event)] });
  server = await startSmtpServer();
  const host = { host: 'mx.example.org', address: '127.0.0.1', port: server.port, preference: 0 };
  agent = createDeliveryAgent({
    config,
    transport: 'smtp',
    protocol: 'smtp',
    findHosts: async () => ({ kind: 'found', hosts: [host], finalNexthop: true }),
  });
});

afterEach(async () => {
  await server.close();
  await telemetry.shutdown();
  rmSync(folder, { recursive: true });
});

/** A queue that is one function per port; those not given do the least. */
function partsWith(queue: Partial<BatchDeliveryParts['queue']>): BatchDeliveryParts {
  return {
    agent,
    telemetry,
    queue: {
      content: async () => Buffer.from('Subject: x\r\n\r\nx\r\n'),
      openRecipients: async () => ({ open: [], inDoubt: false }),
      markInDoubt: () => {},
      record: async () => ({ duplicates: 0 }),
      requestTranscript: async () => {},
      ...queue,
    },
  };
}

function claim(batch: Batch, handedOutBefore = 0): Parameters<typeof deliverClaimed>[0] {
  return { batch, handedOutBefore, signal: new AbortController().signal };
}

test('delivery goes on while a result is being recorded, and the batch ends when all are', async () => {
  const pending: (() => void)[] = [];
  const parts = partsWith({
    record: () => new Promise((resolve) => pending.push(() => resolve({ duplicates: 0 }))),
  });
  let ended = false;
  const delivered = deliverClaimed(claim(batchOf(request('Q1', 1), request('Q2', 2))), parts).then(
    (result) => {
      ended = true;
      return result;
    },
  );
  await vi.waitFor(() => expect(pending).toHaveLength(2), { interval: 1 });
  expect([ended, events]).toEqual([false, []]);
  for (const resolve of pending) resolve();
  expect(await delivered).toEqual({ returned: [] });
  expect(events.map((event) => event.kind === 'delivered' && `${event.queueId} ${event.to}`)).toEqual([
    'Q1 r0@example.org',
    'Q2 r0@example.org',
    'Q2 r1@example.org',
  ]);
});

test('when a result cannot be recorded, the rest is not delivered and the batch fails', async () => {
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const parts = partsWith({ record: () => failed });
  server.hooks = {
    dot: async ({ session }) => {
      if (session.messages === 0) reject(new Error('Redis is gone'));
      await failed.catch(() => {});
      return undefined;
    },
  };
  const batch = batchOf(...Array.from({ length: 50 }, (_, i) => request(`Q${i}`, 1)));
  await expect(deliverClaimed(claim(batch), parts)).rejects.toThrow('Redis is gone');
  expect(server.messageCount).toBeLessThan(10);
  expect(events).toEqual([]);
});

test('a batch that comes again is delivered without what is final, and says what is in doubt', async () => {
  const recorded: RequestResult[] = [];
  const parts = partsWith({
    openRecipients: async (_batch, { envelope }) =>
      ({ Q1: { open: [], inDoubt: false }, Q2: { open: [1], inDoubt: true } })[envelope.queueId] ?? {
        open: [0],
        inDoubt: false,
      },
    record: async (_batch, result) => {
      recorded.push(result);
      return { duplicates: 0 };
    },
  });
  await deliverClaimed(claim(batchOf(request('Q1', 1), request('Q2', 2), request('Q3', 1)), 1), parts);
  expect(
    recorded.map(({ queueId, outcomes }) => [queueId, outcomes.map(({ recipient }) => recipient)]),
  ).toEqual([
    ['Q2', [1]],
    ['Q3', [0]],
  ]);
  expect(events.map(({ kind }) => kind)).toEqual(['in-doubt', 'delivered', 'delivered']);
  expect(events[0]).toMatchObject({ queueId: 'Q2', batchId: 'b1' });
});

test('what another worker recorded first is not reported again, but that it went out twice is said', async () => {
  const parts = partsWith({
    record: async (_batch, { outcomes }) => ({ duplicates: outcomes.length }),
  });
  await deliverClaimed(claim(batchOf(request('Q1', 2))), parts);
  expect(events).toEqual([
    {
      kind: 'in-doubt',
      queueId: 'Q1',
      batchId: 'b1',
      detail: 'another worker was done with it before; 2 recipients may have got the message twice',
    },
  ]);
});

test('missing content is a loud error that says where to look', async () => {
  const parts = partsWith({ content: async () => undefined });
  await deliverClaimed(claim(batchOf(request('Q1', 1))), parts);
  await vi.waitFor(
    () =>
      expect(readFileSync(join(folder, 'maillog'), 'utf8')).toContain(
        'error: Q1: content is missing from shard 0: look for a Redis that evicts keys',
      ),
    { interval: 5 },
  );
});

test('once the claim is aborted, the rest goes back untried', async () => {
  const drain = new AbortController();
  const parts = partsWith({ markInDoubt: () => drain.abort() });
  const batch = batchOf(...['Q1', 'Q2', 'Q3'].map((queueId) => request(queueId, 1)));
  const { returned } = await deliverClaimed({ batch, handedOutBefore: 0, signal: drain.signal }, parts);
  expect(returned).toEqual(['Q2', 'Q3']);
});
