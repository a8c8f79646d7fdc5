/** Against smtp-sink, Postfix's own receiver: 1,000 messages over one session, and how fast that goes. */
import { makeConfig } from '@mailfleet/config';
import { installed, startDelayProxy } from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import { createDeliveryAgent } from './agent.ts';
import type { Protocol, RequestResult } from './delivery.ts';
import { batchOf, hostsOf, requestTo } from './test-agent.ts';
import { startSink } from './test-sink.ts';

interface Load {
  readonly port: number;
  readonly protocol: Protocol;
  readonly messages: number;
  readonly config?: Readonly<Record<string, string>>;
}

/** Delivers over one session; messages per second. */
const run = async ({ port, protocol, messages, config }: Load): Promise<number> => {
  const content = Buffer.from(`Subject: load\r\n\r\n${'x'.repeat(78).concat('\r\n').repeat(50)}`);
  const requests = Array.from({ length: messages }, (_, index) =>
    requestTo(['user@example.com'], `Q${index}`, { sizeBytes: content.length }),
  );
  const hosts = hostsOf([{ host: '127.0.0.1', port }]);
  const agent = createDeliveryAgent({
    config: makeConfig({ myhostname: 'client.test', ...config }),
    transport: protocol,
    protocol,
    findHosts: async () => ({ kind: 'found', hosts, finalNexthop: false }),
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
  const rate = (1000 * messages) / (performance.now() - start);
  expect(returned).toEqual([]);
  const outcomes = results.flatMap((result) => result.outcomes);
  expect(outcomes.filter((outcome) => outcome.kind === 'delivered')).toHaveLength(messages);
  expect(outcomes.at(-1)?.connectionUse).toBe(messages);
  return rate;
};

describe.skipIf(!installed(['smtp-sink']))('messages of 4 kB over one session with smtp-sink', () => {
  it.each<{ protocol: Protocol; pipelining: string; flags: string[]; config?: Record<string, string> }>([
    { protocol: 'smtp', pipelining: 'transactions and commands', flags: [] },
    {
      protocol: 'smtp',
      pipelining: 'commands',
      flags: [],
      config: { smtp_transaction_pipelining: 'no' },
    },
    { protocol: 'smtp', pipelining: 'off', flags: ['-p'] },
    { protocol: 'lmtp', pipelining: 'transactions and commands', flags: ['-L'] },
    { protocol: 'lmtp', pipelining: 'off', flags: ['-L', '-p'] },
  ])('$protocol, pipelining: $pipelining', async ({ protocol, flags, pipelining, config }) => {
    await using sink = await startSink(...flags);
    const rate = await run({ port: sink.port, protocol, messages: 1000, ...(config ? { config } : {}) });
    console.info(`${protocol}, pipelining ${pipelining}: ${Math.round(rate)} messages/s`);
  });

  it.each(['yes', 'no'])('50 ms away, smtp_transaction_pipelining = %s', async (value) => {
    await using sink = await startSink();
    await using proxy = await startDelayProxy(sink, 50);
    const config = { smtp_transaction_pipelining: value };
    const rate = await run({ port: proxy.port, protocol: 'smtp', messages: 10, config });
    console.info(`50 ms away, smtp_transaction_pipelining = ${value}: ${rate.toFixed(1)} messages/s`);
    // EHLO; then envelope and contents in one turn, or in two.
    expect(proxy.turns).toBe(value === 'yes' ? 12 : 21);
  });
});
