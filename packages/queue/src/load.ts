/** The queue's code is loaded when the first queue is opened: `mailfleet up` only starts a Redis, and does without the client. */
import type { checkRedis as Check, openQueue as Open } from './open-queue.ts';

export const openQueue: typeof Open = async (options) => (await import('./open-queue.ts')).openQueue(options);

export const checkRedis: typeof Check = async (options) =>
  (await import('./open-queue.ts')).checkRedis(options);
