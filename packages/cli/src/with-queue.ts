/** Opens the queue for a command that is no daemon, and closes it afterwards. */
import { openQueue, type Queue } from '@mailfleet/queue';
import { sentenceOf } from './daemon.ts';
import { type CommonOptions, configOrExit, EX_CONFIG, EX_UNAVAILABLE, fail } from './options.ts';

export async function withQueue(options: CommonOptions, use: (queue: Queue) => Promise<void>): Promise<void> {
  const config = configOrExit(options);
  const redisUrl = config.get('redis_url');
  if (redisUrl === '') {
    fail(
      EX_CONFIG,
      'redis_url is empty; name the Redis of the fleet, for example -o redis_url=redis://127.0.0.1:6379',
    );
  }
  let queue: Queue;
  try {
    queue = await openQueue({ config, redisUrl });
  } catch (error) {
    fail(EX_UNAVAILABLE, sentenceOf(error));
  }
  try {
    await use(queue);
  } finally {
    await queue.close();
  }
}
