/**
 * Keeps child processes running, like master(8): starts them, restarts one that crashed with a growing pause, and stops
 * them all with SIGTERM. A child that ends before it was ever ready has a problem that a restart cannot mend: `started`
 * rejects with a sentence, and the caller gives up.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { ReadyMessage } from './daemon.ts';

export interface Service {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

export interface SupervisorOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Longest pause before a crashed child is started again (service_throttle_time). */
  readonly throttleMs: number;
  /** After SIGTERM a child gets this long, then SIGKILL. */
  readonly graceMs: number;
  readonly log: (line: string) => void;
}

const FIRST_PAUSE_MS = 100;
/** A child that ran this long is healthy: its next crash starts again from the shortest pause. */
const HEALTHY_MS = 10_000;

export interface Supervisor {
  /** Resolves with what each service serves once all are ready. */
  readonly started: Promise<readonly (ReadyMessage & { service: string })[]>;
  stop(): Promise<void>;
}

export function supervise(services: readonly Service[], options: SupervisorOptions): Supervisor {
  const children = new Map<string, ChildProcess>();
  const pauses = new Map<string, number>();
  const timers = new Set<NodeJS.Timeout>();
  let stopping = false;

  const start = (
    service: Service,
    onReady: (message: ReadyMessage) => void,
    onDead: (why: string) => void,
  ): void => {
    const bornMs = Date.now();
    let ready = false;
    const child = spawn(service.command, service.args, {
      env: options.env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    children.set(service.name, child);
    options.log(`started ${service.name}[${child.pid}]`);
    child.on('message', (message: ReadyMessage) => {
      ready = true;
      onReady(message);
    });
    child.on('error', (error) => onDead(`${service.name} could not be started: ${error.message}`));
    child.on('exit', (code, signal) => {
      children.delete(service.name);
      if (stopping) return;
      const why = `${service.name}[${child.pid}] ended with ${signal === null ? `status ${code}` : `signal ${signal}`}`;
      if (!ready) onDead(why);
      const healthy = Date.now() - bornMs >= HEALTHY_MS;
      const pauseMs = healthy ? FIRST_PAUSE_MS : (pauses.get(service.name) ?? FIRST_PAUSE_MS);
      pauses.set(service.name, Math.min(pauseMs * 2, options.throttleMs));
      options.log(`warning: ${why}; starting it again in ${pauseMs} ms`);
      const timer = setTimeout(() => {
        timers.delete(timer);
        if (!stopping)
          start(
            service,
            () => options.log(`${service.name} is running again`),
            () => undefined,
          );
      }, pauseMs);
      timers.add(timer);
    });
  };

  const started = Promise.all(
    services.map(
      (service) =>
        new Promise<ReadyMessage & { service: string }>((resolve, reject) => {
          start(
            service,
            (message) => resolve({ ...message, service: service.name }),
            (why) => reject(new Error(`cannot start: ${why} before it was ready; its reason stands above`)),
          );
        }),
    ),
  );

  const stop = async (): Promise<void> => {
    stopping = true;
    for (const timer of timers) clearTimeout(timer);
    await Promise.all([...children.values()].map((child) => endChild(child, options.graceMs)));
  };

  return { started, stop };
}

async function endChild(child: ChildProcess, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await exited;
  clearTimeout(timer);
}
