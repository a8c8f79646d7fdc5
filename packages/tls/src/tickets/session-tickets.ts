/**
 * TLS sessions that a later handshake may resume (RFC 8446 section 2.2, RFC 5077), each with what its full handshake proved.
 *
 * Promises: a session is found only under the key that it was kept under, and the key holds all that the proof depends on
 * (`sessionKey`); nothing leaves the process but sealed; a lookup never takes longer than `LOOKUP_LIMIT_MS`, and none is made for what
 * is at hand; a store that fails or lies costs a full handshake. A session that came of a resumption ends with the one it came of, so that
 * a server proves itself anew at least once per lifetime.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '@mailfleet/config';
import type { PeerTrust, PeerVerdict } from '../peer.ts';
import type { TlsPolicy } from '../policy.ts';
import type { FleetKey } from './fleet-key.ts';

/** Keeps opaque entries for the whole fleet. */
export interface TicketStore {
  /** May reject. */
  get(name: string): Promise<Buffer | undefined>;
  /** Neither waits nor fails. */
  put(name: string, sealed: Buffer, lifetimeMs: number): void;
  /** Neither waits nor fails. */
  delete(name: string): void;
}

/** What a resumed session inherits: the server sends no certificate again. */
export type ProvenPeer = Pick<PeerVerdict, 'kind' | 'distrust'>;

export interface KnownSession {
  /** As node:tls made it. */
  readonly session: Buffer;
  readonly proven: ProvenPeer;
  /** Milliseconds since the epoch. */
  readonly endsMs: number;
}

export interface SessionTicketsOptions {
  /** Without it sessions stay in this process. */
  readonly fleet?: { readonly store: TicketStore; readonly key: FleetKey };
  readonly now?: () => number;
}

/** A connection goes on without an answer that takes longer. */
const LOOKUP_LIMIT_MS = 50;
/** Sessions kept in the process, the last used ones: a few kB each. */
const MOST = 4_096;
/** A server that sends more gets no place in our memory, or in Redis. */
const LONGEST_BYTES = 16_384;

const TWO_MINUTES_MS = 120_000;
const HUNDRED_DAYS_MS = 8_640_000_000;

/**
 * How long a session may be resumed (`smtp_tls_session_cache_timeout`), in milliseconds; 0: never. Naming any database switches it on, and so does
 * a fleet key.
 */
export const sessionLifetimeMs = (config: Config, protocol: 'smtp' | 'lmtp'): number => {
  const on =
    config.getFor(protocol, 'smtp_tls_session_cache_database') !== '' ||
    config.get('tls_session_cache_key_file') !== '';
  const timeoutMs = config.getFor(protocol, 'smtp_tls_session_cache_timeout');
  return on && timeoutMs > 0 ? Math.min(Math.max(timeoutMs, TWO_MINUTES_MS), HUNDRED_DAYS_MS) : 0;
};

/** All that a policy says of a handshake, the same text for policies that say the same. */
export const policyTerms = (policy: TlsPolicy): string => {
  const {
    connectionReuse: _,
    warnings: _warnings,
    failure: _failure,
    trustAnchors,
    published,
    ...terms
  } = policy;
  return JSON.stringify(canonical({ ...terms, anchors: trustAnchors?.digest, failure: published?.failure }));
};

const digests = new WeakMap<object, string>();

/** All that decides whom we trust: files of authorities may change under their name. */
export const trustTerms = ({ authorities, maxIntermediates, digest }: PeerTrust): string => {
  let known = digests.get(authorities);
  if (known === undefined) {
    const keys = authorities.publicKeys.map((key) => key.export({ type: 'spki', format: 'der' }));
    const all = [...authorities.certificates.map(({ raw }) => raw), ...keys];
    const each = all.map((der) => createHash('sha256').update(der).digest('hex'));
    known = createHash('sha256').update(each.toSorted().join(' ')).digest('hex');
    digests.set(authorities, known);
  }
  return JSON.stringify([known, maxIntermediates, digest]);
};

/** Lists of a policy are sets; what a name server answers comes in any order. */
const canonical = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map((each) => JSON.stringify(canonical(each))).toSorted();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value === null || typeof value !== 'object') return value;
  return Object.entries(value)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, each]) => [name, canonical(each)]);
};

export class SessionTickets {
  readonly #fleet: SessionTicketsOptions['fleet'];
  readonly #now: () => number;
  /** The last used one is the last. */
  readonly #known = new Map<string, KnownSession>();

  constructor(options: SessionTicketsOptions = {}) {
    this.#fleet = options.fleet;
    this.#now = options.now ?? Date.now;
  }

  async find(key: string): Promise<KnownSession | undefined> {
    const known = this.#known.get(key);
    if (known !== undefined) {
      this.#known.delete(key);
      if (known.endsMs <= this.#now()) return undefined;
      this.#known.set(key, known);
      return known;
    }
    if (this.#fleet === undefined) return undefined;
    const name = this.#fleet.key.nameOf(key);
    const sealed = await inTime(this.#fleet.store.get(name));
    const content = sealed && this.#fleet.key.open(name, sealed);
    const found = content && unpack(content);
    if (found === undefined || found.endsMs <= this.#now()) return undefined;
    this.#remember(key, found);
    return found;
  }

  keep(key: string, known: KnownSession): void {
    const lifetimeMs = Math.floor(known.endsMs - this.#now());
    if (lifetimeMs <= 0 || known.session.length > LONGEST_BYTES) return;
    this.#remember(key, known);
    if (this.#fleet === undefined) return;
    const name = this.#fleet.key.nameOf(key);
    this.#fleet.store.put(name, this.#fleet.key.seal(name, pack(known)), lifetimeMs);
  }

  /** The server would not have it. */
  forget(key: string): void {
    this.#known.delete(key);
    this.#fleet?.store.delete(this.#fleet.key.nameOf(key));
  }

  #remember(key: string, known: KnownSession): void {
    this.#known.delete(key);
    this.#known.set(key, known);
    if (this.#known.size <= MOST) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

const inTime = <T>(answer: Promise<T>): Promise<T | undefined> =>
  Promise.race([answer.catch(() => undefined), sleep(LOOKUP_LIMIT_MS, undefined, { ref: false })]);

/** A line of JSON, then the session. */
const pack = ({ session, proven, endsMs }: KnownSession): Buffer =>
  Buffer.concat([Buffer.from(`${JSON.stringify({ proven, endsMs })}\n`), session]);

/** It was sealed by one of us: its form is right. */
const unpack = (content: Buffer): KnownSession => {
  const end = content.indexOf(10);
  const { proven, endsMs } = JSON.parse(content.toString('utf8', 0, end));
  return { proven, endsMs, session: content.subarray(end + 1) };
};
