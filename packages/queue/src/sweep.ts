/** Removes content files that no message names: left by an intake that died before accept, or a leader that died after retiring. */
import type { QueueContext } from './context.ts';

/** Looks at files older than `ageMs`; an accept in progress must be younger than that. Returns how many it removed. */
export async function sweepFiles(context: QueueContext, ageMs: number): Promise<number> {
  let removed = 0;
  for await (const name of context.files.namesBefore(context.now() - ageMs)) {
    const owners = await Promise.all(context.shards.map(({ files }) => context.redis.zscore(files, name)));
    if (owners.every((owner) => owner === null)) {
      await context.files.remove(name);
      removed += 1;
    }
  }
  return removed;
}
