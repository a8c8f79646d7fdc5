/** mysql tables on a real MariaDB. */
import { join } from 'node:path';
import { openTable } from '@mailfleet/lookup';
import { installed } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conforms, ENTRIES, expectLikePostmap, HOSTILE, writeTableFile } from './conformance.ts';
import { PASSWORD, startMariadb } from './servers.ts';

const PROGRAMS = ['mariadb-install-db', 'mariadbd', 'mariadb'];
const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;

async function startFilled() {
  const server = await startMariadb();
  const values = Object.entries(ENTRIES).map(([key, value]) => `(${quoted(key)}, ${quoted(value)})`);
  await server.sql(
    `USE mail; CREATE TABLE entries (k varchar(400) COLLATE utf8mb4_bin PRIMARY KEY, v text); INSERT INTO entries VALUES ${values};
     CREATE TABLE aliases (name varchar(50), domain varchar(50), target varchar(50), since date, n int);
     INSERT INTO aliases VALUES ('ann', 'example.com', 'ann1', '2026-01-02', 7), ('ann', 'example.com', 'ann2', NULL, 8)`,
  );
  const cf = (name: string, ...lines: string[]): string => {
    const path = join(server.directory, name);
    const login = [
      `hosts = inet:127.0.0.1:${server.port}`,
      'user = mail',
      `password = ${PASSWORD}`,
      'dbname = mail',
    ];
    writeTableFile(path, [...login, ...lines]);
    return `mysql:${path}`;
  };
  return Object.assign(server, { cf });
}

let server: Awaited<ReturnType<typeof startFilled>>;
const there = installed(PROGRAMS);
beforeAll(async () => {
  if (there) server = await startFilled();
});
afterAll(() => server?.[Symbol.asyncDispose]());

conforms('mysql', there, async () => {
  return {
    spec: server.cf('table.cf', "query = SELECT v FROM entries WHERE k = '%s'"),
    secret: PASSWORD,
    change: (value) => server.sql(`REPLACE INTO mail.entries VALUES ('added@example.com', '${value}')`),
    trouble: { begin: server.stop, end: server.start },
    [Symbol.asyncDispose]: async () => {},
  };
});

describe.skipIf(!there)('mysql', () => {
  test('parts of the key, rows and columns, dates and numbers, a socket, agreeing with postmap', async () => {
    const query =
      "query = SELECT target, since, n FROM aliases WHERE name = '%u' AND domain = '%d' ORDER BY target";
    for (const spec of [
      server.cf('parts.cf', query),
      server.cf('format.cf', query, 'result_format = [%s]:%D', 'domain = example.com'),
      server.cf('socket.cf', query, `hosts = unix:${server.directory}/sock`),
    ]) {
      await expectLikePostmap(openTable(spec), ['ann@example.com', 'ann', '@example.com', 'bob@example.com']);
    }
  });

  test('no key gets out of its string, not even where backslashes are letters', async () => {
    await server.sql("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'");
    const table = openTable(server.cf('mode.cf', "query = SELECT v FROM entries WHERE k = '%s'"));
    for (const key of [...HOSTILE, "\\' OR 1=1 #", "' OR 1=1 #"]) {
      expect([key, await table.lookup(key)]).toEqual([key, { kind: 'miss' }]);
    }
    expect((await table.lookup("o'hara@example.com")).kind).toBe('found');
    expect((await table.lookup('back\\slash@example.com')).kind).toBe('found');
  });

  test('a query that the server refuses, and one with an open placeholder, are errors', async () => {
    const wrong = openTable(server.cf('wrong.cf', "query = SELECT x FROM nowhere WHERE y = '%s'"));
    expect(await wrong.lookup('a')).toMatchObject({
      kind: 'error',
      reason: expect.stringMatching(/nowhere' doesn't exist/),
    });
    const open = openTable(server.cf('open.cf', 'query = SELECT v FROM entries WHERE k = "%s"'));
    expect(await open.lookup('a')).toMatchObject({
      kind: 'error',
      reason: expect.stringContaining('single quotes'),
    });
  });
});
