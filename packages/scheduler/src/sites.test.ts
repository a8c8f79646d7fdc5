/** Which nexthops are of one site, by table and by what workers tell. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { makeSites } from './sites.ts';

let directory: string;
let table: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailfleet-sites-'));
  table = join(directory, 'sites');
  await writeFile(table, '/\\.orange\\.fr$/ Orange\n/^(orange|wanadoo)\\.fr$/ Orange\n');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const names = (...nexthops: readonly string[]) => nexthops.map((nexthop) => ({ transport: 'smtp', nexthop }));
const nothing = { sitesOf: async () => [] };

test('without configuration there are none, and nothing is asked', () => {
  expect(makeSites(makeConfig(), nothing, () => undefined, Date.now)).toBeUndefined();
});

test('a table names sites; what it does not know has none', async () => {
  const config = makeConfig({ destination_site_maps: `regexp:${table}` });
  const sites = makeSites(config, nothing, () => undefined, Date.now);
  await sites?.learn(0, names('Orange.fr', 'wanadoo.fr', 'free.fr'));
  expect(['orange.fr', 'WANADOO.fr', 'free.fr'].map((nexthop) => sites?.siteOf('smtp', nexthop))).toEqual([
    'orange',
    'orange',
    undefined,
  ]);
});

test('the table comes before what workers told; answers are asked for again after a minute', async () => {
  let nowMs = 1;
  const sitesOf = vi.fn(async (_shard: number, asked: readonly { nexthop: string }[]) =>
    asked.map(({ nexthop }) => `mx.${nexthop}`),
  );
  const config = makeConfig({ destination_site_maps: `regexp:${table}`, destination_site_rollup: 'yes' });
  const sites = makeSites(
    config,
    { sitesOf },
    () => undefined,
    () => nowMs,
  );
  await sites?.learn(3, names('orange.fr', 'free.fr'));
  expect(sites?.siteOf('smtp', 'orange.fr')).toBe('orange');
  expect(sites?.siteOf('smtp', 'free.fr')).toBe('mx.free.fr');
  await sites?.learn(3, names('free.fr'));
  expect(sitesOf).toHaveBeenCalledTimes(1);
  nowMs += 60_000;
  await sites?.learn(3, names('free.fr'));
  expect(sitesOf).toHaveBeenLastCalledWith(3, [{ transport: 'smtp', nexthop: 'free.fr' }]);
});

test('a table that cannot answer is told, and the nexthop has a window of its own', async () => {
  const warnings: string[] = [];
  const config = makeConfig({ destination_site_maps: `regexp:${table}.missing` });
  const sites = makeSites(config, nothing, (sentence) => warnings.push(sentence), Date.now);
  await sites?.learn(0, names('free.fr'));
  expect(sites?.siteOf('smtp', 'free.fr')).toBeUndefined();
  expect(warnings.join()).toMatch(/destination_site_maps: .*free\.fr has a window of its own meanwhile/);
});
