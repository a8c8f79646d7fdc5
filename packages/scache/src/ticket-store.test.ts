/** TLS sessions in a real Redis: sealed, bounded, gone in time, found by another process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { waitFor } from '@mailfleet/test-kit';
import { makeFleetKey, SessionTickets } from '@mailfleet/tls';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ticketKeys } from './keys.ts';
import { ticketPut } from './ticket-scripts.ts';
import { openTicketStore } from './ticket-store.ts';

let folder: string;
let server: Awaited<ReturnType<typeof startEmbeddedRedis>>;
let redis: Redis;
let queue: Queue;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tickets-'));
  server = await startEmbeddedRedis({ directory: folder });
  redis = new Redis(server.url);
  queue = await openQueue({ config: makeConfig({ content_directory: folder }), redisUrl: server.url });
});
afterAll(async () => {
  await queue.close();
  redis.disconnect();
  await server.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  await redis.flushall();
});

const HOUR_MS = 3_600_000;
const entries = (): Promise<string[]> => redis.keys('*:ticket:*');

test('what one process puts another gets, byte for byte, until it is deleted', async () => {
  const store = openTicketStore(queue);
  const sealed = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  store.put('a1', sealed, HOUR_MS);
  await waitFor(async () => (await entries()).length === 2);
  const other = openTicketStore(queue);
  expect(await other.get('a1')).toEqual(sealed);
  expect(await other.get('a2')).toBeUndefined();
  other.delete('a1');
  await waitFor(async () => (await entries()).length === 0);
  expect(await store.get('a1')).toBeUndefined();
});

test('an entry ends when its time is over, and its bucket with the last', async () => {
  const store = openTicketStore(queue);
  store.put('b1', Buffer.from('x'), 500);
  await waitFor(async () => (await entries()).length === 2);
  await waitFor(async () => (await entries()).length === 0);
  expect(await store.get('b1')).toBeUndefined();
  store.put('b2', Buffer.from('x'), HOUR_MS);
  await waitFor(async () => (await entries()).length === 2);
  for (const key of await entries()) expect(await redis.pttl(key), key).toBeGreaterThan(HOUR_MS - 60_000);
  expect(await redis.zrange(ticketKeys('b2').names, 0, '-1')).toEqual(['b2']);
});

test('a full bucket gives up what would end first', async () => {
  const { names, prefix } = ticketKeys('c');
  const run = queue.openScripts([ticketPut]);
  const put = (name: string, ms: number): Promise<unknown> =>
    run(ticketPut, [ticketKeys(name).ticket, names], [name, 'x', ms, 3, prefix]);
  for (const [index, name] of ['c2', 'c1', 'c3'].entries()) expect(await put(name, HOUR_MS + index)).toBe(0);
  expect(await put('c4', 2 * HOUR_MS)).toBe(1);
  expect(await put('c3', 2 * HOUR_MS)).toBe(0);
  expect((await entries()).toSorted()).toEqual(['c1', 'c3', 'c4', 'names'].map((name) => prefix + name));
});

test('Redis holds no ticket in clear, nor the name of a server', async () => {
  const fleet = { store: openTicketStore(queue), key: makeFleetKey('a secret of the whole fleet') };
  const session = Buffer.from('the secret of a TLS session');
  new SessionTickets({ fleet }).keep('mx.example', {
    session,
    proven: { kind: 'Verified' },
    endsMs: Date.now() + HOUR_MS,
  });
  await waitFor(async () => (await entries()).length === 2);
  const found = await new SessionTickets({ fleet }).find('mx.example');
  expect(found?.session).toEqual(session);
  const dumps = await Promise.all((await redis.keys('*')).map((key) => redis.dumpBuffer(key)));
  const values = await Promise.all(
    (await entries()).filter((key) => !key.endsWith('names')).map((key) => redis.get(key)),
  );
  const all = [
    ...(await redis.keys('*')),
    ...dumps.map((dump) => dump?.toString('latin1')),
    ...values.map((text) => Buffer.from(text ?? '', 'base64').toString('latin1')),
  ];
  expect(all.join('\n')).not.toMatch(/secret|Verified|mx\.example/);
});

test('while Redis is away nothing is found, and keeping is no trouble', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tickets-away-'));
  const away = await startEmbeddedRedis({ directory });
  const other = await openQueue({ config: makeConfig({ content_directory: directory }), redisUrl: away.url });
  try {
    const store = openTicketStore(other);
    expect(await store.get('d1')).toBeUndefined();
    await away.stop();
    await expect(store.get('d1')).rejects.toThrow();
    store.put('d1', Buffer.from('x'), HOUR_MS);
    store.delete('d1');
    const tickets = new SessionTickets({
      fleet: { store, key: makeFleetKey('a secret of the whole fleet') },
    });
    expect(await tickets.find('mx.example')).toBeUndefined();
  } finally {
    await other.close();
    rmSync(directory, { recursive: true });
  }
});
