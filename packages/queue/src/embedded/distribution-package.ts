/**
 * Fetches redis-server of Debian or Ubuntu without root: apt-get downloads its packages and those it depends on that are not
 * installed, dpkg unpacks them into the cache folder, and the loader finds their libraries by LD_LIBRARY_PATH.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ProgramResult, runProgram } from './run-program.ts';
import { isExecutable, type ServerProgram } from './server-program.ts';

const LIMIT_MS = 120_000;
/** In Debian redis-server is a link to a program in redis-tools, so both are wanted even if one is installed. */
const WANTED = ['redis-server', 'redis-tools'];

/** Without a network, say so soon. */
const IMPATIENT = [
  '-o',
  'Acquire::Retries=0',
  '-o',
  'Acquire::http::Timeout=10',
  '-o',
  'Acquire::https::Timeout=10',
];

type Run = (command: string, args: readonly string[]) => Promise<ProgramResult>;

export async function distributionServer(
  cache: string,
  env: Readonly<Record<string, string | undefined>>,
  installed: (run: Run) => Promise<ReadonlySet<string>> = installedPackages,
): Promise<ServerProgram | undefined> {
  const root = rootIn(cache);
  const work = join(cache, `redis-server.${process.pid}`);
  await rm(work, { recursive: true, force: true });
  await mkdir(join(work, 'lists', 'partial'), { recursive: true });
  await mkdir(join(work, 'root'));
  try {
    const run: Run = (command, args) =>
      runProgram(command, command === 'apt-get' ? [...IMPATIENT, ...args] : args, {
        timeoutMs: LIMIT_MS,
        directory: work,
        env,
      });
    // The machine's own package lists first; without any (slim images), lists of our own.
    for (const lists of [[], ownLists(work)]) {
      if (lists.length > 0 && !(await run('apt-get', [...lists, '--quiet', 'update'])).ok) continue;
      const names = await packagesToFetch(run, lists, await installed(run));
      if (names.length === 0 || !(await run('apt-get', [...lists, 'download', ...names])).ok) continue;
      const archives = (await readdir(work)).filter((name) => name.endsWith('.deb'));
      for (const archive of archives) await run('dpkg-deb', ['-x', archive, 'root']);
      if ((await unpackedServer(join(work, 'root'))) === undefined) continue;
      await rename(join(work, 'root'), root).catch(() => undefined);
      return await unpackedServer(root);
    }
    return undefined;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** A server that was fetched and unpacked before. */
export function fetchedServer(cache: string): Promise<ServerProgram | undefined> {
  return unpackedServer(rootIn(cache));
}

const rootIn = (cache: string): string => join(cache, 'redis-server');

function ownLists(work: string): string[] {
  return [
    '-o',
    `Dir::State::lists=${join(work, 'lists')}`,
    '-o',
    `Dir::Cache=${work}`,
    '-o',
    'Debug::NoLocking=true',
  ];
}

async function packagesToFetch(
  run: Run,
  lists: readonly string[],
  installed: ReadonlySet<string>,
): Promise<string[]> {
  const { ok, output } = await run('apt-cache', [
    ...lists,
    'depends',
    '--recurse',
    '--no-recommends',
    '--no-suggests',
    '--no-conflicts',
    '--no-breaks',
    '--no-replaces',
    '--no-enhances',
    'redis-server',
  ]);
  if (!ok) return [];
  // Lines at the margin are packages, `<…>` are virtual ones. Of the others only libraries matter to a program that is
  // merely run, and the C library is the one in use.
  const names = output.split('\n').filter((line) => /^lib[a-z0-9]/.test(line) && !/^libc6(:|$)/.test(line));
  return [...WANTED, ...names.filter((name) => !installed.has(name))];
}

async function installedPackages(run: Run): Promise<ReadonlySet<string>> {
  const { output } = await run('dpkg-query', ['-W', '-f', '$' + '{Package}\t$' + '{db:Status-Status}\n']);
  const lines = output.split('\n').map((line) => line.split('\t'));
  return new Set(lines.filter(([, status]) => status === 'installed').map(([name = '']) => name));
}

async function unpackedServer(root: string): Promise<ServerProgram | undefined> {
  const path = join(root, 'usr/bin/redis-server');
  if (!(await isExecutable(path))) return undefined;
  const folders: string[] = [];
  for (const lib of ['usr/lib', 'lib']) {
    const entries = await readdir(join(root, lib), { withFileTypes: true }).catch(() => []);
    folders.push(
      ...entries
        .filter((e) => e.isDirectory() && e.name.includes('-linux-'))
        .map((e) => join(root, lib, e.name)),
    );
  }
  return { path, env: { LD_LIBRARY_PATH: folders.join(':') } };
}
