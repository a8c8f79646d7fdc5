/** A content that is gone from Redis: an alarm, the corrupt queue, and no bounce; its release finds it again once it is back. */
import { startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { Redis } from 'ioredis';
import { createTransport } from 'nodemailer';
import { expect, test } from 'vitest';
import { startFleet } from '../fleet/fleet.ts';

test('corrupt content is set aside with an alarm, listed, and delivered after its repair and release', async () => {
  let busy = true;
  await using peer = await startSmtpServer({ hooks: { rcpt: () => (busy ? '451 4.3.2 later' : undefined) } });
  await using fleet = await startFleet({ parameters: { relayhost: `[127.0.0.1]:${peer.port}` } });
  const transport = createTransport({ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true });
  const sent = await transport.sendMail({
    from: 'alice@example.org',
    to: 'bob@example.net',
    text: 'precious',
  });
  const queueId = /queued as (\w+)/.exec(sent.response)?.[1] ?? '';
  const listed = async () => (await fleet.command(['queue', '-j', '--queue', 'corrupt'])).stdout;
  await waitFor(async () => (await fleet.maillog()).includes('status=deferred'), 30_000, 'the first attempt');

  const [, socket = ''] = /unixsocket (\S+)|unix:\/\/(\S+)/.exec(fleet.output()) ?? [];
  const redis = new Redis(socket === '' ? `${fleet.directory}/redis/redis.sock` : socket);
  const key = `{mf0}:c:${queueId}`;
  await redis.rename(key, 'away');
  busy = false;
  expect((await fleet.command(['queue', '-i', queueId])).code).toBe(0);
  await waitFor(async () => (await listed()).includes(queueId), 30_000, 'the corrupt queue');
  expect(JSON.parse(await listed())).toMatchObject({
    queue_name: 'corrupt',
    corruption: 'its content is gone',
  });
  expect(await fleet.maillog()).toContain(
    `warning: ${queueId}: saving corrupt message in the corrupt queue: its content is gone`,
  );
  expect(await fleet.maillog()).not.toContain('notification');

  await redis.rename('away', key);
  redis.disconnect();
  expect((await fleet.command(['queue', '--release', queueId])).code).toBe(0);
  const [message] = await peer.waitForMessages(1, 30_000);
  expect(message?.raw.toString()).toContain('precious');
});
