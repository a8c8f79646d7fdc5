/**
 * What every daemon's process does around its work: read the configuration, open logs, traces and queue, run until
 * SIGTERM or SIGINT, drain within shutdown_grace_time, close in order. Under `mailfleet up` it tells the supervisor by
 * IPC when it is ready, or why it cannot start, and ends when the supervisor is gone.
 */
import type { Config } from '@mailfleet/config';
import { openQueue, type Queue } from '@mailfleet/queue';
import { createTelemetry, Progress, startTracing, type Telemetry, Watchdog } from '@mailfleet/telemetry';
import { type Follow, followWithLog } from './follow.ts';
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
  sourcesOrExit,
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
  readonly watchdog: Watchdog;
  /** Calls back with each new configuration. */
  readonly follow: Follow;
}

/** A daemon that runs: `closed` settles when it has drained after the signal, or rejects when it broke. */
export interface RunningDaemon {
  readonly closed: Promise<void>;
  /** What it serves, for the supervisor's start-up lines. */
  readonly serves?: readonly string[];
}

/** What a child tells its supervisor: how its start went, once, which the supervisor tells the operator; and that it is alive. */
export type ChildMessage =
  /** The answer to a ping: its event loop runs. */
  { readonly kind: 'pong' } | Announcement;

type Announcement =
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
  process.on('message', () => process.send?.({ kind: 'pong' } satisfies ChildMessage));

  const tracing = await startTracing(`mailfleet-${service}`);
  let telemetry: Telemetry | undefined;
  let queue: Queue | undefined;
  let daemon: RunningDaemon;
  // For the queue manager Postfix has one of its own.
  const limit = service === 'scheduler' ? 'qmgr_daemon_timeout' : 'daemon_timeout';
  const watchdog = new Watchdog(config.get(limit));
  try {
    telemetry = createTelemetry({ config, program });
    queue = await openQueue({ config, redisUrl, telemetry, tracing: tracing.enabled });
    const name = `${service}@${config.get('myhostname')}[${process.pid}]`;
    const progress = new Progress();
    const follow = followWithLog(sourcesOrExit(options), config, telemetry.log);
    daemon = await start({
      config,
      queue,
      telemetry,
      name,
      signal: drain.signal,
      progress,
      watchdog,
      follow,
    });
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
  const { log } = telemetry;
  const end = (sentence: string): void => {
    log.fatal(`${sentence}; this process ends, and leases return what it holds`);
    exitCode = EX_SOFTWARE;
    drain.abort();
    // What is stuck may keep us from closing in order, too.
    setTimeout(() => process.exit(EX_SOFTWARE), config.get('shutdown_grace_time') + CLOSING_MS).unref();
  };
  watchdog.onStuck((what) => end(`watchdog timeout (${limit}, ${config.get(limit) / 1000}s): ${what}`));
  const ipcTimeoutMs = config.get('ipc_timeout');
  onSilence(queue.ping, ipcTimeoutMs, () =>
    end(`no answer from Redis for ipc_timeout (${ipcTimeoutMs / 1000}s)`),
  );
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

/** Given to the connections after the grace. */
const CLOSING_MS = 1_000;
const LONGEST_TIMER_MS = 0x7fff_ffff;

/** To the supervisor, or to whoever reads the standard error of a daemon that runs alone. Resolves when it is said. */
async function announce(service: string, message: Announcement): Promise<void> {
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

/** Calls back when a question finds no answer in that time; asks again a while after each answer. */
function onSilence(ask: () => Promise<unknown>, limitMs: number, tell: () => void): void {
  const question = (): void => {
    const silence = setTimeout(tell, Math.min(limitMs, LONGEST_TIMER_MS)).unref();
    ask().then(
      () => {
        clearTimeout(silence);
        setTimeout(question, Math.min(limitMs / 10, LONGEST_TIMER_MS)).unref();
      },
      // A connection that was closed for good: the daemon ends by itself.
      () => clearTimeout(silence),
    );
  };
  question();
}
