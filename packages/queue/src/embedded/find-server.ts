/**
 * Finds a Redis server to run: on PATH, else built by the redis-memory-server package, else from the distribution's packages (without
 * root), in that order. The last two need the network once; what they fetch stays in the cache folder.
 */
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { distributionServer, fetchedServer } from './distribution-package.ts';
import { builtServer } from './memory-server-package.ts';
import { isExecutable, type ServerProgram } from './server-program.ts';

export interface FindOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Where fetched servers are kept; default `$XDG_CACHE_HOME/mailfleet`, `~/.cache/mailfleet`. */
  readonly cacheDirectory?: string;
  /** Told before something is fetched, which can take minutes. */
  readonly log?: (line: string) => void;
}

/** Throws one sentence with the commands that install a server when no way leads to one. */
export async function findServer(options: FindOptions = {}): Promise<ServerProgram> {
  const env = options.env ?? process.env;
  const cache = options.cacheDirectory ?? join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mailfleet');
  // What was fetched before comes before what could be fetched: a start must not try the network each time.
  const there = (await serverOnPath(env.PATH ?? '')) ?? (await fetchedServer(cache));
  if (there !== undefined) return there;
  options.log?.(`no redis-server or valkey-server on PATH; fetching one into ${cache}, once`);
  const found = (await builtServer(cache, env)) ?? (await distributionServer(cache, env));
  if (found !== undefined) return found;
  throw new Error(
    'no Redis server found: install one (Debian, Ubuntu: apt-get install redis-server; Fedora: dnf install valkey; macOS: brew install redis), or start one (Docker: docker run -p 6379:6379 redis:7 --appendonly yes --appendfsync always) and set redis_url',
  );
}

export async function serverOnPath(path: string): Promise<ServerProgram | undefined> {
  for (const name of ['redis-server', 'valkey-server']) {
    for (const folder of path.split(delimiter).filter(Boolean)) {
      const candidate = join(folder, name);
      if (await isExecutable(candidate)) return { path: candidate, env: {} };
    }
  }
  return undefined;
}
