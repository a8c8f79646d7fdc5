/** The program in the README is what it says: short, complete, and without a queue. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startSmtpServer } from '@mailfleet/test-kit';
import { expect, it } from 'vitest';

it('delivers one message', { timeout: 30_000 }, async () => {
  const folder = join(import.meta.dirname, '..');
  const program = /```js\n(.*?)```/s.exec(readFileSync(join(folder, 'README.md'), 'utf8'))?.[1] ?? '';
  expect(program.split('\n').filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(15);
  await using server = await startSmtpServer();
  const nexthop = `[127.0.0.1]:${server.port}`;
  const child = spawn(
    process.execPath,
    ['--conditions=source', '--input-type=module', '-', nexthop, 'me@example.org', 'you@example.com'],
    { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] },
  );
  child.stdin.end(program);
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  expect(output).toMatch(
    /^you@example\.com delivered 2\.0\.0 127\.0\.0\.1\[127\.0\.0\.1\]:\d+ \(250 2\.0\.0 Ok/,
  );
  expect(server.messages[0]).toMatchObject({ sender: 'me@example.org', recipients: ['you@example.com'] });
  expect(server.messages[0]?.raw.toString()).toBe('From: me@example.org\r\nSubject: hello\r\n\r\nHello!\r\n');
});
