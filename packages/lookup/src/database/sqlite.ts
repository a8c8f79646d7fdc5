/**
 * sqlite tables, by the files of sqlite_table(5). The database is opened for reading at the first lookup, and again when another
 * file stands in its place. Queries run in this thread: they are for tables with an index on what is looked up.
 */
import { stat } from 'node:fs/promises';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { BareTable } from '../table.ts';
import { databaseTable } from './answers.ts';
import { queryOf } from './sql.ts';
import type { TableContext, TableSettings } from './table-file.ts';

/** A writer that has the database is waited for this long. */
const BUSY_TIMEOUT_MS = 500;

export function makeSqliteTable(settings: TableSettings, context: TableContext): BareTable {
  const path = settings.required('dbpath');
  const query = queryOf(settings, false);
  let database: DatabaseSync | undefined;
  let identity = '';
  const current = async (): Promise<DatabaseSync> => {
    const { ino, dev } = await stat(path);
    const { DatabaseSync: Database } = await import('node:sqlite');
    if (database === undefined || identity !== `${dev}:${ino}`) {
      database?.close();
      database = new Database(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
      identity = `${dev}:${ino}`;
    }
    return database;
  };
  return databaseTable({
    settings,
    context,
    query,
    quote: (part) => part.replaceAll("'", "''"),
    secrets: [],
    ask: async (text, answers) => {
      const statement: StatementSync = (await current()).prepare(text);
      statement.setReadBigInts(true);
      for (const row of statement.iterate()) {
        // Further columns do not count, unlike those of the other databases.
        const [value] = Object.values(row);
        const shown = value instanceof Uint8Array ? Buffer.from(value).toString() : String(value);
        if (value !== null && value !== undefined && !answers.add(shown)) return;
      }
    },
  });
}
