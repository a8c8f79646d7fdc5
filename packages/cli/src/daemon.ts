/**
 * What every daemon's process does around its work: read the configuration, open logs, traces and queue, run until
 * SIGTERM or SIGINT, drain within shutdown_grace_time, close in order. Under `mailfleet up` it tells the supervisor by
 * IPC when it is ready, or why it cannot start, and ends when the supervisor is gone.
 */
import type { Config } from '@mailfleet/config';
import { openQueue, type Queue } from '@mailfleet/queue';
import { createTelemetry, Progress, startTracing, type Telemetry } from '@mailfleet/telemetry';
import { serveHealth } from './health.ts';
import { listenProblem } from './listen-problem.ts';
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
  readonly progress: Progress;
}

/** A daemon that runs: `closed` settles when it has drained after the signal, or rejects when it broke. */
export interface RunningDaemon {
  readonly closed: Promise<void>;
  /** What it serves, for the supervisor's start-up lines. */
  readonly serves?: readonly string[];
}

/** What a child tells its supervisor, once: the supervisor tells the operator. */
export type ChildMessage =
  | { readonly kind: 'ready'; readonly serves: readonly string[] }
  | { readonly kind: 'cannot-start'; readonly problem: string };

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
  const drain = new AbortController();
  const stop = (): void => drain.abort();
  // `on`, not `once`: a second Ctrl-C must not cut off the transactions in flight.
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.once('disconnect', stop);

  const tracing = await startTracing(`mailfleet-${service}`);
  let telemetry: Telemetry | undefined;
  let queue: Queue | undefined;
  let daemon: RunningDaemon;
  try {
    telemetry = createTelemetry({ config, program });
    queue = await openQueue({ config, redisUrl, telemetry, tracing: tracing.enabled });
    const name = `${service}@${config.get('myhostname')}[${process.pid}]`;
    const progress = new Progress();
    daemon = await start({ config, queue, telemetry, name, signal: drain.signal, progress });
    // Under a supervisor all daemons have the same configuration, and could not listen at the same address.
    if (!process.connected) await serveHealth(config.get('health_listen'), progress, queue.ping);
  } catch (error) {
    const problem = listenProblem(error, config) ?? sentenceOf(error);
    await queue?.close();
    await Promise.all([telemetry?.shutdown(), tracing.shutdown()]);
    await announce(service, { kind: 'cannot-start', problem });
    process.exit(EX_UNAVAILABLE);
  }
  await announce(service, { kind: 'ready', serves: daemon.serves ?? [] });

  let exitCode = 0;
  try {
    await Promise.race([daemon.closed, graceExceeded(drain.signal, config.get('shutdown_grace_time'))]);
  } catch (error) {
    telemetry.log.fatal({ err: error }, sentenceOf(error));
    exitCode = EX_SOFTWARE;
  }
  await queue.close();
  await Promise.all([telemetry.shutdown(), tracing.shutdown()]);
  process.exit(exitCode);
}

/** To the supervisor, or to whoever reads the standard error of a daemon that runs alone. Resolves when it is said. */
async function announce(service: string, message: ChildMessage): Promise<void> {
  if (process.connected) {
    // A supervisor that is gone needs no answer.
    await new Promise<void>((resolve) => process.send?.(message, undefined, undefined, () => resolve()));
    return;
  }
  const said = message.kind === 'ready' ? ['ready', ...message.serves].join('; ') : message.problem;
  process.stderr.write(`mailfleet ${service}: ${said}\n`);
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
