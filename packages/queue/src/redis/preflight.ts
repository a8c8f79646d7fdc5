/**
 * Asks a Redis whether it can lose mail: it must never evict keys, and it must have each write on disk before it answers, since
 * intake's 250 rests on that answer. A Redis that cannot say (CONFIG is forbidden) counts as one that can lose mail.
 */
import { Cluster, type Redis } from 'ioredis';
import { type Connection, firstReady } from './connection.ts';

export type Preflight =
  | { readonly ok: true; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problem: string };

/** Checks every master behind the connection; with `dataLossOk` what is wrong becomes warnings. */
export async function checkSafety(connection: Connection, dataLossOk: boolean): Promise<Preflight> {
  // A cluster knows its masters only then.
  await firstReady(connection);
  const masters = connection instanceof Cluster ? connection.nodes('master') : [connection];
  const dangers = (await Promise.all(masters.map(dangersOf))).flat();
  if (masters.length === 0) dangers.push('its cluster names no master to ask, check CLUSTER NODES');
  if (dangers.length === 0) return { ok: true, warnings: [] };
  const problem = [...new Set(dangers)].join('; ');
  if (dataLossOk) return { ok: true, warnings: [`Redis can lose accepted mail: ${problem}`] };
  return {
    ok: false,
    problem: `Redis can lose accepted mail: ${problem}; change that, or set redis_data_loss_ok = yes to run all the same`,
  };
}

async function dangersOf(node: Redis): Promise<string[]> {
  const dangers: string[] = [];
  const info = await node.info();
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  const policy = field('maxmemory_policy');
  if (policy !== 'noeviction') {
    dangers.push(`its maxmemory-policy is ${policy || 'unknown'}, set maxmemory-policy noeviction`);
  }
  if (field('aof_enabled') !== '1') {
    dangers.push('it keeps no append-only file, set appendonly yes and appendfsync always');
    return dangers;
  }
  const fsync = await setting(node, 'appendfsync');
  if (fsync === undefined) dangers.push('it does not let us read appendfsync, which must be always');
  else if (fsync !== 'always')
    dangers.push(`it answers before data is on disk, set appendfsync always (it is ${fsync})`);
  return dangers;
}

async function setting(node: Redis, name: string): Promise<string | undefined> {
  try {
    const [, value] = (await node.config('GET', name)) as string[];
    return value;
  } catch {
    return undefined;
  }
}
