/**
 * Connections to Redis or Redis Cluster. They reconnect for ever and repeat what was not answered, however late, so that a restart of
 * Redis is a pause and not a failure. What may not be repeated goes over an `unrepeated` one. Each has an error listener, and an
 * outage is told once when it begins and once when it ends, however many connections it hits.
 */
import { Cluster, Redis, type RedisOptions } from 'ioredis';

export type Connection = Redis | Cluster;

/** What a process tells of its connections. */
export interface ConnectionLog {
  warn(text: string): void;
  info(text: string): void;
}

/** What a URL says of a server. */
type Target = Pick<RedisOptions, 'username' | 'password' | 'tls' | 'host' | 'port' | 'path' | 'db'>;

/** Where Redis is: one server (redis://, rediss://, unix path or redis+unix), or the seed nodes of a cluster. */
export type RedisTarget =
  | { readonly kind: 'single'; readonly url: string; readonly options: Target }
  | {
      readonly kind: 'cluster';
      readonly nodes: readonly { readonly host: string; readonly port: number }[];
      readonly options: Target;
    };

/**
 * Reads a redis_url: `redis://[user:password@]host:port[/db]`, `rediss://…`, `unix:///path` or `/path`; for a cluster
 * `redis-cluster://h1:p1,h2:p2` (`rediss-cluster://`) or several hosts in a redis:// URL. Throws a sentence that never
 * holds the password.
 */
export function parseRedisUrl(url: string): RedisTarget {
  if (url.startsWith('/')) return { kind: 'single', url, options: { path: url } };
  const match = /^([a-z+-]+):\/\/(.*)$/s.exec(url);
  const scheme = match?.[1] ?? '';
  const rest = match?.[2] ?? '';
  if (scheme === 'unix' || scheme === 'redis+unix') return { kind: 'single', url, options: { path: rest } };
  if (!['redis', 'rediss', 'redis-cluster', 'rediss-cluster'].includes(scheme) || rest === '') {
    throw new Error(
      'redis_url is not a Redis URL; write redis://host:6379, rediss://host:6379, unix:///path or redis-cluster://host1:6379,host2:6379',
    );
  }
  const at = rest.lastIndexOf('@');
  const [path = '', ...more] = rest.slice(at + 1).split('/');
  const nodes = path.split(',').map(parseNode);
  const database = more.join('/').replace(/\?.*$/, '');
  const [user = '', ...secret] = at < 0 ? [] : rest.slice(0, at).split(':');
  const options: Target = {
    ...(user === '' ? {} : { username: decodeURIComponent(user) }),
    ...(secret.length === 0 ? {} : { password: decodeURIComponent(secret.join(':')) }),
    ...(scheme.startsWith('rediss') ? { tls: {} } : {}),
  };
  const [first] = nodes;
  if (nodes.length === 1 && first !== undefined && !scheme.endsWith('-cluster')) {
    if (!/^\d*$/.test(database))
      throw new Error(`redis_url names database ${JSON.stringify(database)}; a number is wanted`);
    return {
      kind: 'single',
      url,
      options: { ...options, ...first, ...(database === '' ? {} : { db: Number(database) }) },
    };
  }
  return { kind: 'cluster', nodes, options };
}

function parseNode(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text.replace(/\?.*$/, ''));
  const host = match?.[1] ?? match?.[2];
  if (host === undefined)
    throw new Error(`redis_url names no host in ${JSON.stringify(text)}; write host:port`);
  return { host, port: match?.[3] === undefined ? 6379 : Number(match[3]) };
}

type ConnectionKind = 'pipelined' | 'plain' | 'blocking' | 'unrepeated';

/** The connections of one process: opens them, tells of outages once, closes them together. */
export interface Connections {
  /**
   * `pipelined` gathers the commands of one turn of the event loop into one write; `blocking` is for commands that wait, which
   * `close` does not wait for; `unrepeated` sends a command once or, while Redis is away, not at all, and rejects when no
   * answer comes: the command may then have been carried out.
   */
  open(options: { readonly name: string; readonly kind: ConnectionKind }): Connection;
  close(): Promise<void>;
}

export function makeConnections(target: RedisTarget, log: ConnectionLog): Connections {
  const opened: { readonly connection: Connection; readonly blocking: boolean }[] = [];
  let downSinceMs: number | undefined;
  let closing = false;
  const onError = (error: Error): void => {
    if (downSinceMs !== undefined || closing) return;
    downSinceMs = performance.now();
    log.warn(`Redis does not answer: ${error.message}; waiting until it does`);
  };
  const onReady = (): void => {
    if (downSinceMs === undefined) return;
    log.info(`Redis answers again, after ${((performance.now() - downSinceMs) / 1000).toFixed(1)} s`);
    downSinceMs = undefined;
  };
  return {
    open({ name, kind }) {
      const connection = connect(target, name, kind);
      connection.on('error', onError);
      connection.on('ready', onReady);
      opened.push({ connection, blocking: kind === 'blocking' });
      return connection;
    },
    async close() {
      closing = true;
      await Promise.all(opened.map(end));
    },
  };
}

/** Waits for answers that are on their way, unless there is no connection to bring them. */
async function end({ connection, blocking }: { connection: Connection; blocking: boolean }): Promise<void> {
  if (connection.status === 'ready' && !blocking) await connection.quit().catch(() => undefined);
  connection.disconnect();
}

/** Short: mail waits meanwhile, and a Redis that restarts is back within a second or two. */
const retryStrategy = (times: number): number => Math.min(50 * times, 1_000);

function connect(target: RedisTarget, name: string, kind: ConnectionKind): Connection {
  const repeats = kind !== 'unrepeated';
  const common = {
    connectionName: name,
    // Null: a command waits as long as Redis is away, it never fails for that; BullMQ's workers demand it. 0: every lost connection
    // rejects what was not answered.
    maxRetriesPerRequest: repeats ? null : 0,
    autoResendUnfulfilledCommands: repeats,
  } as const;
  const shared = { enableAutoPipelining: kind === 'pipelined', enableOfflineQueue: repeats } as const;
  if (target.kind === 'single') {
    return new Redis({ ...target.options, ...common, ...shared, retryStrategy });
  }
  return new Cluster([...target.nodes], {
    redisOptions: { ...target.options, ...common },
    clusterRetryStrategy: retryStrategy,
    clusterNodeRetryStrategy: retryStrategy,
    ...shared,
    // A cluster repeats a command whose connection was closed, unless this is 0.
    ...(repeats ? {} : { retryDelayOnFailover: 0 }),
  });
}

/**
 * Resolves when the connection is up for the first time, to every master of a cluster. Later losses are its commands' own to
 * tell. A cluster connects to a node with the first command for it, and without an offline queue it rejects those that come
 * while it does.
 */
export async function firstReady(connection: Connection): Promise<void> {
  await upOnce(connection);
  if (connection instanceof Cluster) {
    await Promise.all(
      connection.nodes('master').map((node) => (node.status === 'ready' ? 'PONG' : node.ping())),
    );
  }
}

async function upOnce(connection: Connection): Promise<void> {
  if (connection.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    connection.once('ready', () => resolve());
    connection.once('end', () => reject(new Error('the connection to Redis was closed')));
  });
}
