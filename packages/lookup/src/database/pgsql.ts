/** pgsql tables, by the files of pgsql_table(5). The driver is loaded at the first lookup. */
import type { Pool } from 'pg';
import type { BareTable } from '../table.ts';
import { databaseTable } from './answers.ts';
import { AnswerError, openHosts } from './hosts.ts';
import { CONNECT_TIMEOUT_MS, CONNECTIONS, QUERY_TIMEOUT_MS, queryOf } from './sql.ts';
import type { TableContext, TableSettings } from './table-file.ts';

export function makePgsqlTable(settings: TableSettings, context: TableContext): BareTable {
  const query = queryOf(settings, false);
  const password = settings.text('password');
  const login: Login = { user: settings.text('user'), password, database: settings.text('dbname') };
  const idleTimeoutMillis = settings.time('idle_interval', '60');
  // Every text goes to the server in this encoding.
  settings.text('encoding', 'UTF8');
  const hosts = settings.words('hosts', 'localhost').map((name) => {
    let pool: Promise<Pool> | undefined;
    const connect = async (): Promise<Pool> => {
      const { default: pg } = await import('pg');
      const made = new pg.Pool({
        ...addressOf(name, login),
        max: CONNECTIONS,
        idleTimeoutMillis,
        connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
        query_timeout: QUERY_TIMEOUT_MS,
        statement_timeout: QUERY_TIMEOUT_MS,
        // Backslashes in strings are letters then, whatever the server's default is: the quoting rests on it.
        options: '-c standard_conforming_strings=on',
        keepAlive: true,
        allowExitOnIdle: true,
        application_name: 'mailfleet',
      });
      // A connection that breaks while it is idle leaves the pool; the next lookup makes another.
      made.on('error', () => {});
      return made;
    };
    const client = async (): Promise<Pool> => {
      pool ??= connect();
      return pool;
    };
    return { name: name.replace(/\/\/[^/@]*@/, '//'), local: name.startsWith('unix:'), client };
  });
  const run = openHosts(hosts, {
    retryIntervalMs: settings.time('retry_interval', '60'),
    now: context.now,
    random: context.random,
  });
  return databaseTable({
    settings,
    context,
    query,
    quote: (part) => part.replaceAll("'", "''"),
    secrets: [password],
    ask: async (text, answers) => {
      const { rows } = await run(async (client) => {
        const pool = await client();
        // A connection that the server closed while it was idle shows it only now: one more try, with a new one.
        return pool.query({ text, rowMode: 'array' }).catch((error: unknown) => {
          if (isAnswer(error)) throw new AnswerError(error.message);
          if (!wasClosed(error)) throw error;
          return pool.query({ text, rowMode: 'array' });
        });
      });
      for (const value of (rows as readonly (readonly unknown[])[]).flat()) {
        if (value !== null && !answers.add(String(value))) return;
      }
    },
  });
}

/** SQLSTATE of everything but lost connections, missing resources, a server that shuts down, and refused logins. */
function isAnswer(error: unknown): error is Error {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^(?:08|28|3D|53|57P|58)/.test(code);
}

function wasClosed(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return (
    code === 'ECONNRESET' ||
    code === 'EPIPE' ||
    String(code).startsWith('57P') ||
    /terminated unexpectedly/.test(String(message))
  );
}

interface Login {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** `host`, `host:port`, `unix:/folder`, `inet:host:port` or a postgresql:// address. */
function addressOf(name: string, login: Login): Record<string, unknown> {
  if (/^postgres(?:ql)?:\/\//.test(name)) {
    const { user, password, database } = login;
    const url = new URL(name);
    // Not url.username: an address without a host has none.
    if (user !== '' && url.username === '') url.searchParams.set('user', user);
    if (password !== '' && url.password === '') url.searchParams.set('password', password);
    if (database !== '' && url.pathname.length <= 1) url.pathname = `/${encodeURIComponent(database)}`;
    return { connectionString: url.href };
  }
  const given = Object.fromEntries(Object.entries(login).filter(([, value]) => value !== ''));
  if (name.startsWith('unix:')) return { ...given, host: name.slice('unix:'.length) };
  const [, host, port] = /^(?:inet:)?(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(name) ?? [];
  return { ...given, host: (host ?? name).replace(/^\[|\]$/g, ''), port: Number(port ?? 5432) };
}
