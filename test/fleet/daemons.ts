/**
 * Daemons of a fleet as separate processes on one Redis, for tests that kill, stop and start them one by one. Where that
 * Redis is, is the caller's: one server, or a cluster. What they print and log is kept, and their folder goes with them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '@mailfleet/test-kit';
import { type CommandResult, ENV, MAIN, mailfleet } from './fleet.ts';

const START_TIMEOUT_MS = 60_000;

export interface Daemon {
  readonly service: string;
  readonly pid: number;
  /** Standard output and error so far: the log among them. */
  output(): string;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>;
}

export interface Daemons extends AsyncDisposable {
  /** Folder of their main.cf. */
  readonly directory: string;
  /** Resolves when it says that it is ready. */
  start(
    service: string,
    options?: {
      readonly parameters?: Readonly<Record<string, string>>;
      /** Options of Node itself. */
      readonly node?: readonly string[];
    },
  ): Promise<Daemon>;
  command(args: readonly string[]): Promise<CommandResult>;
}

export async function makeDaemons(
  redisUrl: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<Daemons> {
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-daemons-'));
  const all: Record<string, string> = {
    redis_url: redisUrl,
    content_directory: join(directory, 'content'),
    maillog_file: '/dev/stdout',
    myhostname: 'fleet.test',
    ...parameters,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}\n`);
  await writeFile(join(directory, 'main.cf'), lines.join(''));
  const running = new Set<ChildProcess>();
  return {
    directory,
    async start(service, options = {}) {
      const overrides = Object.entries(options.parameters ?? {}).flatMap(([name, value]) => [
        '-o',
        `${name}=${value}`,
      ]);
      const child = spawn(
        process.execPath,
        [...(options.node ?? []), '--conditions=source', MAIN, service, '-c', directory, ...overrides],
        { env: ENV, stdio: ['ignore', 'pipe', 'pipe'] },
      );
      running.add(child);
      let output = '';
      const keep = (chunk: Buffer): void => {
        output += chunk.toString();
      };
      child.stdout.on('data', keep);
      child.stderr.on('data', keep);
      const exited = new Promise<void>((resolve) => {
        child.once('exit', () => {
          running.delete(child);
          resolve();
        });
      });
      await waitFor(
        () => output.includes(`mailfleet ${service}: ready`) || child.exitCode !== null,
        START_TIMEOUT_MS,
        `${service} to be ready`,
      );
      if (child.exitCode !== null) throw new Error(`${service} did not start; it printed:\n${output}`);
      return {
        service,
        pid: child.pid ?? 0,
        output: () => output,
        signal: (signal) => {
          child.kill(signal);
        },
        exited,
      };
    },
    command: (args) => mailfleet([...args, '-c', directory]),
    async [Symbol.asyncDispose]() {
      const ending = [...running];
      const gone = ending.map((child) => new Promise((resolve) => child.once('exit', resolve)));
      // One that a test stopped takes no other signal.
      for (const child of ending) child.kill('SIGKILL');
      await Promise.all(gone);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
