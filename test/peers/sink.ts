/** Debian's smtp-sink as a receiving side, with its running count of messages and, when asked, their recipients. */
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, waitFor } from '@mailfleet/test-kit';
import { listens } from './process.ts';

export interface Sink extends AsyncDisposable {
  readonly port: number;
  readonly messages: number;
  /** How often each recipient got a message; needs `record`. */
  deliveries(): Promise<ReadonlyMap<string, number>>;
  /** Resolves with the instant (performance.now) at which the count was seen to reach `count`. */
  reached(count: number, timeoutMs: number): Promise<number>;
}

const BACKLOG = '1000';

export async function startSink(options: { readonly record?: boolean } = {}): Promise<Sink> {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-sink-'));
  await chmod(directory, 0o777);
  const dump = join(directory, 'dump');
  // It may not run as root; postfix is there wherever smtp-sink is.
  const asUser = process.getuid?.() === 0 ? ['-u', 'postfix'] : [];
  const child = spawn(
    'smtp-sink',
    ['-c', ...asUser, ...(options.record === true ? ['-D', dump] : []), `127.0.0.1:${port}`, BACKLOG],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let messages = 0;
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-400);
    messages = Number([...text.matchAll(/mesg=(\d+)\s/g)].at(-1)?.[1] ?? messages);
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  await waitFor(() => listens(port), 5_000, 'smtp-sink to listen');
  return {
    port,
    get messages() {
      return messages;
    },
    deliveries: async () => {
      const counts = new Map<string, number>();
      for (const [, recipient = ''] of (await readFile(dump, 'latin1')).matchAll(
        /^X-Rcpt-Args: <([^>]*)>/gm,
      )) {
        counts.set(recipient, (counts.get(recipient) ?? 0) + 1);
      }
      return counts;
    },
    reached: async (count, timeoutMs) => {
      await waitFor(() => messages >= count, timeoutMs, `${count} messages at the sink (it has ${messages})`);
      return performance.now();
    },
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}
