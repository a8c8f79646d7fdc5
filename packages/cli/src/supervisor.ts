/**
 * Keeps child processes running, like master(8): starts them, restarts one that crashed with a growing pause, and stops
 * them all with SIGTERM. A first start that fails has a reason which a restart does not mend: `started` rejects with one
 * sentence, and the caller stops the others.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { ChildMessage } from './daemon.ts';

export interface Service {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

export interface SupervisorOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Longest pause before a crashed child is started again (service_throttle_time). */
  readonly throttleMs: number;
  /** A child that does not answer a ping for this long is stuck and gets SIGKILL (daemon_timeout). */
  readonly watchdogMs: number;
  /** After SIGTERM a child gets this long, then SIGKILL. */
  readonly graceMs: number;
  readonly log: (line: string) => void;
}

const FIRST_PAUSE_MS = 100;
/** A child that ran this long is healthy: its next crash starts again from the shortest pause. */
const HEALTHY_MS = 10_000;
/** Longest pause between two pings. */
const LONGEST_PING_MS = 60_000;

export interface Supervisor {
  /** Resolves with what each service serves once all are ready; rejects with the reason of the first that cannot start. */
  readonly started: Promise<readonly { readonly service: string; readonly serves: readonly string[] }[]>;
  stop(): Promise<void>;
}

export function supervise(services: readonly Service[], options: SupervisorOptions): Supervisor {
  const children = new Map<string, ChildProcess>();
  const pauses = new Map<string, number>();
  const timers = new Set<NodeJS.Timeout>();
  let stopping = false;

  /** `onDead` gets the reason when the child ends before it is ready. */
  const start = (
    service: Service,
    onReady: (serves: readonly string[]) => void,
    onDead: (why: string) => void,
  ): void => {
    const bornMs = Date.now();
    let ready = false;
    let problem: string | undefined;
    const child = spawn(service.command, service.args, {
      env: options.env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    children.set(service.name, child);
    options.log(`started ${service.name}[${child.pid}]`);
    let dog: ReturnType<typeof watch> | undefined;
    const startWatch = () =>
      watch(child, options.watchdogMs, () =>
        options.log(`warning: ${service.name}[${child.pid}] did not answer for daemon_timeout; ending it`),
      );
    child.on('message', (message: ChildMessage) => {
      switch (message.kind) {
        case 'pong':
          dog?.pat();
          return;
        case 'ready':
          ready = true;
          dog = startWatch();
          onReady(message.serves);
          return;
        case 'cannot-start':
          problem = message.problem;
      }
    });
    const ended = (how: string): void => {
      dog?.stop();
      if (!children.delete(service.name) || stopping) return;
      if (!ready) {
        onDead(problem ?? how);
        return;
      }
      if (Date.now() - bornMs >= HEALTHY_MS) pauses.delete(service.name);
      startAgain(service, `${service.name}[${child.pid}] ${how}`);
    };
    child.on('error', (error) => ended(error.message));
    child.on('exit', (code, signal) =>
      ended(signal === null ? `ended with status ${code}` : `was ended by ${signal}`),
    );
  };

  const startAgain = (service: Service, why: string): void => {
    const pauseMs = pauses.get(service.name) ?? FIRST_PAUSE_MS;
    pauses.set(service.name, Math.min(pauseMs * 2, options.throttleMs));
    options.log(`warning: ${why}; starting it again in ${pauseMs / 1000} s`);
    const timer = setTimeout(() => {
      timers.delete(timer);
      start(
        service,
        () => options.log(`${service.name} is running again`),
        (problem) => startAgain(service, `${service.name} could not start: ${problem}`),
      );
    }, pauseMs);
    timers.add(timer);
  };

  const started = Promise.all(
    services.map(
      (service) =>
        new Promise<{ service: string; serves: readonly string[] }>((resolve, reject) => {
          start(
            service,
            (serves) => resolve({ service: service.name, serves }),
            (why) => reject(new Error(`${service.name} cannot start: ${why}`)),
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

/** Pings a child, and kills it when it does not answer: its event loop stands still. */
function watch(child: ChildProcess, limitMs: number, tell: () => void): { pat(): void; stop(): void } {
  let lastMs = performance.now();
  const timer = setInterval(
    () => {
      if (performance.now() - lastMs > limitMs) {
        clearInterval(timer);
        tell();
        child.kill('SIGKILL');
      } else if (child.connected) {
        // One that is about to end may not take it.
        child.send({ kind: 'ping' }, () => undefined);
      }
    },
    Math.min(limitMs / 4, LONGEST_PING_MS),
  );
  return {
    pat: () => {
      lastMs = performance.now();
    },
    stop: () => clearInterval(timer),
  };
}

async function endChild(child: ChildProcess, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await exited;
  clearTimeout(timer);
}
