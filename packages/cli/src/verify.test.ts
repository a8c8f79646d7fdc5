import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { verifyCommand } from './verify.ts';

let directory: string;
let stdout = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-cli-verify-'));
  stdout = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
  process.exitCode = undefined;
});

test('a probe says deliverable or not, and leaves no message', async () => {
  await using peer = await startSmtpServer({
    hooks: {
      rcpt: ({ recipient }) =>
        recipient?.startsWith('no') === true
          ? '550 5.1.1 who is that'
          : recipient?.startsWith('later') === true
            ? '450 4.2.1 busy'
            : undefined,
    },
  });
  const to = `[127.0.0.1]:${peer.port}`;
  writeFileSync(
    join(directory, 'main.cf'),
    `myhostname = mx.test\nsmtp_tls_security_level = none\ntransport_maps = inline:{ { a.test = smtp:${to} }, { gone.test = error:5.1.6 moved } }\n`,
  );
  const verify = (...addresses: string[]): Promise<unknown> =>
    verifyCommand().parseAsync(['-c', directory, ...addresses], { from: 'user' });

  await verify('yes@a.test');
  expect(stdout).toMatch(
    /^yes@a\.test: deliverable relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+ dsn=2\.1\.5 \(250 /,
  );
  expect(process.exitCode).toBeUndefined();
  await verify('later@a.test');
  expect(process.exitCode).toBe(75);
  await verify('later@a.test', 'no@a.test', 'b@gone.test');
  expect(process.exitCode).toBe(67);
  expect(stdout).toContain('later@a.test: unknown relay=');
  expect(stdout).toMatch(/^no@a\.test: undeliverable .* dsn=5\.1\.1 \(host .*who is that/m);
  expect(stdout).toContain('b@gone.test: undeliverable relay=none dsn=5.1.6 (moved)');
  expect(peer.messages).toEqual([]);
  expect(peer.sessions[0]?.commands.at(1)).toMatch(/^MAIL FROM:<double-bounce@mx\.test>/);
});
