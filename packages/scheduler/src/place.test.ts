import type { Batch } from '@mailfleet/smtp';
import { expect, test } from 'vitest';
import { makePlacing } from './place.ts';

const batch = (id: string, nexthop: string, connectionLoad = false): Batch => ({
  id,
  shard: 0,
  fence: 1,
  transport: 'smtp',
  protocol: 'smtp',
  nexthop,
  batchedMs: 0,
  requests: [],
  ...(connectionLoad ? { connectionLoad } : {}),
});

/** Sessions that wait, by nexthop: the workers that hold them. */
const registryOf = (parked: Record<string, string[]>) => {
  const asked: string[] = [];
  return {
    asked,
    claim: async ({ nexthop }: { readonly nexthop: string }, count: number) => {
      asked.push(`${nexthop} ${count}`);
      return (parked[nexthop] ?? []).splice(0, count);
    },
  };
};

const placed = (batches: readonly Batch[]): string[] =>
  batches.map(({ id, worker }) => `${id} ${worker ?? 'anyone'}`);

test('batches go to workers that have a session, the rest to anyone', async () => {
  const registry = registryOf({ 'a.example': ['w1', 'w2'], 'b.example': ['w3'] });
  const place = makePlacing(registry, false);
  const batches = [
    batch('1', 'a.example', true),
    batch('2', 'b.example', true),
    batch('3', 'a.example', true),
    batch('4', 'a.example', true),
    batch('5', 'b.example'),
  ];
  expect(placed(await place(batches))).toEqual(['1 w1', '2 w3', '3 w2', '4 anyone', '5 anyone']);
  expect(registry.asked.toSorted()).toEqual(['a.example 3', 'b.example 1']);
});

test('without a hint nothing is asked, unless workers park sessions unasked', async () => {
  const registry = registryOf({ 'a.example': ['w1'] });
  expect(placed(await makePlacing(registry, false)([batch('1', 'a.example')]))).toEqual(['1 anyone']);
  expect(registry.asked).toEqual([]);
  expect(placed(await makePlacing(registry, true)([batch('1', 'a.example')]))).toEqual(['1 w1']);
});

test('without an answer the batches go out all the same', async () => {
  const place = makePlacing({ claim: () => Promise.reject(new Error('Redis is away')) }, true);
  expect(placed(await place([batch('1', 'a.example', true)]))).toEqual(['1 anyone']);
});
