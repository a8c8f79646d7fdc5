/** The embedded server's life, and each way to find one. */
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { must } from '../queue.fixture.ts';
import { distributionServer } from './distribution-package.ts';
import { startEmbeddedRedis } from './embedded-redis.ts';
import { findServer, serverOnPath } from './find-server.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailfleet-redis-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('the server', () => {
  test.each([true, false])(
    'serves (socket: %s), is safe, and keeps its data in the directory',
    async (socket) => {
      const first = await startEmbeddedRedis({ directory, socket });
      const redis = new Redis(first.url.replace('unix://', ''));
      await redis.set('key', 'value');
      redis.disconnect();
      await first.stop();
      expect(alive(first.pid)).toBe(false);
      expect(await readdir(directory)).toContain('appendonlydir');
      const second = await startEmbeddedRedis({ directory, socket });
      const again = new Redis(second.url.replace('unix://', ''));
      expect(await again.get('key')).toBe('value');
      again.disconnect();
      await second.stop();
    },
  );

  test('tells when it died', async () => {
    const server = await startEmbeddedRedis({ directory, socket: true });
    process.kill(server.pid, 'SIGKILL');
    await server.exited;
    await server.stop();
  });

  test('dies with its parent, even when that is killed', async () => {
    const parent = fork(new URL('./parent.fixture.ts', import.meta.url), [directory], {
      execArgv: ['--conditions=source'],
    });
    const [pid] = (await once(parent, 'message')) as [number];
    expect(alive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => alive(pid), { timeout: 5_000 }).toBe(false);
  });

  test('a directory that cannot be used is told in Redis’ own words', async () => {
    await writeFile(join(directory, 'appendonlydir'), 'in the way');
    await expect(startEmbeddedRedis({ directory, socket: true })).rejects.toThrow(
      /redis-server ended instead of starting; it said: .*appendonlydir/,
    );
  });

  test('a socket path that no system takes is refused in words', async () => {
    const deep = join(directory, 'x'.repeat(100));
    await expect(startEmbeddedRedis({ directory: deep, socket: true })).rejects.toThrow(
      /too long for a Unix socket/,
    );
  });
});

describe('finding it', () => {
  const program = async (folder: string, name: string, text: string): Promise<void> => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`);
    await chmod(join(folder, name), 0o755);
  };

  test('redis-server or valkey-server on PATH', async () => {
    const [one, two] = [join(directory, 'one'), join(directory, 'two')];
    await program(one, 'valkey-server', 'true');
    expect(await serverOnPath(`${one}:${two}`)).toEqual({ path: join(one, 'valkey-server'), env: {} });
    await program(two, 'redis-server', 'true');
    expect(await serverOnPath(`${one}:${two}`)).toEqual({ path: join(two, 'redis-server'), env: {} });
    await writeFile(join(one, 'redis-server'), 'not executable');
    expect(await serverOnPath(`${one}:${two}`)).toEqual({ path: join(two, 'redis-server'), env: {} });
  });

  test('nowhere: one sentence with the commands that install it', async () => {
    const bin = join(directory, 'bin');
    await mkdir(bin);
    // The packager's programs are there and fail, as without a network.
    for (const name of ['apt-get', 'apt-cache', 'make', 'gcc']) await program(bin, name, 'exit 1');
    const offline = {
      PATH: bin,
      REDISMS_DOWNLOAD_MIRROR: 'none',
      HTTPS_PROXY: 'http://127.0.0.1:9',
      https_proxy: 'http://127.0.0.1:9',
    };
    await expect(findServer({ env: offline, cacheDirectory: join(directory, 'cache') })).rejects.toThrow(
      /apt-get install redis-server.*dnf install valkey.*brew install redis.*docker run/,
    );
  }, 30_000);

  test('the distribution’s package is fetched with its libraries, unpacked and found again', async () => {
    // apt-get and dpkg-deb play their parts on packages made here: the order of calls and the folders are what is tested.
    const bin = join(directory, 'bin');
    const log = join(directory, 'log');
    await program(
      bin,
      'apt-cache',
      'printf "redis-server\\n  Depends: redis-tools\\nredis-tools\\nlibjemalloc2\\nlibc6\\n<virtual>\\nadduser\\n"',
    );
    await program(
      bin,
      'apt-get',
      `echo "$@" >> ${log}; for name in redis-server redis-tools libjemalloc2; do : > $name.deb; done`,
    );
    await program(
      bin,
      'dpkg-deb',
      'mkdir -p $3/usr/bin $3/usr/lib/x86_64-linux-gnu; printf "#!/bin/sh\\n" > $3/usr/bin/redis-server; chmod +x $3/usr/bin/redis-server',
    );
    const cache = join(directory, 'cache');
    const env = { PATH: `${bin}:/usr/bin:/bin` };
    const found = await distributionServer(cache, env, async () => new Set());
    expect(found).toEqual({
      path: join(cache, 'redis-server/usr/bin/redis-server'),
      env: { LD_LIBRARY_PATH: join(cache, 'redis-server/usr/lib/x86_64-linux-gnu') },
    });
    await rm(bin, { recursive: true });
    expect(await distributionServer(cache, env)).toEqual(found);
    expect(await readdir(cache)).toEqual(['redis-server']);
  }, 30_000);

  test('the real package, where apt-get can download', async ({ skip }) => {
    // Even the libraries that are installed here: the server must run on those of the cache folder.
    const found = await distributionServer(
      join(directory, 'cache'),
      process.env,
      async () => new Set(['adduser']),
    );
    if (found === undefined) {
      console.warn(
        'LEFT OUT: apt-get cannot download redis-server here, so fetching it was not tried for real',
      );
      skip();
      return;
    }
    const { stdout } = await promisify(execFile)(found.path, ['--version'], { env: found.env });
    expect(stdout).toMatch(/^Redis server v=/);
    expect(await readdir(must(found.env.LD_LIBRARY_PATH).split(':')[0] ?? '')).toContainEqual(
      expect.stringMatching(/^libjemalloc/),
    );
  }, 120_000);
});
