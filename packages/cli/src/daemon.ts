/**
 * What every daemon's process does around its work: read the configuration, open logs, traces and queue, run until
 * SIGTERM or SIGINT, drain within shutdown_grace_time, close in order. Under `mailfleet up` it tells the supervisor by
 * IPC when it is ready, and ends when the supervisor is gone.
 */
import type { Config } from '@mailfleet/config';
import { openQueue, type Queue } from '@mailfleet/queue';
import { createTelemetry, startTracing, type Telemetry } from '@mailfleet/telemetry';
import {
  type CommonOptions,
  configOrExit,
  EX_CONFIG,
  EX_SOFTWARE,
  EX_UNAVAILABLE,
  fail,
  sentenceOf,
} from './options.ts';

export interface DaemonContext {
  readonly config: Config;
  readonly queue: Queue;
  readonly telemetry: Telemetry;
  /** Unique per process; shown on pages and in leases. */
  readonly name: string;
  /** Aborts when the daemon must drain. */
  readonly signal: AbortSignal;
}

/** A daemon that runs: `closed` settles when it has drained after the signal, or rejects when it broke. */
export interface RunningDaemon {
  readonly closed: Promise<void>;
  /** What it serves, for the supervisor's start-up lines. */
  readonly serves?: readonly string[];
}

/** What a child tells its supervisor. */
export interface ReadyMessage {
  readonly ready: true;
  readonly serves: readonly string[];
}

export type LogProgram = Parameters<typeof createTelemetry>[0]['program'];

export async function runDaemon(
  service: string,
  program: LogProgram,
  options: CommonOptions,
  start: (context: DaemonContext) => Promise<RunningDaemon>,
): Promise<void> {
  const config = configOrExit(options);
  const redisUrl = config.get('redis_url');
  if (redisUrl === '') {
    fail(
      EX_CONFIG,
      `${service} needs redis_url, for example -o redis_url=redis://127.0.0.1:6379; only mailfleet up starts a Redis of its own`,
    );
  }
  const tracing = await startTracing(`mailfleet-${service}`);
  const telemetry = createTelemetry({ config, program });
  const drain = new AbortController();
  const stop = (): void => drain.abort();
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.once('disconnect', stop);

  let queue: Queue;
  try {
    queue = await openQueue({ config, redisUrl, telemetry, tracing: tracing.enabled });
  } catch (error) {
    fail(EX_UNAVAILABLE, sentenceOf(error));
  }
  let exitCode = 0;
  try {
    const name = `${service}@${config.get('myhostname')}[${process.pid}]`;
    const daemon = await start({ config, queue, telemetry, name, signal: drain.signal });
    announce(service, { ready: true, serves: daemon.serves ?? [] });
    await Promise.race([daemon.closed, graceExceeded(drain.signal, config.get('shutdown_grace_time'))]);
  } catch (error) {
    telemetry.log.fatal({ err: error }, sentenceOf(error));
    process.stderr.write(`mailfleet ${service}: ${sentenceOf(error)}\n`);
    exitCode = EX_SOFTWARE;
  }
  await queue.close();
  await Promise.all([telemetry.shutdown(), tracing.shutdown()]);
  process.exit(exitCode);
}

/** To the supervisor, or to whoever reads the standard error of a daemon that runs alone. */
function announce(service: string, message: ReadyMessage): void {
  if (process.send === undefined)
    process.stderr.write(`mailfleet ${service}: ${['ready', ...message.serves].join('; ')}\n`);
  else process.send(message);
}

/** Rejects when draining takes longer than the grace; what was not finished returns to the queue by its lease. */
async function graceExceeded(signal: AbortSignal, graceMs: number): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      setTimeout(
        () =>
          reject(
            new Error(
              `did not drain within shutdown_grace_time (${graceMs / 1000}s); leases return the rest`,
            ),
          ),
        graceMs,
      ).unref();
    });
  });
}
