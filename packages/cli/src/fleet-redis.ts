/**
 * The Redis of a fleet: that of redis_url, or the one that `mailfleet up` runs in redis_directory. The latter listens on a Unix socket in
 * that folder, where other commands on the machine find it, and is started again on the same socket when it dies.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '@mailfleet/config';
import { checkRedis, type EmbeddedRedis, startEmbeddedRedis } from '@mailfleet/queue';
import { sentenceOf } from './options.ts';

const PAUSE_MS = 1_000;

export interface FleetRedis {
  readonly url: string;
  stop(): Promise<void>;
}

/** URL of the Redis to speak to; undefined when redis_url is empty and no `mailfleet up` runs with this configuration. */
export function redisUrlOf(config: Config): string | undefined {
  const url = config.get('redis_url');
  if (url !== '') return url;
  const socket = socketIn(config.get('redis_directory'));
  return existsSync(socket) ? `unix://${socket}` : undefined;
}

/** Throws a sentence when no Redis can be started, or when that of redis_url does not answer or can lose mail. */
export async function startFleetRedis(config: Config, log: (line: string) => void): Promise<FleetRedis> {
  const url = config.get('redis_url');
  if (url !== '') {
    const answer = await checkRedis({ redisUrl: url, dataLossOk: config.get('redis_data_loss_ok') });
    if (!answer.ok) throw new Error(answer.problem);
    return { url, stop: async () => undefined };
  }
  const directory = config.get('redis_directory');
  let redis: EmbeddedRedis = await startEmbeddedRedis({ directory, socket: true, log });
  let stopping = false;

  const keepRunning = async (): Promise<void> => {
    while (true) {
      await redis.exited;
      if (stopping) return;
      log(`warning: the embedded Redis in ${directory} ended; starting it again`);
      while (!stopping) {
        try {
          redis = await startEmbeddedRedis({ directory, socket: true, log });
          log('the embedded Redis is running again');
          break;
        } catch (error) {
          log(`warning: ${sentenceOf(error)}; trying again`);
          await pause(PAUSE_MS);
        }
      }
    }
  };
  const kept = keepRunning();
  return {
    url: redis.url,
    stop: async () => {
      stopping = true;
      await redis.stop();
      await kept;
    },
  };
}

const socketIn = (directory: string): string => join(resolve(directory), 'redis.sock');
