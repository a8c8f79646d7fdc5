/** For tests: a running intake over a real queue on a real Redis, its listeners on free ports, and what it stored. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, type QueueListing, startEmbeddedRedis } from '@mailfleet/queue';
import { createTelemetry, type MailEvent } from '@mailfleet/telemetry';
import type { IntakeOptions } from './intake.ts';
import { type IntakeDaemon, runIntake } from './run.ts';

export interface Store extends AsyncDisposable {
  readonly directory: string;
  readonly redisUrl: string;
  stopRedis(): Promise<void>;
}

export async function startStore(): Promise<Store> {
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-intake-'));
  const redis = await startEmbeddedRedis({ directory: join(directory, 'redis'), socket: true });
  return {
    directory,
    redisUrl: redis.url,
    stopRedis: () => redis.stop(),
    async [Symbol.asyncDispose]() {
      await redis.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export interface RunningIntake extends AsyncDisposable {
  readonly config: Config;
  readonly queue: Queue;
  readonly daemon: IntakeDaemon;
  readonly events: readonly MailEvent[];
  readonly http: string;
  stop(): Promise<void>;
  /** All that is in the queue, oldest first. */
  stored(): Promise<readonly QueueListing[]>;
  /** Content of a stored message. */
  content(queueId: string): Promise<string>;
  /** Files of large contents. */
  contentFiles(): Promise<readonly string[]>;
}

export async function startIntake(
  store: Store,
  values: Record<string, string> = {},
  options: Partial<IntakeOptions> = {},
): Promise<RunningIntake> {
  const contentDirectory = join(store.directory, 'content');
  const config = makeConfig({
    myhostname: 'mx.test',
    intake_smtp_listen: '127.0.0.1:0',
    intake_http_listen: '127.0.0.1:0',
    smtpd_authorized_xclient_hosts: '127.0.0.1',
    smtpd_authorized_xforward_hosts: '127.0.0.1',
    content_directory: contentDirectory,
    maillog_file: join(store.directory, 'maillog'),
    ...values,
  });
  const queue = await openQueue({ config, redisUrl: store.redisUrl });
  const events: MailEvent[] = [];
  const telemetry = createTelemetry({ config, program: 'smtpd', sinks: [(event) => events.push(event)] });
  const abort = new AbortController();
  const daemon = await runIntake({ config, queue, telemetry, signal: abort.signal, ...options });
  const stop = async (): Promise<void> => {
    abort.abort();
    await daemon.closed;
  };
  return {
    config,
    queue,
    daemon,
    events,
    http: `http://127.0.0.1:${daemon.httpPort}`,
    stop,
    stored: async () => (await queue.list({ limit: 1000 })).messages,
    async content(queueId) {
      const lease = await queue.acquireLease(0, 'test', 10_000);
      if (lease === undefined) throw new Error('another test leads the shard');
      await queue.activate(lease, 'incoming', 1000, Date.now());
      const page = await queue.activePage(lease, '0');
      await queue.releaseLease(lease, 'test');
      const message = page.messages.find(({ envelope }) => envelope.queueId === queueId);
      if (message === undefined) throw new Error(`${queueId} is not in the active queue`);
      const content = await queue.content({ ...message, activatedMs: 0 });
      if (content === undefined) throw new Error(`${queueId} has no content`);
      if (Buffer.isBuffer(content)) return content.toString();
      const chunks: Uint8Array[] = [];
      for await (const chunk of content) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    },
    contentFiles: () => readdir(contentDirectory).catch(() => []),
    async [Symbol.asyncDispose]() {
      await stop();
      await queue.close();
      await telemetry.shutdown();
    },
  };
}

/**
 * A raw SMTP dialogue: sends each line when the reply to the one before has come, and returns the replies, the greeting
 * first. A line is sent as it is, with CR LF; a Buffer without.
 */
export async function dialogue(port: number, lines: readonly (string | Buffer)[]): Promise<string[]> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  socket.setTimeout(10_000, () => socket.destroy(new Error('no reply within 10 s')));
  const replies: string[] = [];
  let pending = '';
  let next = 0;
  for await (const chunk of socket) {
    pending += String(chunk);
    for (let end = replyEnd(pending); end > 0; end = replyEnd(pending)) {
      replies.push(pending.slice(0, end).trimEnd());
      pending = pending.slice(end);
      const line = lines[next++];
      if (line === undefined) socket.end();
      else socket.write(typeof line === 'string' ? `${line}\r\n` : line);
    }
  }
  return replies;
}

/** Length of the first complete reply, 0 when there is none. */
function replyEnd(text: string): number {
  const match = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(text);
  return match?.[0].length ?? 0;
}
