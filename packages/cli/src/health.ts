/**
 * The health of a daemon over HTTP, for whoever restarts it: /livez is 503 when a part of it makes no progress, /readyz also
 * when Redis does not answer. A body says in a sentence what is wrong. It tells nothing else, and needs no password.
 */
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { parseListenAddress } from '@mailfleet/config';
import type { Progress } from '@mailfleet/telemetry';

/** Shorter than an orchestrator waits for an answer. */
const PING_MS = 2_000;

/** Resolves when it listens; it ends with the process. Throws a sentence, or what the system said about listening. */
export async function serveHealth(
  addresses: readonly string[],
  progress: Pick<Progress, 'stuck'>,
  ping: () => Promise<void>,
): Promise<void> {
  for (const text of addresses) {
    const server = createServer((request, response) => {
      void problemsAt(request.url ?? '', progress, ping).then((problems) => {
        const status = problems === undefined ? 404 : problems.length === 0 ? 200 : 503;
        response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
        response.end(`${status === 404 ? 'ask /livez or /readyz' : problems?.join('\n') || 'ok'}\n`);
      });
    });
    server.unref();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(parseListenAddress('health_listen', text), resolve);
    });
  }
}

/** Undefined: there is no such page. */
async function problemsAt(
  url: string,
  progress: Pick<Progress, 'stuck'>,
  ping: () => Promise<void>,
): Promise<readonly string[] | undefined> {
  const stuck = progress.stuck();
  if (url === '/livez') return stuck;
  if (url !== '/readyz') return undefined;
  const answers = await Promise.race([
    ping().then(
      () => true,
      () => false,
    ),
    pause(PING_MS, false, { ref: false }),
  ]);
  return answers ? stuck : ['Redis does not answer', ...stuck];
}
