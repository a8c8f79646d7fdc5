/**
 * TLS sessions of the fleet in Redis: opaque and sealed entries under names that tell nothing, by `@mailfleet/tls`.
 *
 * Names are spread over buckets, each with a hash tag of its own, so that every script keeps to one slot and no shard of mail carries
 * them all. A bucket is bounded; beyond that those go that would end first. Losing an entry costs one full handshake.
 */
import type { ScriptPort } from '@mailfleet/queue';
import type { TicketStore } from '@mailfleet/tls';
import { type EntryKind, ticketKeys } from './keys.ts';
import { ticketDelete, ticketGet, ticketPut, ticketScripts } from './ticket-scripts.ts';

/** With a few kB for each, at most some 80 MB in all. */
const MOST_PER_BUCKET = 2_048;

export function openTicketStore(queue: Pick<ScriptPort, 'openScripts'>): TicketStore {
  return openEntries(queue, 'ticket');
}

/** Logins that a server rejected, likewise sealed and bounded. Losing one costs another rejection. */
export function openRejectionStore(queue: Pick<ScriptPort, 'openScripts'>): TicketStore {
  return openEntries(queue, 'login');
}

function openEntries(queue: Pick<ScriptPort, 'openScripts'>, kind: EntryKind): TicketStore {
  const run = queue.openScripts(ticketScripts);
  // What Redis did not hear of costs a full handshake later.
  const attempt = (answer: Promise<unknown>): void => void answer.catch(() => undefined);
  return {
    async get(name) {
      const text = await run(ticketGet, [ticketKeys(name, kind).ticket], []);
      return typeof text === 'string' ? Buffer.from(text, 'base64') : undefined;
    },
    put(name, sealed, lifetimeMs) {
      const { ticket, names, prefix } = ticketKeys(name, kind);
      const text = sealed.toString('base64');
      attempt(run(ticketPut, [ticket, names], [name, text, lifetimeMs, MOST_PER_BUCKET, prefix]));
    },
    delete(name) {
      const { ticket, names } = ticketKeys(name, kind);
      attempt(run(ticketDelete, [ticket, names], [name]));
    },
  };
}
