/**
 * Gives batches to the workers that have a session parked for their destination. A claim holds for one batch; when there is none, or Redis
 * does not answer it, the batch goes to whoever is free, as without a cache.
 */
import type { SessionRegistry } from '@mailfleet/scache';
import type { Batch } from '@mailfleet/smtp';

export type PlaceBatches = (batches: readonly Batch[]) => Promise<Batch[]>;

/** @param always workers park sessions of destinations that the scheduler sends no hint for */
export function makePlacing(registry: Pick<SessionRegistry, 'claim'>, always: boolean): PlaceBatches {
  return async (batches) => {
    const wanted = batches.filter(({ connectionLoad }) => always || connectionLoad === true);
    if (wanted.length === 0) return [...batches];
    const owners = new Map<string, string>();
    const destinations = Map.groupBy(wanted, ({ transport, nexthop }) => `${transport} ${nexthop}`);
    await Promise.all(
      [...destinations.values()].map(async (own) => {
        const [first] = own;
        if (first === undefined) return;
        const claimed = await registry.claim(first, own.length).catch((): string[] => []);
        for (const [index, worker] of claimed.entries()) owners.set(own[index]?.id ?? '', worker);
      }),
    );
    return batches.map((batch) => {
      const worker = owners.get(batch.id);
      return worker === undefined ? batch : { ...batch, worker };
    });
  };
}
