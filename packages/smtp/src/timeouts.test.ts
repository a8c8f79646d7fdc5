/** Time limits: what they are by default, what renews them, and the one of a connection that is never accepted. */
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { makeConfig } from '@mailfleet/config';
import { type SmtpServer, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { agentSettings } from './settings.ts';
import { deliver } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const minutes = 60_000;
const byDefault = {
  helo: 5 * minutes,
  starttls: 5 * minutes,
  xforward: 5 * minutes,
  mail: 5 * minutes,
  rcpt: 5 * minutes,
  dataInit: 2 * minutes,
  dataXfer: 3 * minutes,
  dataDone: 10 * minutes,
  rset: 20_000,
  quit: 5 * minutes,
};

it.each(['smtp', 'lmtp'] as const)('the defaults of %s are those of Postfix', (protocol) => {
  const settings = agentSettings(makeConfig({}), protocol);
  expect(settings.timeouts).toEqual(byDefault);
  expect(settings.connectTimeoutMs).toBe(protocol === 'smtp' ? 30_000 : 0);
  expect(settings).toMatchObject({
    perRequestDeadline: false,
    minDataRate: 500,
    reuseTimeLimitMs: 5 * minutes,
    reuseCountLimit: 0,
    minimalBackoffMs: 5 * minutes,
    pix: { delayMs: 10_000, thresholdMs: 500_000 },
  });
});

describe('a reply that trickles in', () => {
  it.each([
    ['renews its limit', 'no', 'delivered 2.0.0 250 2.0.0 taken'],
    [
      'has one deadline with smtp_per_request_deadline',
      'yes',
      'deferred 4.4.2 conversation with mx1.test[127.0.0.1] timed out while sending end of data -- message may be sent more than once',
    ],
  ])('%s', async (_, value, verdict) => {
    const trickle = Array.from('250 2.0.0 taken', (letter) => [`raw: ${letter}`, 'delay 100']).flat();
    const server = await startSmtpServer({
      scripts: [
        [
          ...['S: 220 x', 'C: EHLO*', 'S: 250 x', 'C: MAIL*', 'S: 250 ok', 'C: RCPT*', 'S: 250 ok'],
          ...['C: DATA', 'S: 354 go', 'content', ...trickle, 'raw: \\r\\n'],
        ],
      ],
    });
    servers.push(server);
    const { verdicts } = await deliver({
      servers: [server],
      config: { smtp_data_done_timeout: '1s', smtp_per_request_deadline: value },
    });
    expect(verdicts).toEqual([verdict]);
  });
});

/** Listens in a thread that has stopped, with a queue that is full: the system answers no further connection request. */
const startDeafServer = async (): Promise<{ port: number } & AsyncDisposable> => {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
     });`,
    { eval: true },
  );
  const port = await new Promise<number>((resolve) => worker.once('message', resolve));
  const filling: Socket[] = [];
  // One more until the next one hangs.
  await waitFor(async () => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    filling.push(socket);
    return await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(true), 300);
      socket.once('connect', () => {
        clearTimeout(timer);
        resolve(false);
      });
    });
  }, 10_000);
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of filling) socket.destroy();
      await worker.terminate();
    },
  };
};

it.each([
  ['smtp', 'smtp_connect_timeout'],
  ['lmtp', 'lmtp_connect_timeout'],
] as const)('%s: %s holds for each address, then the next one is tried', async (protocol, parameter) => {
  await using deaf = await startDeafServer();
  const server = await startSmtpServer({ protocol });
  servers.push(server);
  const dead = { host: '127.0.0.1', port: deaf.port };
  const began = performance.now();
  const { verdicts, remarks } = await deliver({
    protocol,
    servers: [dead, dead, server],
    config: { [parameter]: '1s' },
  });
  expect(verdicts).toEqual([expect.stringMatching(/^delivered/)]);
  expect(remarks).toEqual(
    [1, 2].map((host) => `connect to mx${host}.test[127.0.0.1]:${deaf.port}: Connection timed out`),
  );
  expect(performance.now() - began).toBeGreaterThanOrEqual(2000);
});

it('a destination whose every address times out is deferred and throttled', async () => {
  await using deaf = await startDeafServer();
  const { verdicts, results } = await deliver({
    servers: [{ host: '127.0.0.1', port: deaf.port }],
    config: { smtp_connect_timeout: '1s' },
  });
  const reason = `connect to mx1.test[127.0.0.1]:${deaf.port}: Connection timed out`;
  expect(verdicts).toEqual([`deferred 4.4.1 ${reason}`]);
  expect(results[0]?.hopStatus).toEqual({ status: '4.4.1', reason });
});
