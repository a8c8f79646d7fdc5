import { expect, it } from 'vitest';
import { CacheStatistics } from './cache-statistics.ts';

const start = new Date(2026, 10, 3, 23, 4, 5).getTime();

it('reports lookups and peaks of an interval, and begins anew', () => {
  const statistics = new CacheStatistics(start);
  statistics.lookedUp('domain', true);
  statistics.lookedUp('domain', true);
  statistics.lookedUp('domain', false);
  statistics.lookedUp('address', false);
  statistics.parked(1, 2, 3);
  statistics.parked(2, 1, 1);
  expect(statistics.report(start + 600_000)).toEqual([
    'statistics: start interval Nov  3 23:04:05',
    'statistics: domain lookup hits=2 miss=1 success=66%',
    'statistics: address lookup hits=0 miss=1 success=0%',
    'statistics: max simultaneous domains=2 addresses=2 connection=3',
  ]);
  expect(statistics.report(start)).toEqual([]);
  statistics.parked(1, 1, 1);
  expect(statistics.report(start)).toEqual([
    'statistics: start interval Nov  3 23:04:05',
    'statistics: max simultaneous domains=1 addresses=1 connection=1',
  ]);
});
