/** Opens the queue for a command that is no daemon, and closes it afterwards. */
import type { Config } from '@mailfleet/config';
import { openQueue, type Queue } from '@mailfleet/queue';
import { createTelemetry, type Telemetry } from '@mailfleet/telemetry';
import { redisUrlOf } from './fleet-redis.ts';
import { type CommonOptions, configOrExit, EX_CONFIG, EX_UNAVAILABLE, fail, sentenceOf } from './options.ts';

/** @param program name in the mail log of what the command does to messages; absent: it only looks */
export async function withQueue(
  options: CommonOptions,
  use: (queue: Queue, config: Config) => Promise<void>,
  program?: string,
): Promise<void> {
  const config = configOrExit(options);
  const redisUrl = redisUrlOf(config);
  if (redisUrl === undefined) {
    fail(
      EX_CONFIG,
      'redis_url is empty and no mailfleet up runs with this configuration; name the Redis of the fleet, for example -o redis_url=redis://127.0.0.1:6379',
    );
  }
  const telemetry = program === undefined ? undefined : mailLog(config, program);
  let queue: Queue;
  try {
    queue = await openQueue({
      config,
      redisUrl,
      ...(telemetry === undefined ? {} : { telemetry: { emit: telemetry.emit } }),
    });
  } catch (error) {
    fail(EX_UNAVAILABLE, sentenceOf(error));
  }
  try {
    await use(queue, config);
  } finally {
    await queue.close();
    await telemetry?.shutdown();
  }
}

/** The mail log, when it is a file: on the standard output it would stand among the command's own words. */
function mailLog(config: Config, program: string): Telemetry | undefined {
  const file = config.get('maillog_file');
  if (file === '' || file.startsWith('/dev/stdout')) return undefined;
  const format = config.get('log_format') === 'json' ? 'json' : 'postfix';
  try {
    return createTelemetry({ config: config.with({ log_format: format }), program });
  } catch (error) {
    process.stderr.write(`mailfleet: warning: not logged: ${sentenceOf(error)}\n`);
    return undefined;
  }
}
