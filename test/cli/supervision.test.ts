/**
 * `mailfleet up` as master(8): what crashes is started again and mail flows on; SIGTERM drains, and the next start on the
 * same redis_directory delivers the rest, each message once. The tests share a fleet and build on each other.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Fleet, startFleet } from '../fleet/fleet.ts';

let directory: string;
let peer: Awaited<ReturnType<typeof startSmtpServer>>;
let fleet: Fleet;

const start = (): Promise<Fleet> =>
  startFleet({
    parameters: {
      relayhost: `[127.0.0.1]:${peer.port}`,
      redis_directory: join(directory, 'redis'),
      content_directory: join(directory, 'content'),
      // What waits behind a delivery in flight becomes one batch.
      smtp_destination_concurrency_limit: '1',
      scheduler_lease_time: '1s',
      batch_lease_time: '2s',
    },
  });

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-supervision-'));
  peer = await startSmtpServer();
  fleet = await start();
});
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await peer?.close();
  rmSync(directory, { recursive: true });
});

/** As a client that comes again when it is told to: intake takes nothing until it has found a new Redis. */
async function submit(recipient: string): Promise<string> {
  const response = await waitFor(
    async () => {
      const answer = await fetch(`${fleet.httpUrl}/v1/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ from: 'me@example.com', to: [recipient], subject: 'x', text: 'x' }),
      });
      return answer.status !== 503 && answer;
    },
    10_000,
    'intake to take mail',
  );
  expect(response.status).toBe(202);
  return ((await response.json()) as { id: string }).id;
}

/** How often each recipient got a message, from the first one after `from`. */
const received = (from = 0): string[] =>
  peer.messages
    .slice(from)
    .flatMap(({ recipients }) => recipients)
    .toSorted();

function waitForOutput(text: string, from: number): Promise<unknown> {
  return waitFor(() => fleet.output().slice(from).includes(text), 30_000, `the fleet to say "${text}"`);
}

function waitForLog(texts: readonly string[]): Promise<unknown> {
  const logged = async (): Promise<boolean> => {
    const log = await fleet.maillog();
    return texts.every((text) => log.includes(text));
  };
  return waitFor(logged, 30_000, `${texts.join(' and ')} in the mail log`);
}

async function redisPid(): Promise<number> {
  await using client = Object.assign(new Redis(join(directory, 'redis', 'redis.sock')), {
    [Symbol.asyncDispose]: async () => client.disconnect(),
  });
  return Number(/^process_id:(\d+)/m.exec(await client.info('server'))?.[1]);
}

test.each(['intake', 'scheduler', 'smtp-worker-1', 'bounce', 'dashboard', 'the embedded Redis'])(
  '%s is killed: it is started again, and mail flows',
  async (service) => {
    const [said, count] = [fleet.output().length, peer.messageCount];
    process.kill(service === 'the embedded Redis' ? await redisPid() : fleet.pidOf(service), 'SIGKILL');
    await waitForOutput(`${service} is running again`, said);
    const recipient = `after-${service.replaceAll(' ', '-')}@example.org`;
    const queueId = await submit(recipient);
    // To its end: a worker that is killed between the receiver's reply and the record of it delivers again.
    await waitForLog([`${queueId}: removed`]);
    expect(received(count)).toEqual([recipient]);
    expect(
      fleet
        .output()
        .slice(said)
        .split('\n')
        .filter((line) => line.includes('warning')),
    ).toHaveLength(1);
  },
);

/** Blocks the final dot of each message until it is released. */
function gate(): { readonly waiting: () => number; release(): void } {
  const releases: (() => void)[] = [];
  let arrived = 0;
  peer.hooks = {
    dot: () =>
      new Promise((resolve) => {
        arrived += 1;
        releases.push(() => resolve(undefined));
      }),
  };
  return { waiting: () => arrived, release: () => releases.shift()?.() };
}

test('SIGTERM: the transaction in flight finishes, the rest is delivered after the next start, once', async () => {
  const count = peer.messageCount;
  const { waiting, release } = gate();
  await submit('r0@example.org');
  await waitFor(() => waiting() === 1, 10_000, 'the first message at its final dot');
  const queueIds = await Promise.all([1, 2, 3, 4].map((n) => submit(`r${n}@example.org`)));
  await waitForLog(queueIds.map((queueId) => `${queueId}: from=`));
  release();
  await waitFor(() => waiting() === 2, 10_000, 'the first message of the batch at its final dot');

  const stopped = fleet.stop();
  // The HTTP listener closes when intake drains: the signal has gone to all.
  await waitFor(
    () =>
      fetch(fleet.httpUrl).then(
        () => false,
        () => true,
      ),
    10_000,
    'the fleet to drain',
  );
  expect(peer.messageCount).toBe(count + 1);
  release();
  expect(await stopped).toBe(0);
  expect(waiting()).toBe(2);
  expect(peer.messageCount).toBe(count + 2);

  peer.hooks = {};
  await fleet[Symbol.asyncDispose]();
  fleet = await start();
  const last = await submit('last@example.org');
  await waitForLog([...queueIds, last].map((queueId) => `${queueId}: removed`));
  expect(received(count)).toEqual(['last@example.org', ...[0, 1, 2, 3, 4].map((n) => `r${n}@example.org`)]);
  const { stdout } = await fleet.command(['queue', '-p']);
  expect(stdout).toBe('Mail queue is empty\n');
});
