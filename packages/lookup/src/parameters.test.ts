/** Parameters of tables: what they do here, or that they do nothing and say so. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, makeConfig } from '@mailfleet/config';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openMaps } from './open.ts';
import { tableOptions } from './options.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-table-parameters-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What a configuration that sets the name is told. */
function toldAbout(name: string, value: string): string | undefined {
  const loaded = loadConfig({ overrides: [`${name}=${value}`] });
  return loaded.ok ? loaded.warnings.find((warning) => warning.name === name)?.message : 'refused';
}

test('default_database_type: the type of a path alone', async () => {
  const path = join(directory, 'rules');
  writeFileSync(path, '/^a/ matched\n');
  const options = tableOptions(makeConfig({ default_database_type: 'regexp' }));
  expect(await openMaps([path], options).lookup('abc')).toEqual({ kind: 'found', value: 'matched' });
  expect((await openMaps([path], tableOptions(makeConfig())).lookup('abc')).kind).toBe('miss');
});

test('daemon_table_open_error_is_fatal: no process ends; lookups are errors until the table is mended', async () => {
  expect(toldAbout('daemon_table_open_error_is_fatal', 'yes')).toContain('until the table is mended');
  let now = 0;
  const path = join(directory, 'late');
  const table = openMaps([`texthash:${path}`], { now: () => now });
  expect(await table.lookup('a')).toMatchObject({ kind: 'error', reason: expect.stringContaining(path) });
  writeFileSync(path, 'a 1\n');
  now = 1000;
  expect(await table.lookup('a')).toEqual({ kind: 'found', value: '1' });
});

test('proxy_read_maps, proxy_write_maps, proxymap_service_name, proxywrite_service_name: proxy: needs none of them', async () => {
  const inline = 'proxy:inline:{a=1}';
  expect(await openMaps([inline]).lookup('a')).toEqual({ kind: 'found', value: '1' });
  for (const name of [
    'proxy_read_maps',
    'proxy_write_maps',
    'proxymap_service_name',
    'proxywrite_service_name',
  ]) {
    expect([name, toldAbout(name, inline)]).toEqual([name, expect.stringContaining('has no effect here')]);
  }
});

test('lmdb_map_size, berkeley_db_read_buffer_size, berkeley_db_create_buffer_size, default_cache_db_type: no effect, and the reason is told', () => {
  expect(toldAbout('lmdb_map_size', '1000')).toContain('read into memory');
  expect(toldAbout('berkeley_db_read_buffer_size', '1000')).toContain('read into memory');
  expect(toldAbout('berkeley_db_create_buffer_size', '1000')).toContain('read into memory');
  expect(toldAbout('default_cache_db_type', 'lmdb')).toContain('kept in memory and in Redis');
});

test('import_environment and export_environment: no effect, and the reason is told', () => {
  expect(toldAbout('import_environment', 'TZ')).toContain('sets the environment of a process');
  expect(toldAbout('export_environment', 'TZ')).toContain('no external commands');
});
