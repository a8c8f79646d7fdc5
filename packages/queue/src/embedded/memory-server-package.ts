/**
 * Lets the redis-memory-server package download and build a server. Its own step at installation is turned off, so that `npm ci`
 * needs no network. It runs in a process of its own: a build that takes too long can then be ended as a whole.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProgram } from './run-program.ts';
import { isExecutable, type ServerProgram } from './server-program.ts';

/** A build takes about two minutes on a small machine. */
const LIMIT_MS = 5 * 60_000;

const BUILD = `
const { RedisBinary } = require(process.argv[1]);
RedisBinary.getPath({ downloadDir: process.argv[2], systemBinary: '' }).then(
  (path) => process.stdout.write('server=' + path + '\\n'),
  (error) => { process.stderr.write(String(error)); process.exitCode = 1; },
);`;

export async function builtServer(
  cache: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ServerProgram | undefined> {
  const directory = join(cache, 'redis-memory-server');
  await mkdir(directory, { recursive: true });
  const library = fileURLToPath(import.meta.resolve('redis-memory-server'));
  const { ok, output } = await runProgram(process.execPath, ['-e', BUILD, library, directory], {
    timeoutMs: LIMIT_MS,
    directory,
    env,
  });
  const path = /^server=(.+)$/m.exec(output)?.[1];
  return ok && path !== undefined && (await isExecutable(path)) ? { path, env: {} } : undefined;
}
