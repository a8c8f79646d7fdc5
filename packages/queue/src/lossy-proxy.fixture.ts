/** A way to Redis that loses answers: what a cut between a command and its answer leaves behind, for tests. */
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';

export interface LossyProxy extends AsyncDisposable {
  readonly url: string;
  /** The next command that holds `text` reaches Redis, but instead of the answer its connection ends. Resolves then. */
  loseAnswerTo(text: string): Promise<void>;
  /** Ends all connections and takes no other until `up`. */
  down(): void;
  up(): void;
}

export async function startLossyProxy(redisUrl: string): Promise<LossyProxy> {
  const path = redisUrl.replace('unix://', '');
  const open = new Set<Socket>();
  let isDown = false;
  let trap: { readonly text: string; readonly sprung: () => void } | undefined;
  const server = createServer((client) => {
    open.add(client);
    client.on('error', () => undefined);
    const upstream = createConnection(path);
    upstream.on('error', () => undefined);
    client.on('close', () => {
      open.delete(client);
      upstream.destroy();
    });
    upstream.on('close', () => client.destroy());
    if (isDown) client.destroy();
    let sprung: (() => void) | undefined;
    client.on('data', (chunk) => {
      if (trap !== undefined && chunk.includes(trap.text)) {
        sprung = trap.sprung;
        trap = undefined;
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (sprung === undefined) client.write(chunk);
      else {
        client.destroy();
        sprung();
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const end = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    url: `redis://127.0.0.1:${address.port}`,
    loseAnswerTo: (text) =>
      new Promise((resolve) => {
        trap = { text, sprung: resolve };
      }),
    down() {
      isDown = true;
      end();
    },
    up() {
      isDown = false;
    },
    async [Symbol.asyncDispose]() {
      end();
      server.close();
      await once(server, 'close');
    },
  };
}
