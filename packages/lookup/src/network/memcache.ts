/**
 * memcache tables, by the files of memcache_table(5): asks the cache, and where that misses the `backup` table, whose result is
 * stored. A cache that is away is a miss when there is a backup: that is what the backup is for.
 */
import { createHash } from 'node:crypto';
import { domainGate, templateOf } from '../database/answers.ts';
import { type TableContext, TableFileError, type TableSettings } from '../database/table-file.ts';
import { type BareTable, found, type LookupResult, lookupError, MISS } from '../table.ts';
import { parseSocketAddress, SocketPool } from './socket-pool.ts';

/** memcached's own limit of a key. */
const KEY_BYTES = 250;
const IDLE_MS = 60_000;
const AGE_MS = 3_600_000;
/** Times up to here are spans; longer ones would be points in time. */
const SPAN_SECONDS = 30 * 86_400;

export function makeMemcacheTable(settings: TableSettings, context: TableContext): BareTable {
  const server = settings.text('memcache', 'inet:localhost:11211');
  const address = parseSocketAddress(server);
  if (address === undefined) {
    throw new TableFileError(`${settings.path}: "memcache" is inet:host:port or unix:path`);
  }
  const format = templateOf(settings, 'key_format', settings.text('key_format', '%s'));
  const digest = digestOf(settings);
  const refuse = domainGate(settings, context);
  const flags = settings.number('flags', 0);
  const ttl = settings.number('ttl', 3600);
  const tries = settings.number('max_try', 2, 1);
  const retryPauseMs = settings.time('retry_pause', '1');
  const sizeLimit = settings.number('data_size_limit', 10_240, 1);
  const pool = new SocketPool({
    address,
    timeoutMs: settings.time('timeout', '2'),
    idleMs: IDLE_MS,
    ageMs: AGE_MS,
    answerLimit: sizeLimit + settings.number('line_size_limit', 1024, 1),
  });
  const backupSpec = settings.text('backup');
  const backup = backupSpec === '' ? undefined : context.open(backupSpec);

  const attempt = async <T>(action: () => Promise<T>): Promise<T> => {
    for (let left = tries - 1; ; left -= 1) {
      try {
        return await action();
      } catch (error) {
        if (left === 0) throw error;
        await new Promise((resolve) => setTimeout(resolve, retryPauseMs));
      }
    }
  };
  const get = (key: string): Promise<LookupResult> =>
    attempt(() => pool.exchange(Buffer.from(`get ${key}\r\n`), (bytes) => readValue(bytes, sizeLimit)));
  const set = async (key: string, value: string): Promise<void> => {
    const data = Buffer.from(value);
    if (data.length > sizeLimit) return;
    const expiry = ttl > SPAN_SECONDS ? Math.floor(Date.now() / 1000) + ttl : ttl;
    const head = Buffer.from(`set ${key} ${flags} ${expiry} ${data.length}\r\n`);
    await pool.exchange(Buffer.concat([head, data, Buffer.from('\r\n')]), readLine);
  };

  return {
    keys: format.usesParts ? 'pattern' : (backup?.keys ?? 'fixed'),
    fold: true,
    find: async (key) => {
      const refused = await refuse(key);
      if (refused !== undefined) return refused;
      const formatted = format.expand(key, key, (part) => part);
      if (formatted === undefined) return MISS;
      const name = digest(formatted);
      // Such a key would end the command, or be cut: it cannot be in the cache.
      const cacheable = Buffer.byteLength(name) <= KEY_BYTES && /^[\x21-\x7e]+$/.test(name);
      let result: LookupResult = MISS;
      if (cacheable) {
        result = await get(name).catch((error: Error) =>
          lookupError(`${settings.path}: ${server}: ${error.message}`),
        );
      }
      if (result.kind === 'found' || backup === undefined) return result;
      const answer = await backup.lookup(key);
      // The answer counts, stored or not.
      if (answer.kind === 'found' && cacheable && result.kind === 'miss') {
        await set(name, answer.value).catch(() => undefined);
      }
      return answer;
    },
  };
}

/** `key_digest`: the name of a hash that stands for the formatted key. */
function digestOf(settings: TableSettings): (key: string) => string {
  const name = settings.text('key_digest');
  if (name === '') return (key) => key;
  const digest = (key: string): string => createHash(name).update(key).digest('hex');
  try {
    digest('');
  } catch {
    throw new TableFileError(`${settings.path}: "key_digest" names no digest such as sha256`);
  }
  return digest;
}

/** `VALUE key flags bytes`, the data and `END`, or `END` alone. */
function readValue(bytes: Buffer, sizeLimit: number): { answer: LookupResult; length: number } | undefined {
  const end = bytes.indexOf('\r\n');
  if (end < 0) return undefined;
  const line = bytes.toString('latin1', 0, end);
  if (line === 'END') return { answer: MISS, length: end + 2 };
  const size = /^VALUE \S+ \d+ (\d+)$/.exec(line)?.[1];
  if (size === undefined) throw new Error(`the server says ${line.slice(0, 60)}`);
  if (Number(size) > sizeLimit) throw new Error(`the value is longer than data_size_limit (${sizeLimit})`);
  const start = end + 2;
  const length = start + Number(size) + '\r\nEND\r\n'.length;
  if (bytes.length < length) return undefined;
  return { answer: found(bytes.toString('utf8', start, start + Number(size))), length };
}

function readLine(bytes: Buffer): { answer: string; length: number } | undefined {
  const end = bytes.indexOf('\r\n');
  return end < 0 ? undefined : { answer: bytes.toString('latin1', 0, end), length: end + 2 };
}
