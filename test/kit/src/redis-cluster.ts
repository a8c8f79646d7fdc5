/** A real Redis Cluster of three masters on free ports, each with data of its own that goes with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { freePort, waitFor } from './wait.ts';

const MASTERS = 3;
const SLOTS = 16_384;
const START_TIMEOUT_MS = 20_000;

export interface RedisCluster extends AsyncDisposable {
  /** All of its nodes, as redis_url has it. */
  readonly url: string;
  /** A plain connection to each master. */
  readonly masters: readonly Redis[];
}

interface Node {
  readonly child: ChildProcess;
  readonly redis: Redis;
  readonly port: number;
}

/** @param program path of a redis-server */
export async function startRedisCluster(program: string): Promise<RedisCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-cluster-'));
  const nodes: Node[] = [];
  const stop = async (): Promise<void> => {
    for (const { child, redis } of nodes) {
      redis.disconnect();
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    }
    await rm(directory, { recursive: true, force: true });
  };
  try {
    for (let i = 0; i < MASTERS; i += 1) nodes.push(await startNode(program, directory, nodes));
    await unite(nodes);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: `redis://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    masters: nodes.map(({ redis }) => redis),
    [Symbol.asyncDispose]: stop,
  };
}

async function startNode(program: string, directory: string, others: readonly Node[]): Promise<Node> {
  const port = await clusterPort(others);
  const own = join(directory, String(port));
  await mkdir(own);
  const child = spawn(
    program,
    [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', own, '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', 'always', '--cluster-enabled', 'yes'],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  // Most who load this package start no cluster.
  const { Redis: Client } = await import('ioredis');
  const redis = new Client(port, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  return { child, port, redis };
}

/** Gives each its part of the slots and makes them one cluster. */
async function unite(nodes: readonly Node[]): Promise<void> {
  for (const [i, { redis }] of nodes.entries()) {
    const from = Math.floor((SLOTS * i) / nodes.length);
    const to = Math.floor((SLOTS * (i + 1)) / nodes.length) - 1;
    await redis.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
    await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
  }
  const [first, ...rest] = nodes;
  for (const { port } of rest) await first?.redis.call('CLUSTER', 'MEET', '127.0.0.1', port);
  const whole = new RegExp(`cluster_state:ok[\\s\\S]*cluster_known_nodes:${nodes.length}`);
  for (const { redis } of nodes) {
    await waitFor(
      async () => whole.test(String(await redis.cluster('INFO'))),
      START_TIMEOUT_MS,
      'the cluster to be whole',
    );
  }
}

/** A free port whose bus port, 10000 above, exists. */
async function clusterPort(others: readonly Node[]): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (port < 55_535 && !others.some((node) => node.port === port)) return port;
  }
}
