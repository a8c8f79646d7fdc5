import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-postmap-'));
  writeFileSync(join(directory, 'main.cf'), 'default_database_type = texthash\n');
  writeFileSync(join(directory, 'table'), 'user@example.com relay:[x]\nB two\n');
});
afterAll(() => rmSync(directory, { recursive: true }));

function postmap(args: readonly string[], input = ''): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--conditions=source', MAIN, 'postmap', '-c', directory, ...args],
    { input, encoding: 'utf8' },
  );
  return { status, out: stdout, err: stderr };
}

test('the first table that has the key answers; capitals count with -f', () => {
  const table = `texthash:${join(directory, 'table')}`;
  expect(postmap(['-q', 'User@Example.com', 'inline:{x=y}', table])).toEqual({
    status: 0,
    out: 'relay:[x]\n',
    err: '',
  });
  expect(postmap(['-q', 'nobody', table])).toEqual({ status: 1, out: '', err: '' });
  expect(postmap(['-f', '-q', 'B', table]).out).toBe('two\n');
  expect(postmap(['-f', '-q', 'b', table]).status).toBe(1);
});

test('default_database_type: what a path alone is', () => {
  expect(postmap(['-q', 'b', join(directory, 'table')]).out).toBe('two\n');
  expect(
    postmap(['-o', 'default_database_type=cidr', '-q', '192.0.2.1', join(directory, 'table')]).err,
  ).toContain('is not an address or a block');
});

test('keys from standard input', () => {
  expect(postmap(['-q', '-', 'inline:{a=1,b=2}'], 'a\nc\nb\n')).toEqual({
    status: 0,
    out: 'a\t1\nb\t2\n',
    err: '',
  });
});

test('a table that is out of order, and a call without -q, end with a sentence', () => {
  const broken = postmap(['-q', 'a', 'texthash:/does/not/exist']);
  expect([broken.status, broken.out]).toEqual([69, '']);
  expect(broken.err).toMatch(/^mailfleet postmap: cannot read \/does\/not\/exist/);
  expect(postmap(['hash:/etc/x'])).toMatchObject({
    status: 64,
    err: expect.stringContaining('nothing to build'),
  });
});
