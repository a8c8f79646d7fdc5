/** What may be resumed, for how long, and what it costs to know. */
import { makeConfig } from '@mailfleet/config';
import { describe, expect, it, vi } from 'vitest';
import type { TlsPolicy } from '../policy.ts';
import { makeFleetKey } from './fleet-key.ts';
import {
  type KnownSession,
  policyTerms,
  SessionTickets,
  sessionLifetimeMs,
  type TicketStore,
} from './session-tickets.ts';

const HOUR_MS = 3_600_000;
const known = (more: Partial<KnownSession> = {}): KnownSession => ({
  session: Buffer.from('a session'),
  proven: { kind: 'Untrusted', distrust: 'self-signed certificate' },
  endsMs: Date.now() + HOUR_MS,
  ...more,
});

/** The fleet's store as a map, and what was asked of it. */
function memoryStore() {
  const entries = new Map<string, Buffer>();
  const store = {
    get: vi.fn(async (name: string) => entries.get(name)),
    put: vi.fn((name: string, sealed: Buffer) => void entries.set(name, sealed)),
    delete: vi.fn((name: string) => void entries.delete(name)),
  } satisfies TicketStore;
  return { entries, store };
}

const key = makeFleetKey('a secret of the whole fleet');

describe('smtp_tls_session_cache_database and smtp_tls_session_cache_timeout', () => {
  const database = { smtp_tls_session_cache_database: 'btree:/var/lib/postfix/smtp_scache' };
  it.each<[string, Record<string, string>, number]>([
    ['no database: off', {}, 0],
    ['any database: on', database, HOUR_MS],
    ['a fleet key: on', { tls_session_cache_key_file: '/key' }, HOUR_MS],
    ['1s counts as two minutes', { ...database, smtp_tls_session_cache_timeout: '1s' }, 120_000],
    ['3m', { ...database, smtp_tls_session_cache_timeout: '3m' }, 180_000],
    ['100d', { ...database, smtp_tls_session_cache_timeout: '100d' }, 8_640_000_000],
    ['0: off', { ...database, smtp_tls_session_cache_timeout: '0' }, 0],
  ])('%s', (_, values, wantedMs) => {
    expect(sessionLifetimeMs(makeConfig(values), 'smtp')).toBe(wantedMs);
  });

  it('lmtp_tls_session_cache_database and lmtp_tls_session_cache_timeout are their own', () => {
    const config = makeConfig({ ...database, lmtp_tls_session_cache_timeout: '5m' });
    expect(sessionLifetimeMs(config, 'lmtp')).toBe(0);
    const both = makeConfig({
      lmtp_tls_session_cache_database: 'btree:x',
      lmtp_tls_session_cache_timeout: '5m',
    });
    expect(sessionLifetimeMs(both, 'lmtp')).toBe(300_000);
  });
});

describe('sessions of the fleet', () => {
  it('one process keeps a session, another finds it with what was proven, once over the wire', async () => {
    const { store } = memoryStore();
    const session = known();
    new SessionTickets({ fleet: { store, key } }).keep('mx', session);
    const other = new SessionTickets({ fleet: { store, key } });
    expect(await other.find('mx')).toEqual(session);
    expect(await other.find('mx')).toEqual(session);
    expect(store.get).toHaveBeenCalledOnce();
    expect(await other.find('other')).toBeUndefined();
  });

  it('nothing in clear leaves the process', () => {
    const { entries, store } = memoryStore();
    new SessionTickets({ fleet: { store, key } }).keep('mx.test', known());
    const [[name = '', sealed = Buffer.alloc(0)] = []] = entries;
    expect(name).not.toContain('mx');
    expect(sealed.includes('a session') || sealed.includes('Untrusted')).toBe(false);
  });

  it('an entry that was moved to another name, or forged, is none', async () => {
    const { entries, store } = memoryStore();
    const tickets = new SessionTickets({ fleet: { store, key } });
    tickets.keep('weak', known());
    const [sealed = Buffer.alloc(0)] = entries.values();
    entries.set(key.nameOf('strong'), sealed);
    entries.set(key.nameOf('forged'), Buffer.from('{"proven":{"kind":"Verified"},"endsMs":9e15}\nx'));
    expect(await tickets.find('strong')).toBeUndefined();
    expect(await tickets.find('forged')).toBeUndefined();
  });

  it('a store that fails or is late is a miss', async () => {
    const { store } = memoryStore();
    const tickets = new SessionTickets({ fleet: { store, key } });
    store.get.mockRejectedValueOnce(new Error('away'));
    expect(await tickets.find('mx')).toBeUndefined();
    store.get.mockReturnValueOnce(new Promise(() => undefined));
    const startMs = performance.now();
    expect(await tickets.find('mx')).toBeUndefined();
    expect(performance.now() - startMs).toBeGreaterThan(40);
  });

  it('what the server would not have is forgotten everywhere', async () => {
    const { entries, store } = memoryStore();
    const tickets = new SessionTickets({ fleet: { store, key } });
    tickets.keep('mx', known());
    tickets.forget('mx');
    expect(entries.size).toBe(0);
    expect(await tickets.find('mx')).toBeUndefined();
  });
});

describe('sessions of a process', () => {
  it('end when their time is over', async () => {
    let nowMs = 1000;
    const tickets = new SessionTickets({ now: () => nowMs });
    tickets.keep('mx', known({ endsMs: 2000 }));
    nowMs = 1999;
    expect(await tickets.find('mx')).toBeDefined();
    nowMs = 2000;
    expect(await tickets.find('mx')).toBeUndefined();
    tickets.keep('mx', known({ endsMs: 2000 }));
    expect(await tickets.find('mx')).toBeUndefined();
  });

  it('are bounded: the ones used last stay', async () => {
    const tickets = new SessionTickets();
    tickets.keep('first', known());
    for (let index = 0; index < 4095; index += 1) tickets.keep(`mx${index}`, known());
    expect(await tickets.find('first')).toBeDefined();
    tickets.keep('one more', known());
    expect(await tickets.find('first')).toBeDefined();
    expect(await tickets.find('mx0')).toBeUndefined();
    expect(await tickets.find('mx1')).toBeDefined();
  });

  it('are of a decent size', async () => {
    const tickets = new SessionTickets();
    tickets.keep('mx', known({ session: Buffer.alloc(16_385) }));
    expect(await tickets.find('mx')).toBeUndefined();
  });
});

describe('the terms of a policy', () => {
  const policy: TlsPolicy = {
    kind: 'policy',
    level: 'secure',
    match: ['a.test', 'b.test'],
    protocols: ['>=TLSv1.2'],
    ciphers: 'medium',
    excludeCiphers: [],
    serverName: '',
    connectionReuse: true,
  };

  it('are the same in any order, and without regard to what is no part of a handshake', () => {
    const same = { ...policy, match: ['b.test', 'a.test'], connectionReuse: false, warnings: ['beware'] };
    expect(policyTerms(same)).toBe(policyTerms(policy));
  });

  it.each<Partial<TlsPolicy>>([
    { level: 'verify' },
    { match: ['a.test'] },
    { protocols: ['>=TLSv1.3'] },
    { ciphers: 'high' },
    { excludeCiphers: ['RC4'] },
    { serverName: 'a.test' },
  ])('differ by %o', (other) => {
    expect(policyTerms({ ...policy, ...other })).not.toBe(policyTerms(policy));
  });
});
