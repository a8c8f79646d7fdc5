/** What the foreign servers of the tests share: a folder, a user to run as, a start that is awaited and an end by pid. */
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '@mailfleet/test-kit';

/** The mail user of Debian's postfix package: there wherever the peers of these tests are installed. */
export const MAIL_USER = 'postfix';

/** A folder that the mail user may look into. */
export async function peerDirectory(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `mailfleet-${name}-`));
  await chmod(directory, 0o755);
  return directory;
}

/** Runs a server in the foreground until disposed; resolves once `port` answers. */
export async function startServer(
  command: string,
  args: readonly string[],
  port: number,
  directory: string,
  stopSignal: NodeJS.Signals = 'SIGTERM',
): Promise<AsyncDisposable> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const keep = (chunk: Buffer): void => {
    said += chunk.toString();
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const up = await waitFor(
    async () => child.exitCode !== null || (await listens(port)),
    10_000,
    `${command} to listen`,
  );
  if (!up || child.exitCode !== null) throw new Error(`${command} did not start: ${said}`);
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill(stopSignal);
      await exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Whether somebody accepts connections on this loopback port. */
export function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** All messages below a folder of Maildirs. */
export async function maildirMessages(directory: string): Promise<Buffer[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.parentPath.endsWith('/new'));
  return Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name))));
}
