export type * from './destination-ports.ts';
export type { EmbeddedRedis, EmbeddedRedisOptions } from './embedded/embedded-redis.ts';
export { startEmbeddedRedis } from './embedded/embedded-redis.ts';
export { checkRedis, openQueue } from './load.ts';
export type { Queue, QueueOptions } from './open-queue.ts';
export type * from './ports.ts';
export { LeaseLostError } from './ports.ts';
export type { RunScript, Script } from './scripts/script.ts';
export { fairShare, shardOf } from './shard.ts';
