/**
 * MTA-STS policies that the fleet has seen (RFC 8461), in Redis for as long as they hold: what one worker fetched all apply, and a
 * restart forgets nothing. Stored as the TLS sessions are, under names of their own.
 */
import { createHash } from 'node:crypto';
import type { ScriptPort } from '@mailfleet/queue';
import type { StsCache, StsEntry } from '@mailfleet/tls';
import { ticketKeys } from './keys.ts';
import { ticketGet, ticketPut, ticketScripts } from './ticket-scripts.ts';

/** Of a few hundred bytes each. */
const MOST_PER_BUCKET = 10_000;

export function openStsCache(queue: Pick<ScriptPort, 'openScripts'>): StsCache {
  const run = queue.openScripts(ticketScripts);
  const nameOf = (domain: string): string => createHash('sha256').update(domain).digest('hex');
  return {
    async get(domain) {
      const text = await run(ticketGet, [ticketKeys(nameOf(domain), 'sts').ticket], []);
      return typeof text === 'string' ? (JSON.parse(text) as StsEntry) : undefined;
    },
    async put(domain, entry, lifetimeMs) {
      const name = nameOf(domain);
      const { ticket, names, prefix } = ticketKeys(name, 'sts');
      const life = Math.max(1, Math.floor(lifetimeMs));
      await run(ticketPut, [ticket, names], [name, JSON.stringify(entry), life, MOST_PER_BUCKET, prefix]);
    },
  };
}
