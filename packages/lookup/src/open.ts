/**
 * Opens tables by `type:name`, and lists of them. Opening never fails: a table of an unknown type or with an unreadable file
 * answers each lookup with an error, as in Postfix's daemons. Files are read at the first lookup and again after a change.
 *
 * Rules that hold for every table: keys of fixed-string tables are folded unless `fold` is off, pattern tables skip partial
 * keys, and an empty result is a configuration error, not a miss.
 */
import { cidrSyntax } from './cidr-rules.ts';
import { openPipemap, openRandmap, openUnionmap } from './combined.ts';
import { readCdb, readLmdb } from './compiled-tables.ts';
import { makeLdapTable } from './database/ldap.ts';
import { makeMysqlTable } from './database/mysql.ts';
import { makePgsqlTable } from './database/pgsql.ts';
import { makeSqliteTable } from './database/sqlite.ts';
import { type MakeTable, openFileTable } from './database/table-file.ts';
import { openJsonTable } from './json-table.ts';
import { matchDomainsWith } from './match-items.ts';
import { makeHttpTable } from './network/http.ts';
import { makeMemcacheTable } from './network/memcache.ts';
import { makeRedisTable } from './network/redis.ts';
import { openSocketmap } from './network/socketmap.ts';
import { openTcpTable } from './network/tcp.ts';
import { patternSyntax } from './pattern-rules.ts';
import { openRuleTable } from './rules.ts';
import { bracedText, parseSpec } from './spec.ts';
import {
  type BareTable,
  failedTable,
  foldKey,
  found,
  type LookupResult,
  lookupError,
  MISS,
  type Table,
  type TableOptions,
} from './table.ts';
import { openInlineTable, openTextTable } from './text-table.ts';

/** Opens one table. */
export function openTable(spec: string, options: TableOptions = {}): Table {
  const bare = openBare(spec, options);
  return {
    spec,
    get keys() {
      return bare.keys;
    },
    lookup: async (key, { partial = false } = {}) => {
      if (partial && bare.keys === 'pattern') return MISS;
      const fold = options.fold !== false && (bare.fold ?? bare.keys === 'fixed');
      const result = await bare.find(fold ? foldKey(key) : key);
      if (result.kind === 'found' && result.value === '') {
        return lookupError(`${spec} has an empty result for "${key}"; a result must not be empty`);
      }
      return result;
    },
  };
}

/**
 * Opens a list of tables as one: each is asked in turn, the first hit wins and an error ends the search. An empty list
 * always misses.
 */
export function openMaps(specs: readonly string[], options: TableOptions = {}): Table {
  const tables = specs.map((spec) => openTable(spec, options));
  return {
    spec: specs.join(' '),
    get keys() {
      return tables.some((table) => table.keys === 'fixed') ? 'fixed' : 'pattern';
    },
    lookup: async (key, lookupOptions) => {
      let result: LookupResult = MISS;
      for (const table of tables) {
        result = await table.lookup(key, lookupOptions);
        if (result.kind !== 'miss') break;
      }
      return result;
    },
  };
}

function openBare(spec: string, options: TableOptions): BareTable {
  const { type, name } = parseSpec(spec, options.defaultType ?? 'hash');
  const { fold = true, warn = () => {}, now = () => performance.now(), random = Math.random } = options;
  const open = (member: string): Table => openTable(member, options);
  switch (type) {
    case 'hash':
    case 'btree':
    case 'lmdb':
    case 'cdb':
    case 'dbm':
    case 'sdbm':
      return openTextTable({
        path: name,
        fold: true,
        duplicates: 'first counts',
        compiled: COMPILED[type],
        warn,
        now,
      });
    case 'texthash':
      return openTextTable({ path: name, fold, duplicates: 'refuse', warn, now });
    case 'inline':
      return openInlineTable(name, fold);
    case 'static': {
      const text = bracedText(name) ?? name;
      return { keys: 'fixed', find: () => found(text) };
    }
    case 'environ':
      return { keys: 'fixed', find: (key) => environment(key) };
    case 'fail':
      return failedTable(`${spec} fails every lookup`);
    case 'regexp':
    case 'pcre':
      return openRuleTable(type, name, patternSyntax(type), warn, now);
    case 'cidr':
      return openRuleTable(type, name, cidrSyntax, warn, now);
    case 'pipemap':
      return openPipemap(name, open);
    case 'unionmap':
      return openUnionmap(name, open);
    case 'randmap':
      return openRandmap(name, random);
    case 'json':
      return openJsonTable(name, fold, now);
    case 'sqlite':
    case 'pgsql':
    case 'mysql':
    case 'ldap':
    case 'memcache':
    case 'redis':
    case 'http':
      return openFileTable(type, name, makers[type], {
        now,
        random,
        warn,
        open,
        matchDomains: (patterns) => matchDomainsWith(openTable, patterns, options),
      });
    case 'socketmap':
      return openSocketmap(spec, name, options.socketmap ?? SOCKETMAP_LIMITS);
    case 'tcp':
      return openTcpTable(spec, name);
    case 'proxy':
      // There is no chroot here that a proxy process would have to bridge.
      return openBare(name, options);
    default:
      return failedTable(`"${spec}": the table type "${type}" is not supported`);
  }
}

/** What postmap makes of a text. */
const COMPILED = {
  hash: { suffix: '.db' },
  btree: { suffix: '.db' },
  dbm: { suffix: '.pag' },
  sdbm: { suffix: '.pag' },
  cdb: { suffix: '.cdb', read: readCdb },
  lmdb: { suffix: '.lmdb', read: readLmdb },
} as const;

/** The defaults of socketmap_max_query_size and socketmap_max_reply_size. */
const SOCKETMAP_LIMITS = { querySizeBytes: 10_000, replySizeBytes: 100_000 };

const makers = {
  sqlite: makeSqliteTable,
  pgsql: makePgsqlTable,
  mysql: makeMysqlTable,
  ldap: makeLdapTable,
  memcache: makeMemcacheTable,
  redis: makeRedisTable,
  http: makeHttpTable,
} as const satisfies Readonly<Record<string, MakeTable>>;

function environment(key: string): LookupResult {
  const value = process.env[key];
  return value === undefined ? MISS : found(value);
}
