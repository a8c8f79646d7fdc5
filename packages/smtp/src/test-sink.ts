/** For the tests beside it: Postfix's smtp-sink with the options of a test. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { freePort, waitFor } from '@mailfleet/test-kit';

export interface Sink extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
}

export const startSink = async (...flags: string[]): Promise<Sink> => {
  const port = await freePort();
  // It refuses to run as root; the user postfix exists wherever smtp-sink does.
  const asUser = process.getuid?.() === 0 ? ['-u', 'postfix'] : [];
  const child = spawn('smtp-sink', [...asUser, ...flags, `127.0.0.1:${port}`, '100'], {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    stdio: 'ignore',
  });
  await waitFor(() => listens(port), 5000, `smtp-sink ${flags.join(' ')} to listen`);
  return {
    host: '127.0.0.1',
    port,
    [Symbol.asyncDispose]: async () => {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
};

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
