/** The names of the registry's keys, in the hash tag of the destination's shard, and of the sealed entries. What they hold: docs/architecture.md, Redis. */
import { createHash } from 'node:crypto';

/** Where mail wants to go. */
export interface Destination {
  readonly shard: number;
  readonly transport: string;
  readonly nexthop: string;
}

export interface RegistryKeys {
  /** Session ids by the time (ms) up to which they may be claimed. */
  readonly all: string;
  /** What is known of each, JSON. */
  readonly records: string;
}

export const registryKeys = (prefix: string): RegistryKeys => ({
  all: `${prefix}session:all`,
  records: `${prefix}session:records`,
});

/** Ids of one destination's sessions, likewise. */
export const destinationKey = (prefix: string, { transport, nexthop }: Destination): string =>
  `${prefix}session:to:${transport}:${nexthop}`;

export interface BoardKeys {
  /** Somebody wants to know of sessions. */
  readonly question: string;
  /** Workers by the time (ms) of their answer. */
  readonly answers: string;
  answer(worker: string): string;
}

/** @param prefix of shard 0, whatever shards the sessions' destinations are of */
export const boardKeys = (prefix: string): BoardKeys => ({
  question: `${prefix}session:question`,
  answers: `${prefix}session:answers`,
  answer: (worker) => `${prefix}session:of:${worker}`,
});

/** Sessions of one server, `<id> <worker>` by time; each endpoint has a hash tag of its own. It names no one that may read Redis. */
export const endpointSessions = (endpoint: string): string =>
  `{mfe${createHash('sha256').update(endpoint).digest('base64url')}}:sessions`;

export interface TicketKeys {
  readonly ticket: string;
  /** Names of the bucket's entries by the time (ms) that they end. */
  readonly names: string;
  /** What each entry's key begins with. */
  readonly prefix: string;
}

/** Sealed entries: TLS sessions, and logins that were rejected; in clear: MTA-STS policies, and servers whose handshakes fail. */
export type EntryKind = 'ticket' | 'login' | 'sts' | 'handshake';

/** @param name in hex: its first digit is the bucket */
export const ticketKeys = (name: string, kind: EntryKind = 'ticket'): TicketKeys => {
  const prefix = `{mft${name.slice(0, 1)}}:${kind}:`;
  return { ticket: `${prefix}${name}`, names: `${prefix}names`, prefix };
};

/** Counted TLS results. @param bucket a hex digit */
export const tlsrptKeys = (
  bucket: string,
  day: string,
  domain: string,
): { readonly counts: string; readonly due: string } => ({
  counts: `{mfr${bucket}}:tlsrpt:${day}:${domain}`,
  due: `{mfr${bucket}}:tlsrpt:due`,
});
