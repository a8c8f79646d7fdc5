/** Listening at an address of the configuration. */
import { rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import type { ListenAddress } from '@mailfleet/config';

/** Resolves with the port once it listens, 0 for a UNIX-domain socket; rejects with a sentence. */
export async function listen(server: Server, address: ListenAddress): Promise<number> {
  if ('path' in address) await removeLeftSocket(address.path);
  return new Promise((resolve, reject) => {
    const where = 'path' in address ? address.path : `${address.host}:${address.port}`;
    const onError = (error: Error): void => {
      reject(new Error(`cannot listen at ${where}: ${error.message}`, { cause: error }));
    };
    server.once('error', onError);
    server.listen(address, () => {
      server.off('error', onError);
      const bound = server.address();
      resolve(bound !== null && typeof bound === 'object' ? bound.port : 0);
    });
  });
}

/** A listener that was killed leaves its socket behind, and nobody could listen there again. */
async function removeLeftSocket(path: string): Promise<void> {
  const code = await new Promise<string>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve('');
    });
    socket.once('error', (error) => resolve('code' in error ? String(error.code) : ''));
  });
  if (code === 'ECONNREFUSED') await rm(path, { force: true });
}
