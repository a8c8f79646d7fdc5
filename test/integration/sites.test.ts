/**
 * destination_site_rollup with real daemons and a name server: domains that share mail hosts share one window once a worker
 * has found out, and `explain` says so; without it each has its own.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, startEmbeddedRedis } from '@mailfleet/queue';
import { startDnsServer, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { expect, test } from 'vitest';
import { makeDaemons } from '../fleet/daemons.ts';

const WAIT_MS = 60_000;
const DOMAINS = ['a.test', 'b.test', 'c.test', 'd.test'];
const LIMIT = 2;

test.each([
  { rollup: 'yes', most: LIMIT },
  { rollup: 'no', most: LIMIT * DOMAINS.length },
])('rollup $rollup: at most $most deliveries at once to four domains', async ({ rollup, most }) => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-sites-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const redis = await startEmbeddedRedis({ directory, socket: true });
  stack.defer(() => redis.stop());
  const gate = Promise.withResolvers<void>();
  let busy = 0;
  const peer = await startSmtpServer({
    hooks: {
      rcpt: async ({ recipient = '' }) => {
        if (!recipient.startsWith('wait')) return undefined;
        busy += 1;
        await gate.promise;
        return undefined;
      },
    },
  });
  stack.defer(() => peer.close());
  const dns = await startDnsServer({
    zones: {
      'mx1.big.test': { A: ['127.0.0.1'] },
      'mx2.big.test': { A: ['127.0.0.1'] },
      ...Object.fromEntries(
        DOMAINS.map((domain, i) => [
          domain,
          // The order of preference is each domain's own.
          { MX: [`10 mx${1 + (i % 2)}.big.test`, `20 mx${2 - (i % 2)}.big.test`] },
        ]),
      ),
    },
  });
  stack.defer(() => dns.close());
  const parameters = {
    destination_site_rollup: rollup,
    dns_servers: dns.address,
    smtp_tcp_port: String(peer.port),
    smtp_destination_concurrency_limit: String(LIMIT),
    destination_batch_limit: '1',
    inet_interfaces: '127.0.0.9',
  };
  const queue = await openQueue({ config: makeConfig(parameters), redisUrl: redis.url });
  stack.defer(() => queue.close());
  const daemons = stack.use(await makeDaemons(redis.url, parameters));
  const accept = async (address: string): Promise<string> => {
    const queueId = queue.newQueueId();
    const nowMs = Date.now();
    const nexthop = address.slice(address.indexOf('@') + 1);
    await queue.accept({
      envelope: { queueId, sender: 'me@example.com', sizeBytes: 16, arrivalMs: nowMs, createdMs: nowMs },
      recipients: [{ index: 0, address, transport: 'smtp', nexthop }],
      content: { kind: 'inline', bytes: Buffer.from('Subject: x\r\n\r\nx\r\n') },
    });
    return queueId;
  };
  const scheduler = await daemons.start('scheduler');
  await daemons.start('smtp-worker');
  await waitFor(() => scheduler.output().includes('leads shard 0'), WAIT_MS, 'a leader');

  for (const domain of DOMAINS) await accept(`first@${domain}`);
  await peer.waitForMessages(DOMAINS.length, WAIT_MS);
  if (rollup === 'yes') {
    const names = DOMAINS.map((nexthop) => ({ transport: 'smtp', nexthop }));
    await waitFor(async () => (await queue.sitesOf(0, names)).every((site) => site !== undefined), WAIT_MS);
    expect(new Set(await queue.sitesOf(0, names)).size).toBe(1);
    for (const destination of names) {
      await waitFor(
        async () =>
          (await queue.explain({ destination })).reasons.some(({ text }) => /of site mx1/.test(text)),
        WAIT_MS,
        'the scheduler to know the site',
      );
    }
  }
  const ids: string[] = [];
  for (const domain of [...DOMAINS, ...DOMAINS, ...DOMAINS]) ids.push(await accept(`wait@${domain}`));
  const last = ids.at(-1) ?? '';
  await waitFor(() => busy >= most, WAIT_MS, `${most} deliveries`);
  const site = rollup === 'yes' ? /mx1\.big\.test\+1-[0-9a-f]{8}/ : /d\.test/;
  const full = new RegExp(
    `for smtp:${site.source}: the concurrency window is full, ${LIMIT} of ${LIMIT} batches are under way`,
  );
  await waitFor(
    async () => (await queue.explain({ queueId: last })).reasons.some(({ text }) => full.test(text)),
    WAIT_MS,
    'the reason',
  );
  expect(busy).toBe(most);
  gate.resolve();
  await peer.waitForMessages(4 * DOMAINS.length, WAIT_MS);
});
