/** The TypeScript way in, as README.md shows it: that code is run, against a fleet, and checked by the compiler's types. */
import { execFile } from 'node:child_process';
import { appendFile, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeConfig } from '@mailfleet/config';
import { createIntake, enqueue } from '@mailfleet/intake';
import { openQueue } from '@mailfleet/queue';
import { createTelemetry } from '@mailfleet/telemetry';
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { expect, test } from 'vitest';
import { startFleet } from '../fleet/fleet.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test('the example of README.md sends a message; what is refused is told and not stored', async () => {
  await using peer = await startSmtpServer();
  await using fleet = await startFleet({ parameters: { relayhost: `[127.0.0.1]:${peer.port}` } });
  const redisUrl = `unix://${fleet.directory}/redis/redis.sock`;
  await appendFile(`${fleet.directory}/main.cf`, `redis_url = ${redisUrl}\n`);

  const readme = await readFile(`${ROOT}/README.md`, 'utf8');
  const example = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? '';
  expect(example).toContain("'./etc/main.cf'");
  const code = example.replace('./etc/main.cf', `${fleet.directory}/main.cf`);
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=source', '--input-type=module-typescript', '-e', code],
    { cwd: `${ROOT}/test` },
  );
  const [message] = await peer.waitForMessages(1, 20_000);
  expect(message?.recipients).toEqual(['you@example.org']);
  expect(message?.raw.toString()).toMatch(/^Subject: hello\r\n.*\r\n\r\nhi\r\n$/ms);
  const line = `${stdout.trim()}: to=<you@example.org>`;
  await waitFor(async () => (await fleet.maillog()).includes(line), 10_000, `${line} in the mail log`);

  const config = makeConfig({ maillog_file: `${fleet.directory}/maillog` });
  const telemetry = createTelemetry({ config, program: 'pickup' });
  const queue = await openQueue({ config, redisUrl, telemetry });
  const before = await queue.counts();
  const refused = await enqueue(createIntake({ config, queue, telemetry }), {
    sender: 'me@example.com',
    recipients: ['you@example.org\r\nRCPT TO:<all@example.org>'],
    content: 'Subject: x\n\nx\n',
  });
  expect(refused).toMatchObject({ ok: false, code: 501, error: 'bad-recipient' });
  expect(await queue.counts()).toEqual(before);
  await queue.close();
  await telemetry.shutdown();
});
