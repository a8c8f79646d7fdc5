/** mysql tables (MySQL and MariaDB), by the files of mysql_table(5). The driver is loaded at the first lookup. */
import { readFileSync } from 'node:fs';
import type { Pool } from 'mariadb';
import type { BareTable } from '../table.ts';
import { databaseTable } from './answers.ts';
import { AnswerError, openHosts } from './hosts.ts';
import { CONNECT_TIMEOUT_MS, CONNECTIONS, QUERY_TIMEOUT_MS, queryOf } from './sql.ts';
import { type TableContext, TableFileError, type TableSettings } from './table-file.ts';

export function makeMysqlTable(settings: TableSettings, context: TableContext): BareTable {
  const query = queryOf(settings, true);
  const password = settings.text('password');
  const login = { user: settings.text('user'), password, database: settings.text('dbname') };
  const idleSeconds = Math.max(1, Math.ceil(settings.time('idle_interval', '60') / 1000));
  const ssl = tlsOf(settings);
  settings.text('charset', 'utf8mb4');
  const hosts = settings.words('hosts', 'localhost').map((name) => {
    let pool: Promise<Pool> | undefined;
    const connect = async (): Promise<Pool> => {
      const { createPool } = await import('mariadb');
      return createPool({
        ...addressOf(name),
        ...login,
        ...(ssl === undefined ? {} : { ssl }),
        charset: 'utf8mb4',
        connectionLimit: CONNECTIONS,
        minimumIdle: 0,
        idleTimeout: idleSeconds,
        acquireTimeout: CONNECT_TIMEOUT_MS,
        connectTimeout: CONNECT_TIMEOUT_MS,
        initializationTimeout: CONNECT_TIMEOUT_MS,
        socketTimeout: QUERY_TIMEOUT_MS,
        rowsAsArray: true,
        // The server's own text of a number or a date, as mysql(1) prints it.
        typeCast: (column) => column.string(),
        // Without it a backslash in a string would be a letter, and the quoting rests on it.
        initSql: "SET SESSION sql_mode = REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', '')",
      });
    };
    const client = async (): Promise<Pool> => {
      pool ??= connect();
      return pool;
    };
    return { name, local: name.startsWith('unix:'), client };
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
    quote: escapeMysql,
    secrets: [password],
    ask: async (text, answers) => {
      const rows = await run(async (client) => {
        const pool = await client();
        return pool.query<readonly (readonly unknown[])[]>(text).catch((error: unknown) => {
          throw isAnswer(error) ? new AnswerError(error.sqlMessage ?? 'the server refused the query') : error;
        });
      });
      for (const row of rows) {
        if (!Array.isArray(row)) continue;
        for (const value of row as readonly unknown[]) {
          if (value !== null && value !== undefined && !answers.add(String(value))) return;
        }
      }
    },
  });
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\n': '\\n',
  '\r': '\\r',
  '\\': '\\\\',
  "'": "\\'",
  '"': '\\"',
  '\x1a': '\\Z',
};

function escapeMysql(part: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
  return part.replace(/[\0\n\r\\'"\x1a]/g, (character) => ESCAPES[character] ?? character);
}

interface ServerError extends Error {
  readonly sqlMessage?: string | null;
}

/** SQLSTATE of everything but lost connections and refused logins. The driver's own errors are of class 08 and HY000. */
function isAnswer(error: unknown): error is ServerError {
  const { sqlState, errno } = error as { sqlState?: unknown; errno?: unknown };
  if (typeof sqlState !== 'string' || typeof errno !== 'number') return false;
  return errno >= 1000 && errno < 5000 && !/^(?:08|28)/.test(sqlState) && errno !== 1049 && errno !== 1053;
}

/** `host`, `host:port` or `unix:/socket`. */
function addressOf(
  name: string,
): { readonly socketPath: string } | { readonly host: string; readonly port: number } {
  if (name.startsWith('unix:')) return { socketPath: name.slice('unix:'.length) };
  const [, host, port] = /^(?:inet:)?(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(name) ?? [];
  return { host: (host ?? name).replace(/^\[|\]$/g, ''), port: Number(port ?? 3306) };
}

function tlsOf(settings: TableSettings): Record<string, unknown> | undefined {
  const file = (name: string): Record<string, Buffer> => {
    const path = settings.text(name);
    if (path === '') return {};
    try {
      return {
        [name === 'tls_CAfile' ? 'ca' : name === 'tls_key_file' ? 'key' : 'cert']: readFileSync(path),
      };
    } catch {
      throw new TableFileError(`${settings.path}: cannot read the file that "${name}" names`);
    }
  };
  const files = { ...file('tls_CAfile'), ...file('tls_cert_file'), ...file('tls_key_file') };
  const ciphers = settings.text('tls_ciphers');
  const verify = settings.yes('tls_verify_cert', false);
  if (Object.keys(files).length === 0 && ciphers === '' && !verify) return undefined;
  return { ...files, ...(ciphers === '' ? {} : { ciphers }), rejectUnauthorized: verify };
}
