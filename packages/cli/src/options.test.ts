import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { configOrExit, EX_CONFIG, sourcesOrExit } from './options.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-cli-options-'));
  vi.stubEnv('MAIL_CONFIG', '');
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

test('MAIL_CONFIG names the folder of main.cf, -c goes before it', () => {
  writeFileSync(join(directory, 'main.cf'), 'mail_name = Pigeon\n');
  vi.stubEnv('MAIL_CONFIG', directory);
  expect(configOrExit({ override: [] }).get('mail_name')).toBe('Pigeon');
  vi.stubEnv('MAIL_CONFIG', '/nowhere');
  expect(configOrExit({ config: directory, override: [] }).get('config_directory')).toBe(directory);
});

test('without either, the main.cf of the default folder counts when there is one', () => {
  expect(sourcesOrExit({ override: [] }, directory).file).toBeUndefined();
  writeFileSync(join(directory, 'main.cf'), '');
  expect(sourcesOrExit({ override: [] }, directory).file).toBe(join(directory, 'main.cf'));
});

test('a folder that was named must hold a main.cf', () => {
  const exit = vi.spyOn(process, 'exit').mockImplementation((code) => {
    throw new Error(`exit ${code}`);
  });
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  vi.stubEnv('MAIL_CONFIG', directory);
  expect(() => configOrExit({ override: [] })).toThrow(`exit ${EX_CONFIG}`);
  expect(exit).toHaveBeenCalledTimes(1);
  expect(stderr).toHaveBeenCalledWith(
    `mailfleet: there is no ${directory}/main.cf; name the folder of main.cf with -c or MAIL_CONFIG\n`,
  );
});
