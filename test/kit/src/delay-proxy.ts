/**
 * A TCP relay that makes a server far away: what either side sends arrives half the round-trip time later, in order.
 * Counts the round trips that the clients waited for, which tells on a busy machine what a clock cannot.
 */
import { connect, createServer, type Socket } from 'node:net';

export interface DelayProxy {
  readonly host: string;
  readonly port: number;
  /** How often a client spoke after it had heard something: its turns, the first one of each connection included. */
  readonly turns: number;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startDelayProxy(
  server: { readonly host: string; readonly port: number },
  roundTripMs: number,
): Promise<DelayProxy> {
  const sockets = new Set<Socket>();
  let turns = 0;

  function relay(from: Socket, to: Socket, onData: () => void): void {
    const later = (deliver: () => void): void => {
      if (roundTripMs === 0) deliver();
      else setTimeout(deliver, roundTripMs / 2);
    };
    from.on('data', (chunk) => {
      onData();
      later(() => to.writable && to.write(chunk));
    });
    from.on('end', () => later(() => to.end()));
    from.on('error', () => later(() => to.destroy()));
    from.on('close', () => sockets.delete(from));
  }

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const far = connect({ ...server, allowHalfOpen: true, noDelay: true });
    for (const socket of [client, far]) sockets.add(socket);
    let clientsTurn = true;
    relay(client, far, () => {
      if (clientsTurn) turns++;
      clientsTurn = false;
    });
    relay(far, client, () => {
      clientsTurn = true;
    });
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen({ port: 0, host: '127.0.0.1' }, resolve);
  });
  const address = listener.address();

  async function close(): Promise<void> {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => listener.close(() => resolve()));
  }

  return {
    host: '127.0.0.1',
    port: address === null || typeof address === 'string' ? 0 : address.port,
    get turns() {
      return turns;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
