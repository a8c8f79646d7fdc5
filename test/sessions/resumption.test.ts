/** TLS sessions of the whole fleet: what one worker process made another resumes, and Redis holds none in clear. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, startEmbeddedRedis } from '@mailfleet/queue';
import { makeCertificates, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { startFleet } from '../fleet/fleet.ts';
import { accept } from './bursts.ts';

test('smtp_tls_session_cache_database: a worker resumes the session that another process made before it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-resumption-'));
  const redis = await startEmbeddedRedis({ directory });
  const authority = makeCertificates();
  const tls = authority.issue(['mx.test']);
  const server = await startSmtpServer({ tls });
  const client = new Redis(redis.url);
  const keyFile = join(directory, 'fleet-key');
  const secret = randomBytes(32).toString('base64');
  await writeFile(keyFile, `${secret}\n`);
  const parameters = {
    redis_url: redis.url,
    smtp_tls_security_level: 'verify',
    smtp_tls_verify_cert_match: 'mx.test',
    smtp_tls_CAfile: authority.ca.certFile,
    smtp_tls_session_cache_database: 'btree:/nowhere',
    smtp_tls_loglevel: '1',
    tls_session_cache_key_file: keyFile,
  };
  const queue = await openQueue({ config: makeConfig({ redis_url: redis.url }), redisUrl: redis.url });
  try {
    for (const run of [1, 2]) {
      await using fleet = await startFleet({ parameters });
      await accept(queue, `r${run}@d.test`, '[127.0.0.1]', server.port);
      await server.waitForMessages(run, 30_000);
      await waitFor(async () => (await client.keys('{mft*:ticket:*')).length >= 2);
      const established = `Verified TLS connection established to 127.0.0.1[127.0.0.1]:${server.port}`;
      await waitFor(async () => (await fleet.maillog()).includes(established));
      expect((await fleet.maillog()) + fleet.output()).not.toContain(secret);
    }
    expect(server.sessions.map((session) => session.tls?.resumed)).toEqual([false, true]);
    expect(server.messages.map(({ session }) => session)).toEqual([1, 2]);

    for (const name of await readdir(directory, { recursive: true, withFileTypes: true })) {
      if (!name.isFile() || name.name === 'fleet-key') continue;
      const bytes = await readFile(join(name.parentPath, name.name));
      expect(bytes.includes(secret), name.name).toBe(false);
      // What stands in front of a session before it is sealed.
      expect(bytes.includes('"proven"'), name.name).toBe(false);
    }
  } finally {
    await queue.close();
    client.disconnect();
    await Promise.all([server.close(), redis.stop()]);
    authority.remove();
    await rm(directory, { recursive: true, force: true });
  }
});
