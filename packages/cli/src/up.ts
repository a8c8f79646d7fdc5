/**
 * `mailfleet up`: the whole fleet on one machine, supervised, with an embedded Redis when redis_url is empty. Ready when
 * every daemon is; SIGTERM or SIGINT drains the daemons first and stops Redis last, so that outcomes still find it.
 */
import type { Config } from '@mailfleet/config';
import { Command } from 'commander';
import { startFleetRedis } from './fleet-redis.ts';
import {
  type CommonOptions,
  commonArguments,
  configOrExit,
  EX_UNAVAILABLE,
  fail,
  sentenceOf,
  withCommonOptions,
} from './options.ts';
import { type Service, supervise } from './supervisor.ts';

export function upCommand(): Command {
  return withCommonOptions(new Command('up'))
    .description('run the whole fleet on this machine, with a Redis of its own when redis_url is empty')
    .action(up);
}

async function up(options: CommonOptions): Promise<void> {
  const config = configOrExit(options);
  const log = (line: string): void => {
    process.stderr.write(`mailfleet up: ${line}\n`);
  };
  const redis = await startFleetRedis(config, log).catch((error: unknown) =>
    fail(EX_UNAVAILABLE, sentenceOf(error)),
  );
  const supervisor = supervise(services(config, options), {
    env: { ...process.env, MAILFLEET_redis_url: redis.url },
    throttleMs: config.get('service_throttle_time'),
    watchdogMs: config.get('daemon_timeout'),
    graceMs: config.get('shutdown_grace_time') + 1_000,
    log,
  });

  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= supervisor.stop().then(redis.stop);
    return stopping;
  };
  const onSignal = (): void => {
    if (stopping !== undefined) return;
    log('draining');
    stop().then(
      () => process.exit(0),
      (error: unknown) => fail(EX_UNAVAILABLE, sentenceOf(error)),
    );
  };
  // `on`, not `once`: Ctrl-C may reach us twice, from the terminal and from the program that started us.
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);

  try {
    for (const { service, serves } of await supervisor.started) {
      for (const line of serves) log(`${service} ${line}`);
    }
    log('ready');
  } catch (error) {
    if (stopping !== undefined) return;
    await stop();
    fail(EX_UNAVAILABLE, sentenceOf(error));
  }
}

/** Each daemon as a child that runs this same program with the same options. */
function services(config: Config, options: CommonOptions): Service[] {
  const script = process.argv[1] ?? '';
  const service = (name: string, command: string): Service => ({
    name,
    command: process.execPath,
    args: [...process.execArgv, script, command, ...commonArguments(options)],
  });
  const workers = Array.from({ length: config.get('smtp_worker_processes') }, (_, index) =>
    service(`smtp-worker-${index + 1}`, 'smtp-worker'),
  );
  return [
    service('intake', 'intake'),
    service('scheduler', 'scheduler'),
    ...workers,
    service('bounce', 'bounce'),
    service('dashboard', 'dashboard'),
  ];
}
