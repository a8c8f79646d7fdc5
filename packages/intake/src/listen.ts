/** Where a listener listens: `address:port`, `[IPv6]:port`, or `unix:/path`. */
import { rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';

export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** Throws a sentence that names the parameter. Port 0 takes any free port. */
export function parseListenAddress(parameter: string, text: string): ListenAddress {
  if (text.startsWith('unix:/')) return { path: text.slice('unix:'.length) };
  const [, bracketed, plain, port = ''] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535) {
    throw new Error(
      `${parameter}: "${text}" is no address to listen at; write address:port, [IPv6 address]:port or unix:/path`,
    );
  }
  return { host, port: Number(port) };
}

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
