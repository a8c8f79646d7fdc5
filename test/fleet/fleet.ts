/**
 * A whole fleet for tests, demo and benchmarks: `mailfleet up` from source as a child process, on free ports, with its
 * Redis, contents and mail log in a folder of its own that goes with it. What it prints is kept and shown when it fails.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, waitFor } from '@mailfleet/test-kit';

export const MAIN = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
/** Long: on a machine without redis-server the first start fetches or builds one. A fleet that gives up ends at once. */
const START_TIMEOUT_MS = 600_000;
/** Compiled code is kept between the processes of a test run: that is a third of their start-up. */
export const ENV = { NODE_COMPILE_CACHE: join(tmpdir(), 'mailfleet-test-compile-cache'), ...process.env };

export interface FleetOptions {
  readonly parameters?: Readonly<Record<string, string>>;
  /** Text of its master.cf. */
  readonly master?: string;
  readonly workers?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Sees what the fleet prints, as it comes. */
  readonly onOutput?: (text: string) => void;
}

export interface Fleet {
  /** Folder of its main.cf, and of all its data unless a parameter says otherwise. */
  readonly directory: string;
  readonly smtpPort: number;
  readonly httpUrl: string;
  readonly dashboardUrl: string;
  /** Milliseconds from spawn to ready. */
  readonly startMs: number;
  readonly pid: number;
  /** Process id of a service, e.g. `smtp-worker-1`. */
  pidOf(service: string): number;
  maillog(): Promise<string>;
  /** All that the fleet printed so far. */
  output(): string;
  /** Runs another mailfleet command against this fleet. */
  command(args: readonly string[], input?: string | Buffer): Promise<CommandResult>;
  /** SIGTERM, and the exit code. The folder stays. */
  stop(): Promise<number | null>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a mailfleet command from source to its end. */
export async function mailfleet(
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly input?: string | Buffer } = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, ['--conditions=source', MAIN, ...args], {
    env: { ...ENV, ...options.env },
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin.end(options.input ?? '');
  const code = await exitOf(child);
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}

export async function startFleet(options: FleetOptions = {}): Promise<Fleet> {
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-'));
  const [smtpPort, httpPort, dashboardPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const parameters: Record<string, string> = {
    redis_directory: join(directory, 'redis'),
    content_directory: join(directory, 'content'),
    maillog_file: join(directory, 'maillog'),
    myhostname: 'fleet.test',
    intake_smtp_listen: `127.0.0.1:${smtpPort}`,
    intake_http_listen: `127.0.0.1:${httpPort}`,
    dashboard_listen: `127.0.0.1:${dashboardPort}`,
    smtp_worker_processes: String(options.workers ?? 1),
    ...options.parameters,
  };
  const lines = Object.entries(parameters).map(([name, value]) => `${name} = ${value}\n`);
  await writeFile(join(directory, 'main.cf'), lines.join(''));
  if (options.master !== undefined) await writeFile(join(directory, 'master.cf'), options.master);
  const common = ['-c', directory];
  const bornMs = performance.now();
  const child = spawn(process.execPath, ['--conditions=source', MAIN, 'up', ...common], {
    env: { ...ENV, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output += chunk.toString();
    options.onOutput?.(chunk.toString());
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const exited = exitOf(child);

  const ready = await waitFor(
    () => (output.includes('mailfleet up: ready') ? 'ready' : child.exitCode !== null ? 'ended' : false),
    START_TIMEOUT_MS,
    'the fleet to be ready',
  ).catch((error: unknown) => String(error));
  const startMs = performance.now() - bornMs;
  if (ready !== 'ready') {
    child.kill('SIGKILL');
    throw new Error(`the fleet did not start (${ready}); it printed:\n${output}`);
  }

  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    return exited;
  };
  return {
    directory,
    smtpPort,
    httpUrl: `http://127.0.0.1:${httpPort}`,
    dashboardUrl: `http://127.0.0.1:${dashboardPort}`,
    startMs,
    pid: child.pid ?? 0,
    pidOf: (service) => {
      const pids = [...output.matchAll(new RegExp(`mailfleet up: started ${service}\\[(\\d+)\\]`, 'g'))];
      const pid = pids.at(-1)?.[1];
      if (pid === undefined)
        throw new Error(`no service ${service} was started; the fleet printed:\n${output}`);
      return Number(pid);
    },
    maillog: () => readFile(join(directory, 'maillog'), 'utf8'),
    output: () => output,
    command: ([name = '', ...args], input) =>
      mailfleet([name, ...common, ...args], input === undefined ? {} : { input }),
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}
