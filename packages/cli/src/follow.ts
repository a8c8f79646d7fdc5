/** A daemon's configuration while it runs: what is told of a change, and what of it has to wait for a restart. */
import { type Config, followConfig, type LoadOptions } from '@mailfleet/config';
import type { Telemetry } from '@mailfleet/telemetry';
import { sentenceOf } from './options.ts';

/** What a worker reads once, when it starts: connections, logs, and what it is to the fleet. */
const AT_START: readonly string[] = [
  'redis_url',
  'scheduler_shards',
  'smtp_worker_sessions',
  'connection_cache_share',
  'connection_cache_endpoint_limit',
  'connection_cache_status_update_time',
  'tls_session_cache_key_file',
  'content_directory',
  'batch_lease_time',
  'health_listen',
  'maillog_file',
  'syslog_name',
  'syslog_facility',
  'daemon_timeout',
  'ipc_timeout',
  'shutdown_grace_time',
];

export type Follow = (take: (config: Config) => void) => () => void;

/** Tells the log of each change and of each mistake; whoever follows gets what is right. */
export function followWithLog(sources: LoadOptions, config: Config, log: Telemetry['log']): Follow {
  // Without a file there is nothing that could change.
  if (sources.file === undefined) return () => () => undefined;
  return (take) =>
    followConfig({
      sources,
      config,
      changed: (next, names, warnings) => {
        for (const { where, message } of warnings) log.warn(`${where}: ${message}`);
        try {
          take(next);
        } catch (error) {
          log.error(`the new configuration cannot be used: ${sentenceOf(error)}; the former one stays`);
          return;
        }
        const what = names.length === 0 ? 'its services' : names.join(', ');
        log.info(`the configuration changed (${what}); deliveries that begin from now on use it`);
        const waiting = names.filter((name) => AT_START.includes(name));
        if (waiting.length > 0)
          log.warn(`${waiting.join(', ')}: has no effect until this process is restarted`);
      },
      refused: (problems) => {
        for (const { where, message } of problems) log.error(`${where}: ${message}`);
        log.error('the new configuration is not used, because of these problems; the former one stays');
      },
    });
}
