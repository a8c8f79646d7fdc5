/** pgsql tables on a real PostgreSQL. */
import { join } from 'node:path';
import { openTable } from '@mailfleet/lookup';
import { freePort, installed } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conforms, ENTRIES, expectLikePostmap, writeTableFile } from './conformance.ts';
import { PASSWORD, POSTGRES_PROGRAMS, startPostgres } from './servers.ts';

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

async function startFilled() {
  const server = await startPostgres();
  const values = Object.entries(ENTRIES).map(([key, value]) => `(${quoted(key)}, ${quoted(value)})`);
  await server.sql(
    `CREATE TABLE entries (key text PRIMARY KEY, value text); INSERT INTO entries VALUES ${values}`,
  );
  const cf = (name: string, ...lines: string[]): string => {
    const path = join(server.directory, name);
    const login = [
      `hosts = 127.0.0.1:${server.port}`,
      'user = mail',
      `password = ${PASSWORD}`,
      'dbname = mail',
    ];
    writeTableFile(path, [...login, ...lines]);
    return `pgsql:${path}`;
  };
  return Object.assign(server, { cf });
}

let server: Awaited<ReturnType<typeof startFilled>>;
const there = installed(POSTGRES_PROGRAMS);
beforeAll(async () => {
  if (there) server = await startFilled();
});
afterAll(() => server?.[Symbol.asyncDispose]());

conforms('pgsql', there, async () => {
  return {
    spec: server.cf('table.cf', "query = SELECT value FROM entries WHERE key = '%s'"),
    secret: PASSWORD,
    // Until 3.8 it speaks Latin-1 with the server.
    notInPostmap: /[^ -~]/,
    change: (value) =>
      server.sql(
        `INSERT INTO entries VALUES ('added@example.com', '${value}') ON CONFLICT (key) DO UPDATE SET value = '${value}'`,
      ),
    trouble: { begin: server.stop, end: server.start },
    [Symbol.asyncDispose]: async () => {},
  };
});

describe.skipIf(!there)('pgsql', () => {
  beforeAll(async () => {
    await server.sql(
      `CREATE TABLE aliases (name text, domain text, target text);
       INSERT INTO aliases VALUES ('ann', 'example.com', 'ann1@box'), ('ann', 'example.com', 'ann2@box'),
         ('ann', 'example.com', NULL), ('ann', 'example.com', ''), ('bob', 'sub.example.com', 'bob')`,
    );
  });

  test('parts of the key, result_format, several values, agreeing with postmap', async () => {
    const parts = "query = SELECT target FROM aliases WHERE name = '%u' AND domain = '%d'";
    const byLabels = "query = SELECT target FROM aliases WHERE domain = '%3.%2.%1'";
    const keys = [
      'ann@example.com',
      'bob@sub.example.com',
      'ann',
      '@example.com',
      'a@x',
      'z@sub.example.com',
    ];
    for (const spec of [
      server.cf('parts.cf', parts),
      server.cf('format.cf', parts, 'result_format = smtp:[%s]:%S:%U:%D:100%%'),
      server.cf('labels.cf', byLabels),
      server.cf('domains.cf', parts, 'domain = example.com, example.net'),
      server.cf('valueparts.cf', parts, 'result_format = %u|%d'),
      server.cf(
        'older.cf',
        'table = aliases',
        'select_field = target',
        'where_field = name',
        "additional_conditions = and domain = 'example.com'",
      ),
    ]) {
      await expectLikePostmap(openTable(spec), keys);
    }
    expect(await openTable(server.cf('parts.cf', parts)).lookup('ann@example.com')).toEqual({
      kind: 'found',
      value: 'ann1@box,ann2@box',
    });
  });

  test('expansion_limit', async () => {
    const query = "query = SELECT target FROM aliases WHERE name = '%u'";
    const limited = await openTable(server.cf('limit.cf', query, 'expansion_limit = 1')).lookup(
      'ann@x.example',
    );
    expect(limited).toMatchObject({ kind: 'error', reason: expect.stringContaining('more than 1 results') });
    const enough = openTable(server.cf('enough.cf', query, 'expansion_limit = 2'));
    expect((await enough.lookup('ann@x.example')).kind).toBe('found');
  });

  test('a query whose key stands outside of a string is refused before anything is sent', async () => {
    for (const query of [
      'SELECT value FROM entries WHERE key = %s',
      "SELECT value FROM entries WHERE key = E'%s'",
      'SELECT value FROM entries WHERE "%s" = key',
      "SELECT value FROM entries WHERE key = 'a' || %u || 'b'",
    ]) {
      expect(await openTable(server.cf('open.cf', `query = ${query}`)).lookup('x')).toMatchObject({
        kind: 'error',
        reason: expect.stringContaining('does not stand between single quotes'),
      });
    }
  });

  test('a query that the server refuses is an error with its reason, and no reason to leave the server alone', async () => {
    const table = openTable(server.cf('wrong.cf', "query = SELECT nothing FROM nowhere WHERE x = '%s'"));
    for (const _ of [1, 2]) {
      expect(await table.lookup('x')).toMatchObject({
        kind: 'error',
        reason: expect.stringMatching(/wrong\.cf: .*nowhere.* does not exist/),
      });
    }
  });

  test('hosts: one that is away is passed over, and a wrong password does not show itself', async () => {
    const query = "query = SELECT value FROM entries WHERE key = '%s'";
    const dead = await freePort();
    const two = openTable(server.cf('two.cf', `hosts = 127.0.0.1:${dead} 127.0.0.1:${server.port}`, query), {
      random: () => 0,
    });
    expect((await two.lookup('user@example.com')).kind).toBe('found');
    const socket = openTable(
      server.cf(
        'socket.cf',
        `hosts = postgresql:///mail?host=${server.directory}&port=${server.port}`,
        query,
      ),
    );
    expect((await socket.lookup('user@example.com')).kind).toBe('found');
    const wrong = openTable(server.cf('password.cf', 'password = NotTheOne', query));
    const refused = await wrong.lookup('user@example.com');
    expect(refused).toMatchObject({
      kind: 'error',
      reason: expect.stringContaining('authentication failed'),
    });
    expect(JSON.stringify(refused)).not.toContain('NotTheOne');
  });
});
