/** Debian's smtp-source as a sending side: one recipient a message, each with a number of its own. */
import { spawn } from 'node:child_process';

export interface Load {
  readonly messages: number;
  readonly sessions: number;
  readonly contentBytes: number;
}

/** Sends everything, reusing connections; rejects with what smtp-source said when it ended badly. */
export async function runSource(port: number, load: Load): Promise<void> {
  const child = spawn(
    'smtp-source',
    [
      '-d', // many messages a connection
      '-N', // numbered recipients: none can hide a loss or a second copy of another
      ...['-m', String(load.messages), '-s', String(load.sessions), '-l', String(load.contentBytes)],
      ...['-f', 'sender@source.test', '-t', 'rcpt@sink.test', `127.0.0.1:${port}`],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`smtp-source ended with status ${code}: ${said}`);
}
