import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openLogOutput } from './log-output.ts';

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'maillog-'));
  file = join(folder, 'maillog');
});

afterEach(() => rmSync(folder, { recursive: true }));

const lines = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `line ${from + i}\n`);

test('close writes everything, in order', async () => {
  const output = openLogOutput(file);
  const all = lines(0, 20_000);
  for (const line of all) output.write(line);
  await output.close();
  expect(readFileSync(file, 'utf8')).toBe(all.join(''));
});

test('lines written while others are on their way are not lost, and reach the file without a close', async () => {
  const output = openLogOutput(file);
  const all = lines(0, 200);
  for (const line of all) {
    output.write(line);
    await new Promise(setImmediate);
  }
  await vi.waitFor(() => expect(readFileSync(file, 'utf8')).toBe(all.join('')), { interval: 5 });
  await output.close();
});

test('after reopen, lines go to the new file', async () => {
  const output = openLogOutput(file);
  output.write('old\n');
  await vi.waitFor(() => expect(readFileSync(file, 'utf8')).toBe('old\n'), { interval: 5 });
  renameSync(file, `${file}.1`);
  output.reopen();
  output.write('new\n');
  await output.close();
  expect([readFileSync(`${file}.1`, 'utf8'), readFileSync(file, 'utf8')]).toEqual(['old\n', 'new\n']);
});

test('a renamed file is noticed without being told', async () => {
  const output = openLogOutput(file);
  output.write('old\n');
  await vi.waitFor(() => expect(readFileSync(file, 'utf8')).toBe('old\n'), { interval: 5 });
  renameSync(file, `${file}.1`);
  await vi.waitFor(
    () => {
      output.write('new\n');
      expect(readFileSync(file, 'utf8')).toContain('new\n');
    },
    { interval: 100, timeout: 5000 },
  );
  await output.close();
});

test('a process that exits without closing leaves nothing behind', async () => {
  const script = `
    import { openLogOutput } from ${JSON.stringify(new URL('./log-output.ts', import.meta.url).href)};
    const output = openLogOutput(process.argv[1]);
    for (let i = 0; i < 5000; i++) output.write('line ' + i + '\\n');
    process.exit(0);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, file], { stdio: 'inherit' });
  await once(child, 'exit');
  expect(readFileSync(file, 'utf8')).toBe(lines(0, 5000).join(''));
});

test('a file that cannot be opened is refused with a sentence that names parameter and file', () => {
  expect(() => openLogOutput(join(folder, 'missing', 'maillog'))).toThrow(
    /^maillog_file: cannot open .*missing\/maillog for appending \(ENOENT\); check that its folder exists/,
  );
});
