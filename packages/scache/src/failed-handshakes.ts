/** Servers whose TLS handshakes fail (`@mailfleet/tls`), in Redis for a time: bounded as TLS sessions are, under names that are digests. */
import { createHash } from 'node:crypto';
import type { ScriptPort } from '@mailfleet/queue';
import type { FailedHandshakes, TlsServer } from '@mailfleet/tls';
import { ticketKeys } from './keys.ts';
import { ticketGet, ticketPut, ticketScripts } from './ticket-scripts.ts';

const MOST_PER_BUCKET = 10_000;

export function openFailedHandshakes(queue: Pick<ScriptPort, 'openScripts'>): FailedHandshakes {
  const run = queue.openScripts(ticketScripts);
  const nameOf = ({ address, port }: TlsServer): string =>
    createHash('sha256').update(`${address} ${port}`).digest('hex');
  return {
    remember(server, forMs) {
      const name = nameOf(server);
      const { ticket, names, prefix } = ticketKeys(name, 'handshake');
      // What Redis did not hear of is found out again.
      void run(ticketPut, [ticket, names], [name, '1', forMs, MOST_PER_BUCKET, prefix]).catch(
        () => undefined,
      );
    },
    async isKnown(server) {
      return (await run(ticketGet, [ticketKeys(nameOf(server), 'handshake').ticket], [])) === '1';
    },
  };
}
