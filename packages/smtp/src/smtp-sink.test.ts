/** Against smtp-sink, Postfix's own receiver: 1,000 messages over one session, and how fast that goes. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { makeConfig } from '@mailfleet/config';
import { freePort, waitFor } from '@mailfleet/test-kit';
import { afterAll, describe, expect, it } from 'vitest';
import { createDeliveryAgent } from './agent.ts';
import type { Protocol, RequestResult } from './delivery.ts';
import { batchOf, hostsOf, requestTo } from './test-agent.ts';

const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
const installed = spawnSync('smtp-sink', ['-?'], { env }).error === undefined;
const children: ChildProcess[] = [];

afterAll(async () => {
  for (const child of children) {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
});

const startSink = async (...flags: string[]): Promise<number> => {
  const port = await freePort();
  // It refuses to run as root; the user postfix exists wherever smtp-sink does.
  const asUser = process.getuid?.() === 0 ? ['-u', 'postfix'] : [];
  const child = spawn('smtp-sink', [...asUser, ...flags, `127.0.0.1:${port}`, '100'], {
    env,
    stdio: 'ignore',
  });
  children.push(child);
  await waitFor(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = connect({ host: '127.0.0.1', port }, () => resolve(socket.destroy() !== undefined));
        socket.once('error', () => resolve(false));
      }),
    5000,
    'smtp-sink to listen',
  );
  return port;
};

describe.skipIf(!installed)('1,000 messages of 4 kB over one session with smtp-sink', () => {
  it.each<{ protocol: Protocol; pipelining: boolean; flags: string[] }>([
    { protocol: 'smtp', pipelining: true, flags: [] },
    { protocol: 'smtp', pipelining: false, flags: ['-p'] },
    { protocol: 'lmtp', pipelining: true, flags: ['-L'] },
    { protocol: 'lmtp', pipelining: false, flags: ['-L', '-p'] },
  ])('$protocol, pipelining $pipelining', async ({ protocol, flags, pipelining }) => {
    const port = await startSink(...flags);
    const content = Buffer.from(`Subject: load\r\n\r\n${'x'.repeat(78).concat('\r\n').repeat(50)}`);
    const requests = Array.from({ length: 1000 }, (_, index) =>
      requestTo(['user@example.com'], `Q${index}`, { sizeBytes: content.length }),
    );
    const agent = createDeliveryAgent({
      config: makeConfig({ myhostname: 'client.test' }),
      transport: protocol,
      protocol,
      findHosts: async () => ({
        kind: 'found',
        hosts: hostsOf([{ host: '127.0.0.1', port }]),
        finalNexthop: false,
      }),
    });
    const results: RequestResult[] = [];
    const start = performance.now();
    const { returned } = await agent.deliverBatch(batchOf(requests, 'example.com', protocol), {
      content: async () => content,
      beforeDot: () => undefined,
      record: async (result) => {
        results.push(result);
      },
      signal: new AbortController().signal,
    });
    const rate = Math.round(1_000_000 / (performance.now() - start));
    console.info(`${protocol}, pipelining ${pipelining}: ${rate} messages/s`);
    expect(returned).toEqual([]);
    const outcomes = results.flatMap((result) => result.outcomes);
    expect(outcomes.filter((outcome) => outcome.kind === 'delivered')).toHaveLength(1000);
    expect(outcomes.at(-1)?.connectionUse).toBe(1000);
  });
});
