/**
 * A Redis of our own, for one machine: a child process whose every write is on disk before it answers, which never evicts, and whose
 * data outlives it in a folder of the caller's. It ends when it is told to or when its parent is gone, whatever way that went: a
 * small watcher holds a pipe from the parent and ends Redis when the pipe closes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { access, constants, mkdir, rm } from 'node:fs/promises';
import { connect, createServer, Socket } from 'node:net';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { findServer } from './find-server.ts';
import type { ServerProgram } from './server-program.ts';

export interface EmbeddedRedis {
  readonly url: string;
  readonly pid: number;
  /** Resolves when the process is gone, whoever ended it. */
  readonly exited: Promise<void>;
  /** Ends it in order: what it answered is on disk. */
  stop(): Promise<void>;
}

export interface EmbeddedRedisOptions {
  /** Where its data is; made when missing. Only one server may use it at a time. */
  readonly directory: string;
  /** Listen on a Unix socket in the directory instead of a port of 127.0.0.1. */
  readonly socket?: boolean;
  /** Told when a server program must be fetched first. */
  readonly log?: (line: string) => void;
}

const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 3_000;
/** How long a server whose parent has just died may take to end. */
const PREDECESSOR_LIMIT_MS = 5_000;
/** A path of a Unix socket may have this many bytes on every system. */
const SOCKET_PATH_LIMIT = 103;

/** Throws a sentence when there is no server program or it does not start. */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const program = await findServer(options.log === undefined ? {} : { log: options.log });
  const directory = resolve(options.directory);
  await makeDirectory(directory);
  const socket = `${directory}/redis.sock`;
  if (options.socket === true) {
    if (Buffer.byteLength(socket) > SOCKET_PATH_LIMIT) {
      throw new Error(`the path ${socket} is too long for a Unix socket; choose a shorter directory`);
    }
    await removeLeftSocket(socket);
    return launch(
      program,
      directory,
      ['--port', '0', '--unixsocket', socket, '--unixsocketperm', '600'],
      `unix://${socket}`,
    );
  }
  const port = await freePort();
  return launch(
    program,
    directory,
    ['--port', String(port), '--bind', '127.0.0.1'],
    `redis://127.0.0.1:${port}`,
  );
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await access(directory, constants.W_OK);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new Error(
      `the folder ${directory} for the data of Redis cannot be written (${code}); make it writable for this user, or set redis_directory to another`,
      { cause },
    );
  }
}

/**
 * Two servers on one folder would destroy each other's data, so one that still answers is waited for: it may be ending because
 * its parent did.
 */
async function removeLeftSocket(socket: string): Promise<void> {
  const deadline = Date.now() + PREDECESSOR_LIMIT_MS;
  while (await answers(socket)) {
    if (Date.now() > deadline) {
      throw new Error(
        `another Redis runs at ${socket}; one mailfleet up at a time may use a redis_directory: end the other, or set redis_directory`,
      );
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  await rm(socket, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}

async function launch(
  program: ServerProgram,
  directory: string,
  listen: readonly string[],
  url: string,
): Promise<EmbeddedRedis> {
  const child = spawn(
    program.path,
    [
      ...listen,
      ...['--dir', directory],
      ...['--appendonly', 'yes'],
      ...['--appendfsync', 'always'],
      ...['--maxmemory-policy', 'noeviction'],
      // The append-only file is the data; snapshots beside it would be written for nobody.
      ...['--save', ''],
      ...['--daemonize', 'no'],
    ],
    // Own process group: Ctrl-C at the terminal must not end Redis before the daemons have drained.
    { env: { ...process.env, ...program.env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  const exited = new Promise<void>((done) => {
    child.once('exit', () => done());
    child.once('error', () => done());
  });
  const { pid } = await ready(child, program.path);
  const watcher = watchParent(pid);
  void exited.then(() => watcher.kill('SIGKILL'));
  letGo(child);
  return {
    url,
    pid,
    exited,
    async stop() {
      child.ref();
      child.kill('SIGTERM');
      // It may refuse to end while it rewrites its file. Killing it loses nothing: what it answered is on disk.
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Resolves at Redis' own word that it accepts connections, data loaded. */
function ready(child: ChildProcess, path: string): Promise<{ pid: number }> {
  return new Promise((done, fail) => {
    const tail: string[] = [];
    const refuse = (what: string): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      const said = tail.slice(-5).join(' / ');
      fail(new Error(`${path} ${what}${said === '' ? '' : `; it said: ${said}`}`));
    };
    const timer = setTimeout(() => refuse(`is not ready after ${START_LIMIT_MS / 1000} s`), START_LIMIT_MS);
    const onExit = (): void => refuse('ended instead of starting');
    child.once('error', (error) => refuse(`cannot be run: ${error.message}`));
    child.once('exit', onExit);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      const lines = createInterface(stream);
      lines.on('line', (line) => {
        tail.push(line);
        if (!/ready to accept connections/i.test(line) || child.pid === undefined) return;
        clearTimeout(timer);
        child.off('exit', onExit);
        done({ pid: child.pid });
      });
    }
  });
}

/** Ends `pid` when this process is gone: then the pipe that `read` waits for closes. */
function watchParent(pid: number): ChildProcess {
  const watcher = spawn('/bin/sh', ['-c', 'read _; kill -TERM "$0" 2>/dev/null', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watcher.on('error', () => undefined);
  letGo(watcher);
  return watcher;
}

/** The child must not keep this process alive; what it says is read and dropped so that it never blocks on a full pipe. */
function letGo(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) {
    if (stream instanceof Socket) stream.unref();
  }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') done(address.port);
        else fail(new Error('no free port on 127.0.0.1'));
      });
    });
  });
}
