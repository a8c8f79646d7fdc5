/** Servers that take connections and say nothing: a lookup ends as an error in time, and none waits for another. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTable } from '@mailfleet/lookup';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeTableFile } from './conformance.ts';

let directory: string;
let server: Server;
const sockets = new Set<Socket>();
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-silent-'));
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
  rmSync(directory, { recursive: true });
});

test.concurrent.each<[string, (port: number) => readonly string[]]>([
  ['pgsql', (port) => [`hosts = 127.0.0.1:${port}`, "query = SELECT v FROM t WHERE k = '%s'", 'user = u']],
  ['mysql', (port) => [`hosts = 127.0.0.1:${port}`, "query = SELECT v FROM t WHERE k = '%s'"]],
  ['ldap', (port) => [`server_host = 127.0.0.1:${port}`, 'timeout = 1', 'query_filter = (mail=%s)']],
  [
    'memcache',
    (port) => [`memcache = inet:127.0.0.1:${port}`, 'timeout = 1', 'max_try = 2', 'retry_pause = 0'],
  ],
  ['redis', (port) => [`url = redis://127.0.0.1:${port}`, 'timeout = 1']],
  ['http', (port) => [`url = http://127.0.0.1:${port}/%s`, 'timeout = 1']],
])('%s', async (type, lines) => {
  const path = join(directory, `${type}.cf`);
  writeTableFile(path, lines((server.address() as AddressInfo).port));
  const table = openTable(`${type}:${path}`);
  const began = performance.now();
  const results = await Promise.all(Array.from({ length: 12 }, (_, i) => table.lookup(`key${i}`)));
  expect(results.map(({ kind }) => kind)).toEqual(Array(12).fill('error'));
  expect(performance.now() - began).toBeLessThan(9_000);
});
