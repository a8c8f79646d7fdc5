/**
 * redis tables, ours: data that an operator keeps in a Redis of his own, not the fleet's state. The file names `url`
 * (`redis://` or `rediss://`, with `password` beside it rather than in it) and either `key_format` for GET or also `hash` for
 * HGET. The driver is loaded at the first lookup.
 */
import type { Redis } from 'ioredis';
import { databaseTable, templateOf } from '../database/answers.ts';
import { AnswerError } from '../database/hosts.ts';
import { type TableContext, TableFileError, type TableSettings } from '../database/table-file.ts';
import type { BareTable } from '../table.ts';

const IDLE_MS = 60_000;

export function makeRedisTable(settings: TableSettings, context: TableContext): BareTable {
  const url = settings.text('url', 'redis://localhost:6379');
  if (!/^rediss?:\/\//.test(url))
    throw new TableFileError(`${settings.path}: "url" is redis://… or rediss://…`);
  const password = settings.text('password');
  const hash = settings.text('hash');
  const timeoutMs = settings.time('timeout', '5');
  let client: Redis | undefined;
  let idle: NodeJS.Timeout | undefined;
  const connected = async (): Promise<Redis> => {
    const { Redis: Client } = await import('ioredis');
    client ??= new Client(url, {
      ...(password === '' ? {} : { password }),
      connectTimeout: timeoutMs,
      commandTimeout: timeoutMs,
      maxRetriesPerRequest: 1,
      retryStrategy: (times) => Math.min(times * 200, 5_000),
      // A lookup fails rather than waits for a server that is away.
      autoResubscribe: false,
      connectionName: 'mailfleet-table',
    }).on('error', () => {});
    return client;
  };
  return databaseTable({
    settings,
    context,
    query: templateOf(settings, 'key_format', settings.text('key_format', '%s')),
    quote: (part) => part,
    secrets: [password, decodeURIComponent(new URL(url).password)],
    ask: async (key, answers) => {
      clearTimeout(idle);
      try {
        const redis = await connected();
        const value = await (hash === '' ? redis.get(key) : redis.hget(hash, key));
        if (value !== null) answers.add(value);
      } catch (error) {
        throw new AnswerError(error instanceof Error ? error.message : String(error));
      } finally {
        clearTimeout(idle);
        idle = setTimeout(() => {
          client?.disconnect();
          client = undefined;
        }, IDLE_MS).unref();
      }
    },
  });
}
