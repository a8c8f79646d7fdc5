/** memcache tables on a real memcached. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { openTable } from '@mailfleet/lookup';
import { installed } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conforms, ENTRIES, writeTableFile } from './conformance.ts';
import { startMemcached } from './servers.ts';

const there = installed(['memcached']);
let server: Awaited<ReturnType<typeof startMemcached>>;
beforeAll(async () => {
  if (there) server = await startMemcached();
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** One command and its answer, past any cache of ours. */
async function command(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('error', reject).on('data', (chunk) => {
      answer += chunk.toString();
      if (/(?:STORED|END|ERROR|DELETED|OK|NOT_FOUND)\r\n$/.test(answer)) {
        socket.destroy();
        resolve(answer);
      }
    });
  });
}

const store = (key: string, value: string): Promise<string> =>
  command(`set ${key} 0 0 ${Buffer.byteLength(value)}\r\n${value}\r\n`);

function cf(name: string, ...lines: string[]): string {
  const path = join(server.directory, name);
  const common = [`memcache = inet:127.0.0.1:${server.port}`, 'max_try = 1', 'timeout = 2', 'ttl = 60'];
  writeTableFile(path, [...common, ...lines]);
  return `memcache:${path}`;
}

conforms('memcache', there, async () => {
  const fill = async (): Promise<void> => {
    for (const [key, value] of Object.entries(ENTRIES))
      if (/^[ -~]*$/.test(key)) await store(`p:${key}`, value);
  };
  await fill();
  return {
    spec: cf('table.cf', 'key_format = p:%s'),
    // A key of the protocol is printable ASCII.
    without: Object.keys(ENTRIES).filter((key) => /[^ -~]/.test(key)),
    noPostmap: "Debian's postmap has no memcache",
    change: async (value) => void (await store('p:added@example.com', value)),
    trouble: {
      begin: server.stop,
      end: async () => {
        await server.start();
        await fill();
      },
    },
    [Symbol.asyncDispose]: async () => {},
  };
});

describe.skipIf(!there)('memcache', () => {
  test('backup: asked after a miss, stored, and the answer when the cache is away', async () => {
    const text = join(server.directory, 'backup');
    writeFileSync(text, 'a 1\nb 2\n');
    const table = openTable(cf('backup.cf', `backup = texthash:${text}`, 'key_format = bak:%s'));
    expect(await table.lookup('a')).toEqual({ kind: 'found', value: '1' });
    expect(await command('get bak:a\r\n')).toContain('VALUE bak:a 0 1\r\n1');
    await store('bak:a', 'cached');
    expect(await table.lookup('a')).toEqual({ kind: 'found', value: 'cached' });
    expect(await table.lookup('c')).toEqual({ kind: 'miss' });
    await server.stop();
    expect(await table.lookup('b')).toEqual({ kind: 'found', value: '2' });
    await server.start();
  });

  test('key_digest lets keys in that the protocol would not take', async () => {
    const table = openTable(
      cf('digest.cf', 'backup = inline:{jürgen@bücher.example=zürich}', 'key_digest = sha256'),
    );
    expect(await table.lookup('jürgen@bücher.example')).toEqual({ kind: 'found', value: 'zürich' });
    const digest = createHash('sha256').update('jürgen@bücher.example').digest('hex');
    expect(await command(`get ${digest}\r\n`)).toContain('zürich');
  });

  test('data_size_limit, and a domain that is not listed', async () => {
    await store('large', 'x'.repeat(100));
    expect(await openTable(cf('size.cf', 'data_size_limit = 50')).lookup('large')).toMatchObject({
      kind: 'error',
      reason: expect.stringContaining('data_size_limit'),
    });
    await store('u@example.com', 'there');
    expect(await openTable(cf('domain.cf', 'domain = example.net')).lookup('u@example.com')).toEqual({
      kind: 'miss',
    });
    expect((await openTable(cf('own.cf', 'domain = example.com')).lookup('u@example.com')).kind).toBe(
      'found',
    );
  });
});
