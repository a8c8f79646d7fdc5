import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '@mailfleet/test-kit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Config } from './config.ts';
import { followConfig } from './follow.ts';
import { loadConfig, type Problem } from './load.ts';

let directory: string;
let written = 0;
let taken: { config: Config; names: readonly string[] }[];
let refused: (readonly Problem[])[];
let stop: () => void;

/** Modified long ago, so that nothing waits for it to settle. */
function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  written += 1;
  utimesSync(path, written, written);
  return path;
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-follow-'));
  taken = [];
  refused = [];
});
afterEach(() => {
  stop();
  rmSync(directory, { recursive: true });
});

function follow(text: string): void {
  const sources = {
    file: write('main.cf', text),
    masterFile: write('master.cf', ''),
    overrides: ['relayhost=[x]'],
  };
  const loaded = loadConfig(sources);
  if (!loaded.ok) throw new Error('the test begins with a wrong file');
  stop = followConfig({
    sources,
    config: loaded.config,
    changed: (config, names) => taken.push({ config, names }),
    refused: (problems) => refused.push(problems),
  });
}

test('config_directory: a change of its main.cf is handed over with the names that changed; overrides stay', async () => {
  follow('smtp_helo_name = one\nmyorigin = x\nsoft_bounce = yes\n');
  write('main.cf', 'smtp_helo_name = two\nsoft_bounce = yes\nrelayhost = [y]\n');
  const { config, names } = await waitFor(() => taken[0]);
  expect([config.get('smtp_helo_name'), config.get('relayhost')]).toEqual(['two', ['[x]']]);
  expect([...names].sort()).toEqual(['myorigin', 'smtp_helo_name']);
});

test('a wrong one is told once and not used, and the next right one is', async () => {
  follow('soft_bounce = no\n');
  write('main.cf', 'soft_bounce = maybe\n');
  const problems = await waitFor(() => refused[0]);
  expect(problems[0]).toMatchObject({ where: join(directory, 'main.cf:1'), name: 'soft_bounce' });
  write('main.cf', 'soft_bounce = yes\n');
  await waitFor(() => taken.length > 0);
  expect([refused.length, taken.length, taken[0]?.names]).toEqual([1, 1, ['soft_bounce']]);
});

test('a change of master.cf alone is handed over', async () => {
  follow('');
  write('master.cf', 'slow unix - - n - - smtp -o smtp_helo_name=slow.example\n');
  const { config } = await waitFor(() => taken[0]);
  expect(config.forTransport('slow').get('smtp_helo_name')).toBe('slow.example');
});

test('a file that was written just now is waited for', async () => {
  follow('');
  writeFileSync(join(directory, 'main.cf'), 'soft_bounce = yes\n');
  const began = performance.now();
  await waitFor(() => taken.length > 0);
  expect(performance.now() - began).toBeGreaterThan(990);
});
