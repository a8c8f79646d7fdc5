/** Mailfleet as the bench's candidate: a whole fleet with one worker on its own Redis, everything out to a relay. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, startEmbeddedRedis } from '@mailfleet/queue';
import { type Fleet, startFleet } from '../fleet/fleet.ts';
import type { Load } from '../peers/source.ts';

const relayTo = (port: number): Readonly<Record<string, string>> => ({
  relayhost: `[127.0.0.1]:${port}`,
  mydestination: '',
});

export function startCandidate(relayPort: number): Promise<Fleet> {
  return startFleet({ parameters: relayTo(relayPort) });
}

export interface Loaded extends AsyncDisposable {
  readonly redisPid: number;
  /** Starts the daemons on the queue that waits. */
  start(): Promise<Fleet>;
}

/** A queue full of accepted messages that no daemon works on yet, for measuring delivery alone. */
export async function preload(relayPort: number, load: Load): Promise<Loaded> {
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-preload-'));
  const redis = await startEmbeddedRedis({ directory });
  const parameters = { ...relayTo(relayPort), redis_url: redis.url };
  const queue = await openQueue({ config: makeConfig(parameters), redisUrl: redis.url });
  const body = `${'x'.repeat(70)}\r\n`.repeat(Math.ceil(load.contentBytes / 72));
  const content = Buffer.from(`Subject: bench\r\n\r\n${body}`).subarray(0, load.contentBytes);
  await Promise.all(
    Array.from({ length: load.messages }, (_, index) => {
      const now = Date.now();
      return queue.accept({
        envelope: {
          queueId: queue.newQueueId(),
          sender: 'sender@source.test',
          sizeBytes: content.length,
          arrivalMs: now,
          createdMs: now,
        },
        recipients: [
          {
            index: 0,
            address: `${index}rcpt@sink.test`,
            transport: 'smtp',
            nexthop: `[127.0.0.1]:${relayPort}`,
          },
        ],
        content: { kind: 'inline', bytes: content },
      });
    }),
  );
  await queue.close();
  return {
    redisPid: redis.pid,
    start: () => startFleet({ parameters }),
    [Symbol.asyncDispose]: async () => {
      await redis.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
