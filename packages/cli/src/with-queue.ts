/** Opens the queue for a command that is no daemon, and closes it afterwards. */
import type { Config } from '@mailfleet/config';
import { openQueue, type Queue } from '@mailfleet/queue';
import { redisUrlOf } from './fleet-redis.ts';
import { type CommonOptions, configOrExit, EX_CONFIG, EX_UNAVAILABLE, fail, sentenceOf } from './options.ts';

export async function withQueue(
  options: CommonOptions,
  use: (queue: Queue, config: Config) => Promise<void>,
): Promise<void> {
  const config = configOrExit(options);
  const redisUrl = redisUrlOf(config);
  if (redisUrl === undefined) {
    fail(
      EX_CONFIG,
      'redis_url is empty and no mailfleet up runs with this configuration; name the Redis of the fleet, for example -o redis_url=redis://127.0.0.1:6379',
    );
  }
  let queue: Queue;
  try {
    queue = await openQueue({ config, redisUrl });
  } catch (error) {
    fail(EX_UNAVAILABLE, sentenceOf(error));
  }
  try {
    await use(queue, config);
  } finally {
    await queue.close();
  }
}
