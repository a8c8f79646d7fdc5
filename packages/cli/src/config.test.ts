import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { configCommand } from './config.ts';
import { EX_CONFIG } from './options.ts';

let directory: string;
let output: { stdout: string; stderr: string };
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-cli-config-'));
  output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      output[stream] += String(text);
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
  process.exitCode = undefined;
});

async function run(mainCf: string, ...options: string[]): Promise<void> {
  writeFileSync(join(directory, 'main.cf'), mainCf);
  await configCommand().parseAsync(['-c', directory, ...options], { from: 'user' });
}

test('-nx shows what is set, expanded, with overrides on top', async () => {
  await run('mydomain = example.com\nrelayhost = [smtp.$mydomain]\n', '-nx', '-o', 'mydomain=example.org');
  expect(output.stdout).toBe(
    `config_directory = ${directory}\nmydomain = example.org\nrelayhost = [smtp.example.org]\n`,
  );
  expect(output.stderr).toBe('');
});

test('-M shows the services of master.cf in columns', async () => {
  writeFileSync(
    join(directory, 'master.cf'),
    'slow unix - - n - 2 smtp\n  -o {smtp_helo_name = a b}\nx unix - - n - - odd\n',
  );
  await run('', '-M', 'slow');
  expect(output.stdout).toBe(
    'slow       unix  -       -       n       -       2       smtp -o {smtp_helo_name=a b}\n',
  );
  expect(output.stderr).toMatch(
    /master\.cf:3: Mailfleet does not know the command odd; mail that is routed to x waits/,
  );
});

test('--json and names, an unknown one being a warning', async () => {
  await run('', '--json', 'soft_bounce', 'soft_bunce');
  expect(JSON.parse(output.stdout)).toEqual({ soft_bounce: 'no' });
  expect(output.stderr).toBe(
    'mailfleet config: warning: there is no parameter soft_bunce (did you mean soft_bounce?)\n',
  );
  expect(process.exitCode).toBeUndefined();
});

test('problems are told by file and line, what can be shown is shown, and the exit code says so', async () => {
  await run('soft_bounce = perhaps\nmail_name = x\n', '-n', 'mail_name');
  expect(output.stdout).toBe('mail_name = x\n');
  expect(output.stderr).toBe(
    `mailfleet config: error: ${directory}/main.cf:1: soft_bounce: "perhaps" is neither yes nor no\n`,
  );
  expect(process.exitCode).toBe(EX_CONFIG);
});
