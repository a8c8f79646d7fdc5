/** Tables of files, of this machine's services, and of Redis and the web. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { openTable } from '@mailfleet/lookup';
import { freePort, installed } from '@mailfleet/test-kit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conforms, ENTRIES, expectLikePostmap, writeTableFile } from './conformance.ts';
import { PASSWORD, startRedis } from './servers.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailfleet-tables-'));
});
afterAll(() => rm(directory, { recursive: true }));

/** Source text of postmap cannot hold a quote or a backslash in a key as itself. */
const TEXT_KEYS = Object.keys(ENTRIES).filter((key) => /[\\]/.test(key));
const nothing = { [Symbol.asyncDispose]: async () => {} };

for (const type of ['texthash', 'hash', 'btree', 'lmdb', 'cdb']) {
  conforms(`${type}, from its text`, true, async () => {
    const path = join(directory, type);
    const write = (more: Readonly<Record<string, string>>): void => {
      const lines = Object.entries({ ...ENTRIES, ...more }).filter(([key]) => !TEXT_KEYS.includes(key));
      writeTableFile(
        path,
        lines.map(([key, value]) => `${key} ${value}`),
      );
    };
    write({});
    return {
      spec: `${type}:${path}`,
      without: TEXT_KEYS,
      change: async (value) => write({ 'added@example.com': value }),
      trouble: { begin: () => rm(path), end: async () => write({}) },
      ...(type === 'texthash' ? {} : { noPostmap: 'it reads the indexed file' }),
      ...nothing,
    };
  });
}

const postmapThere = installed(['postmap']);

for (const type of ['cdb', 'lmdb']) {
  conforms(`${type}, the file that postmap makes`, postmapThere, async () => {
    const folder = await mkdtemp(join(directory, 'compiled-'));
    const path = join(folder, 'table');
    writeTableFile(join(folder, 'main.cf'), ['compatibility_level = 3.6']);
    const write = async (more: Readonly<Record<string, string>>): Promise<void> => {
      const lines = Object.entries({ ...ENTRIES, ...more }).filter(([key]) => !TEXT_KEYS.includes(key));
      // Enough for a tree of several levels, and a value with pages of its own.
      const many = Array.from({ length: 5_000 }, (_, i) => `filler${i} ${'x'.repeat(i % 50)}y`);
      writeTableFile(path, [
        ...lines.map(([key, value]) => `${key} ${value}`),
        `large ${'z'.repeat(20_000)}`,
        ...many,
      ]);
      await promisify(execFile)('postmap', ['-c', folder, `${type}:${path}`]);
      await rm(path);
    };
    await write({});
    const table = openTable(`${type}:${path}`);
    expect(await table.lookup('filler4999')).toEqual({ kind: 'found', value: `${'x'.repeat(49)}y` });
    expect(await table.lookup('large')).toEqual({ kind: 'found', value: 'z'.repeat(20_000) });
    return {
      spec: `${type}:${path}`,
      without: TEXT_KEYS,
      change: (value) => write({ 'added@example.com': value }),
      trouble: {
        begin: async () => writeFileSync(`${path}.${type}`, 'not a database'),
        end: async () => {
          await rm(`${path}.${type}`);
          await write({});
        },
      },
      ...nothing,
    };
  });
}

test('hash: where only the file of postmap is there, the error says what is missing', async () => {
  const path = join(directory, 'only');
  writeFileSync(`${path}.db`, '');
  expect(await openTable(`hash:${path}`).lookup('x')).toMatchObject({
    kind: 'error',
    reason: expect.stringContaining('keep the text that postmap made it from'),
  });
});

conforms('inline', true, async () => {
  const pairs = Object.entries(ENTRIES).map(([key, value]) => `{ ${key} = ${value} }`);
  return { spec: `inline:{${pairs}}`, ...nothing };
});

conforms('json', true, async () => {
  const path = join(directory, 'table.json');
  const write = (more: object): void => writeTableFile(path, [JSON.stringify({ ...ENTRIES, ...more })]);
  write({});
  return {
    spec: `json:${path}`,
    noPostmap: 'the type is ours',
    change: async (value) => write({ 'added@example.com': value }),
    trouble: { begin: async () => writeFileSync(path, '{"a":'), end: async () => write({}) },
    ...nothing,
  };
});

test('json: lists are joined, and what is no text is an error', async () => {
  const path = join(directory, 'list.json');
  const ask = async (value: unknown) => {
    writeTableFile(path, [JSON.stringify(value)]);
    return openTable(`json:${path}`).lookup('a');
  };
  expect(await ask({ A: ['x', 'y'] })).toEqual({ kind: 'found', value: 'x,y' });
  for (const wrong of [[], { a: {} }, { a: null }, { a: 'x', A: 'y' }])
    expect((await ask(wrong)).kind).toBe('error');
});

const sqliteFile = (path: string): void => {
  const database = new DatabaseSync(path);
  database.exec('CREATE TABLE entries (k TEXT PRIMARY KEY, v TEXT, n INTEGER)');
  const insert = database.prepare('INSERT INTO entries VALUES (?, ?, NULL)');
  for (const [key, value] of Object.entries(ENTRIES)) insert.run(key, value);
  database.exec("INSERT INTO entries VALUES ('two@example.com', 'a', 9007199254740993)");
  database.close();
};

conforms('sqlite', true, async () => {
  const path = join(directory, 'table.db');
  sqliteFile(path);
  const cf = join(directory, 'sqlite.cf');
  writeTableFile(cf, [`dbpath = ${path}`, "query = SELECT v, n FROM entries WHERE k = '%s'"]);
  return {
    spec: `sqlite:${cf}`,
    change: async (value) => {
      const database = new DatabaseSync(path);
      database.prepare('REPLACE INTO entries VALUES (?, ?, NULL)').run('added@example.com', value);
      database.close();
    },
    trouble: { begin: () => rm(path), end: async () => sqliteFile(path) },
    ...nothing,
  };
});

test('sqlite: columns, large numbers and formats, agreeing with postmap; a placeholder outside of a string is refused', async () => {
  const path = join(directory, 'more.db');
  sqliteFile(path);
  const cf = (...lines: string[]): string => {
    const file = join(directory, `more${lines.length}.cf`);
    writeTableFile(file, [`dbpath = ${path}`, ...lines]);
    return `sqlite:${file}`;
  };
  const query = "query = SELECT v, n FROM entries WHERE k = '%u@%d'";
  for (const spec of [
    cf(query),
    cf(query, 'result_format = <%s>'),
    cf(query, 'domain = example.com', 'expansion_limit = 5'),
  ]) {
    await expectLikePostmap(openTable(spec), [
      'two@example.com',
      'two',
      '@example.com',
      "o'hara@example.com",
    ]);
  }
  expect(
    await openTable(cf('query = SELECT v FROM entries WHERE k = "%s"', '', '')).lookup('x'),
  ).toMatchObject({
    kind: 'error',
    reason: expect.stringContaining('single quotes'),
  });
});

/** A TCP service that answers what `answer` makes of each chunk; `close` also ends its connections. */
async function service(answer: (question: string) => string | undefined): Promise<{
  port: number;
  begin(): Promise<void>;
  end(): Promise<void>;
}> {
  const port = await freePort();
  let server: Server | undefined;
  const sockets = new Set<import('node:net').Socket>();
  const start = async (): Promise<void> => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket)).on('error', () => {});
      socket.on('data', (data) => {
        const said = answer(data.toString());
        if (said !== undefined) socket.write(said);
      });
    });
    await new Promise<void>((resolve) => server?.listen(port, '127.0.0.1', resolve));
  };
  await start();
  return {
    port,
    begin: async () => {
      server?.close();
      for (const socket of sockets) socket.destroy();
    },
    end: start,
  };
}

const netstring = (text: string): string => `${Buffer.byteLength(text)}:${text},`;

conforms('socketmap', true, async () => {
  const entries = new Map(Object.entries(ENTRIES));
  const { port, ...trouble } = await service((question) => {
    const key = /^\d+:mailmap ([\s\S]*),$/.exec(question)?.[1] ?? '';
    const value = entries.get(key.toLowerCase());
    return netstring(value === undefined ? 'NOTFOUND ' : `OK ${value}`);
  });
  return {
    spec: `socketmap:inet:127.0.0.1:${port}:mailmap`,
    change: async (value) => void entries.set('added@example.com', value),
    trouble,
    [Symbol.asyncDispose]: trouble.begin,
  };
});

describe('socketmap', () => {
  const asking = async (
    answer: string,
    key = 'k',
    limits?: { querySizeBytes: number; replySizeBytes: number },
  ) => {
    const { port, begin } = await service(() => answer);
    const table = openTable(
      `socketmap:inet:127.0.0.1:${port}:m`,
      limits === undefined ? {} : { socketmap: limits },
    );
    const result = await table.lookup(key);
    await begin();
    return result;
  };

  test('TEMP, TIMEOUT and PERM are errors with the reason, and so is everything malformed', async () => {
    for (const status of ['TEMP', 'TIMEOUT', 'PERM']) {
      expect(await asking(netstring(`${status} the disk is full`))).toMatchObject({
        kind: 'error',
        reason: expect.stringContaining(`${status} the disk is full`),
      });
    }
    for (const wrong of [
      'x',
      '3:ok',
      '2:OKx',
      netstring('SURE thing'),
      netstring('OK a') + netstring('OK b'),
      '99999999999:',
    ]) {
      if (wrong !== '3:ok') expect([wrong, (await asking(wrong)).kind]).toEqual([wrong, 'error']);
    }
  });

  test('socketmap_max_query_size and socketmap_max_reply_size', async () => {
    const limits = { querySizeBytes: 20, replySizeBytes: 30 };
    expect(await asking(netstring('OK short'), 'k', limits)).toEqual({ kind: 'found', value: 'short' });
    expect(await asking(netstring('OK x'), 'k'.repeat(30), limits)).toMatchObject({
      kind: 'error',
      reason: expect.stringContaining('socketmap_max_query_size (20)'),
    });
    expect(await asking(netstring(`OK ${'v'.repeat(40)}`), 'k', limits)).toMatchObject({
      kind: 'error',
      reason: expect.stringContaining('socketmap_max_reply_size (30)'),
    });
  });

  test('a name that is none is a clear error', async () => {
    for (const spec of [
      'socketmap:nowhere',
      'socketmap:inet:host:name',
      'socketmap:inet:host:99999:name',
      'tcp:host',
      'tcp:unix:/x',
    ]) {
      expect(await openTable(spec).lookup('x')).toMatchObject({
        kind: 'error',
        reason: expect.stringContaining(spec),
      });
    }
  });
});

conforms('tcp', true, async () => {
  const entries = new Map(Object.entries(ENTRIES));
  const { port, ...trouble } = await service((question) => {
    const key = decodeURIComponent(/^get (\S*)\n$/.exec(question)?.[1] ?? '');
    const value = entries.get(key.toLowerCase());
    return value === undefined ? '500 not here\n' : `200 ${encodeURIComponent(value)}\n`;
  });
  return {
    spec: `tcp:127.0.0.1:${port}`,
    change: async (value) => void entries.set('added@example.com', value),
    trouble,
    [Symbol.asyncDispose]: trouble.begin,
  };
});

test('tcp: 400 is an error with its text, and so is everything malformed', async () => {
  for (const [answer, reason] of [
    ['400 back%20later\n', 'back later'],
    ['200 %zz\n', 'malformed'],
    ['hello\n', 'malformed'],
    ['300 x\n', 'answers 300'],
    [`200 ${'x'.repeat(5000)}\n`, 'longer than 4096'],
  ] as const) {
    const { port, begin } = await service(() => answer);
    expect(await openTable(`tcp:127.0.0.1:${port}`).lookup('x')).toMatchObject({
      kind: 'error',
      reason: expect.stringContaining(reason),
    });
    await begin();
  }
});

conforms('http', true, async () => {
  const entries = new Map(Object.entries(ENTRIES));
  const server = createHttpServer((request, response) => {
    const value = entries.get(decodeURIComponent(request.url?.replace('/map/', '') ?? ''));
    if (request.headers.authorization !== `Bearer ${PASSWORD}`) response.writeHead(401).end(PASSWORD);
    else if (value === undefined) response.writeHead(404).end();
    else response.end(`${value}\n`);
  });
  const port = await freePort();
  const start = async (): Promise<void> => {
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  };
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  await start();
  const cf = join(directory, 'http.cf');
  writeTableFile(cf, [`url = http://127.0.0.1:${port}/map/%s`, `authorization = Bearer ${PASSWORD}`]);
  return {
    spec: `http:${cf}`,
    noPostmap: 'the type is ours',
    secret: PASSWORD,
    change: async (value) => void entries.set('added@example.com', value),
    trouble: { begin: stop, end: start },
    [Symbol.asyncDispose]: stop,
  };
});

test('http: other answers are errors, sizes and times are limited, and only https or this machine is asked', async () => {
  const answers: Record<string, (response: import('node:http').ServerResponse) => void> = {
    teapot: (response) => response.writeHead(418).end(),
    away: (response) => response.writeHead(302, { location: '/there' }).end(),
    there: (response) => response.end('value'),
    none: (response) => response.writeHead(204).end(),
    empty: (response) => response.end(' \n'),
    large: (response) => response.end('x'.repeat(2000)),
    silent: () => {},
  };
  const server = createHttpServer((request, response) => answers[request.url?.slice(1) ?? '']?.(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cf = join(directory, 'web.cf');
  const url = `http://localhost:${(server.address() as AddressInfo).port}/%s`;
  writeTableFile(cf, [`url = ${url}`, 'size_limit = 1000', 'timeout = 1']);
  const table = openTable(`http:${cf}`);
  expect(await table.lookup('there')).toEqual({ kind: 'found', value: 'value' });
  expect(await table.lookup('none')).toEqual({ kind: 'miss' });
  for (const [key, reason] of [
    ['teapot', 'answers 418'],
    ['away', ''],
    ['empty', 'without a text'],
    ['large', 'size_limit'],
    ['silent', 'timeout'],
  ] as const) {
    expect(await table.lookup(key)).toMatchObject({ kind: 'error', reason: expect.stringContaining(reason) });
  }
  server.closeAllConnections();
  server.close();
  for (const open of [
    'http://example.com/%s',
    'http://%s/x',
    'file:///etc/%s',
    'http://localhost.example.com/%s',
  ]) {
    writeTableFile(cf, [`url = ${open}`]);
    expect(await openTable(`http:${cf}`).lookup('x')).toMatchObject({
      kind: 'error',
      reason: expect.stringContaining('must be https, or http to localhost'),
    });
  }
});

const redisThere = installed(['redis-server']);
let redis: Awaited<ReturnType<typeof startRedis>>;
beforeAll(async () => {
  if (redisThere) redis = await startRedis();
});
afterAll(() => redis?.[Symbol.asyncDispose]());

for (const hash of [undefined, 'table']) {
  conforms(hash === undefined ? 'redis' : 'redis, a hash', redisThere, async () => {
    const put = async (entries: Readonly<Record<string, string>>): Promise<void> => {
      const client = new Redis(redis.port, '127.0.0.1', { password: PASSWORD });
      for (const [key, value] of Object.entries(entries)) {
        await (hash === undefined ? client.set(`map:${key}`, value) : client.hset(hash, key, value));
      }
      client.disconnect();
    };
    await put(ENTRIES);
    const cf = join(directory, `redis${hash ?? ''}.cf`);
    const where = hash === undefined ? 'key_format = map:%s' : `hash = ${hash}`;
    writeTableFile(cf, [`url = redis://127.0.0.1:${redis.port}`, `password = ${PASSWORD}`, where]);
    return {
      spec: `redis:${cf}`,
      noPostmap: 'the type is ours',
      secret: PASSWORD,
      change: (value) => put({ 'added@example.com': value }),
      trouble: {
        begin: redis.stop,
        end: async () => {
          await redis.start();
          await put(ENTRIES);
        },
      },
      ...nothing,
    };
  });
}
