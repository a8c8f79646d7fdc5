/** What the ports of one process share. Made by openQueue. */
import type { Config } from '@mailfleet/config';
import type { Bull } from './bull/bull.ts';
import type { ContentFiles } from './content-files.ts';
import type { ShardKeys } from './keys.ts';
import type { Connection, ConnectionLog } from './redis/connection.ts';
import type { PromptRunner } from './scripts/lanes.ts';
import type { RunScript } from './scripts/script.ts';

export interface QueueContext {
  readonly config: Config;
  /** Keys of each shard, by its number. */
  readonly shards: readonly ShardKeys[];
  /** Pipelined commands. */
  readonly redis: Connection;
  readonly run: RunScript;
  /** For a script that may not be repeated: rejects when its answer is lost or Redis is away. */
  readonly runOnce: RunScript;
  readonly prompt: PromptRunner;
  /** A connection of its own for each blocking reader. */
  readonly openBlocking: (name: string) => Connection;
  readonly files: ContentFiles;
  /** BullMQ, loaded at the first call. */
  readonly bull: () => Promise<Bull>;
  readonly now: () => number;
  readonly log: ConnectionLog;
}

/** Keys of a shard; a number that the fleet does not have is a bug of the caller. */
export function keysOfShard(context: Pick<QueueContext, 'shards'>, shard: number): ShardKeys {
  const keys = context.shards[shard];
  if (keys === undefined) {
    throw new Error(`there is no shard ${shard}: scheduler_shards is ${context.shards.length} here`);
  }
  return keys;
}
