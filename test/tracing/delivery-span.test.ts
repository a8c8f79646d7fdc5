/** The span of a delivery: where it hangs, what it is linked to, what it tells, and that it does not tell the content. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, startEmbeddedRedis } from '@mailfleet/queue';
import { runSmtpWorker } from '@mailfleet/smtp-worker';
import { createTelemetry, startTracing, traceparentOf, withSpan } from '@mailfleet/telemetry';
import { makeCertificates, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { expect, test } from 'vitest';
import { startOtlpReceiver, treeOf } from './otlp-receiver.ts';

test('a delivery is a child of the span that accepted the message, and linked to its job', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'delivery-span-'));
  const config = makeConfig({
    maillog_file: join(directory, 'maillog'),
    content_directory: directory,
    smtp_tls_security_level: 'encrypt',
  });
  await using receiver = await startOtlpReceiver();
  const authority = makeCertificates();
  await using server = await startSmtpServer({ tls: authority.issue(['mx.test']) });
  const redis = await startEmbeddedRedis({ directory });
  Object.assign(process.env, receiver.env);
  const tracing = await startTracing('mailfleet-test');
  expect(tracing.enabled).toBe(true);
  const telemetry = createTelemetry({ config, program: 'smtp' });
  const queue = await openQueue({ config, redisUrl: redis.url, telemetry, tracing: true });
  const drain = new AbortController();
  const worker = runSmtpWorker({ config, queue, telemetry, name: 'worker@test', signal: drain.signal });

  const queueId = queue.newQueueId();
  const nexthop = `[127.0.0.1]:${server.port}`;
  await withSpan('accept', {}, (_span, of) => {
    const bytes = Buffer.from('Subject: none of a trace’s business\r\n\r\nHello.\r\n');
    const traceparent = traceparentOf(of);
    const now = Date.now();
    return queue.accept({
      envelope: {
        queueId,
        sender: 'ben@example.com',
        sizeBytes: bytes.length,
        arrivalMs: now,
        createdMs: now,
        ...(traceparent === undefined ? {} : { traceparent }),
      },
      recipients: [{ index: 0, address: 'anna@example.org', transport: 'smtp', nexthop }],
      content: { kind: 'inline', bytes },
    });
  });
  const lease = await queue.acquireLease(0, 'test', 60_000);
  if (lease === undefined) throw new Error('another scheduler leads the shard of this test');
  const requests = await queue.activate(lease, 'incoming', 1, Date.now());
  await withSpan('schedule', {}, (_span, of) => {
    const traceparent = traceparentOf(of);
    return queue.addBatches([
      {
        id: 'b1',
        shard: 0,
        fence: lease.fence,
        transport: 'smtp',
        protocol: 'smtp',
        nexthop,
        batchedMs: Date.now(),
        requests,
        ...(traceparent === undefined ? {} : { traceparent }),
      },
    ]);
  });
  await server.waitForMessages(1);
  await waitFor(
    async () => (await queue.readInbox(0, '0', 100)).some(({ kind }) => kind === 'batch-end'),
    10_000,
    'the end of the batch',
  );
  drain.abort();
  await worker;
  await queue.close();
  await Promise.all([telemetry.shutdown(), tracing.shutdown()]);
  await redis.stop();
  rmSync(directory, { recursive: true });
  authority.remove();

  const spans = await receiver.waitForSpans((all) => all.some(({ name }) => name === 'deliver smtp'));
  const [accept, schedule, deliver] = ['accept', 'schedule', 'deliver smtp'].map((name) =>
    spans.find((span) => span.name === name),
  );
  if (accept === undefined) throw new Error('the span of the acceptance did not arrive');
  expect(treeOf(spans, accept)).toEqual(['mailfleet-test: accept', '  mailfleet-test: deliver smtp']);
  expect(deliver).toMatchObject({
    attributes: {
      'mailfleet.queue_id': queueId,
      'mailfleet.relay': `127.0.0.1[127.0.0.1]:${server.port}`,
      'mailfleet.dsn': '2.0.0',
      'mailfleet.status': 'delivered',
      'tls.established': true,
      'tls.protocol.name': 'tls',
      'tls.protocol.version': '1.3',
      'tls.cipher': 'TLS_AES_256_GCM_SHA384',
      'mailfleet.recipients': 1,
    },
  });
  expect(deliver?.events).toEqual(expect.arrayContaining(['mail', 'rcpt', 'data', 'dot']));
  expect(deliver?.links).toContainEqual({ traceId: schedule?.traceId, spanId: schedule?.spanId });
  const job = spans.find((span) =>
    deliver?.links.some(({ spanId }) => spanId === span.spanId && span !== schedule),
  );
  expect(job?.traceId).toBe(schedule?.traceId);
  expect(JSON.stringify(spans)).not.toContain('none of a trace');
});
