/** TLS sessions that a later connection resumes: whose, under which policy, and with which proof. The server says what was resumed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CertificateAuthority,
  makeCertificates,
  type SmtpServer,
  startSmtpServer,
  waitFor,
} from '@mailfleet/test-kit';
import { makeFleetKey, SessionTickets, type TicketStore } from '@mailfleet/tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from '../test-agent.ts';

const servers: SmtpServer[] = [];
let authority: CertificateAuthority;
let certificate: { cert: string; key: string };
let tickets: SessionTickets;

beforeAll(() => {
  authority = makeCertificates();
  certificate = authority.issue(['mx1.test']);
});
afterAll(() => authority.remove());
beforeEach(() => {
  tickets = new SessionTickets();
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const start = async (options: Parameters<typeof startSmtpServer>[0] = {}): Promise<SmtpServer> => {
  const server = await startSmtpServer({ tls: { ...certificate }, ...options });
  servers.push(server);
  return server;
};

const send = (delivery: TestDelivery): Promise<TestResult> =>
  deliver({
    tickets,
    servers: servers.slice(0, 1),
    ...delivery,
    config: {
      smtp_tls_security_level: 'encrypt',
      smtp_tls_session_cache_database: 'btree:any',
      smtp_tls_loglevel: '1',
      ...delivery.config,
    },
  });

const resumed = (): (boolean | undefined)[] => servers[0]?.sessions.map(({ tls }) => tls?.resumed) ?? [];
const verified = {
  smtp_tls_security_level: 'verify',
  get smtp_tls_CAfile() {
    return authority.ca.certFile;
  },
};

describe('smtp_tls_session_cache_database', () => {
  it.each(['TLSv1.2', 'TLSv1.3'])(
    '%s: a second connection resumes the session of the first',
    async (version) => {
      await start();
      const config = { smtp_tls_mandatory_protocols: version };
      for (const _ of [1, 2, 3]) await send({ config });
      expect(resumed()).toEqual([false, true, true]);
      expect(servers[0]?.messageCount).toBe(3);
    },
  );

  it('empty, every handshake is a full one', async () => {
    await start();
    for (const _ of [1, 2]) await send({ config: { smtp_tls_session_cache_database: '' } });
    expect(resumed()).toEqual([false, false]);
  });

  it('with smtp_tls_session_cache_timeout = 0 too', async () => {
    await start();
    for (const _ of [1, 2]) await send({ config: { smtp_tls_session_cache_timeout: '0' } });
    expect(resumed()).toEqual([false, false]);
  });

  it('a session ends with smtp_tls_session_cache_timeout, resumed or not', async () => {
    await start();
    let nowMs = Date.now();
    tickets = new SessionTickets({ now: () => nowMs });
    const delivery = {
      config: { smtp_tls_session_cache_timeout: '5m' },
      environment: { now: () => nowMs },
    };
    for (const _ of [1, 2]) {
      await send(delivery);
      nowMs += 200_000;
    }
    await send(delivery);
    expect(resumed()).toEqual([false, true, false]);
  });
});

describe('the proof', () => {
  it('a verified session stays verified', async () => {
    await start();
    const first = await send({ config: verified });
    const second = await send({ config: verified });
    expect(resumed()).toEqual([false, true]);
    for (const { remarks } of [first, second]) {
      expect(remarks).toEqual([expect.stringMatching(/^Verified TLS connection established to mx1\.test/)]);
    }
  });

  it('an untrusted one is still untrusted, though the library calls it authorized', async () => {
    await start();
    await send({});
    const second = await send({ config: { smtp_tls_loglevel: 'summary, untrusted' } });
    expect(resumed()).toEqual([false, true]);
    expect(second.remarks).toEqual([
      expect.stringMatching(/^certificate verification failed for mx1\.test/),
      expect.stringMatching(/^Untrusted TLS connection established to mx1\.test/),
    ]);
  });

  it('one that failed to prove itself is not kept', async () => {
    await start({ tls: authority.issue(['other.test']) });
    for (const _ of [1, 2]) {
      expect((await send({ config: verified })).verdicts).toEqual([
        expect.stringContaining('Server certificate not verified'),
      ]);
    }
    await waitFor(() => servers[0]?.sessions.every(({ tls }) => tls !== undefined) === true);
    expect(resumed()).toEqual([false, false]);
  });
});

describe('never resumed', () => {
  it.each<[string, TestDelivery]>([
    ['at a level that verifies', { config: verified }],
    ['at another level', { config: { smtp_tls_security_level: 'may' } }],
    ['for another nexthop', { nexthop: 'other.example' }],
    ['under another server name', { config: { smtp_tls_servername: 'sni.test' } }],
    ['with other protocols', { config: { smtp_tls_mandatory_protocols: '>=TLSv1.1' } }],
    ['with other ciphers', { config: { smtp_tls_mandatory_ciphers: 'high' } }],
    ['with other exclusions', { config: { smtp_tls_exclude_ciphers: 'RC4' } }],
    ['under another HELO name', { config: { smtp_helo_name: 'other.test' } }],
    [
      'by another name of the host',
      {
        findHosts: async () => ({
          kind: 'found',
          hosts: [{ host: 'alias.test', address: '127.0.0.1', port: servers[0]?.port ?? 0, preference: 5 }],
          finalNexthop: false,
        }),
      },
    ],
  ])('%s', async (_, other) => {
    await start();
    await send({});
    await send(other);
    await send({});
    await waitFor(() => servers[0]?.sessions.every(({ tls }) => tls !== undefined) === true);
    expect(resumed()).toEqual([false, false, true]);
  });

  it('for other names to match, even when both match', async () => {
    await start({ tls: authority.issue(['mx1.test', 'b.test']) });
    await send({ config: { ...verified, smtp_tls_verify_cert_match: 'mx1.test' } });
    await send({ config: { ...verified, smtp_tls_verify_cert_match: 'b.test' } });
    expect(resumed()).toEqual([false, false]);
  });
});

it('a session of a server whose authority is not trusted any more is not resumed', async () => {
  const server = await start();
  const other = makeCertificates();
  const folder = mkdtempSync(join(tmpdir(), 'authorities-'));
  const file = join(folder, 'ca.pem');
  try {
    const config = { ...verified, smtp_tls_CAfile: file };
    writeFileSync(file, authority.ca.cert);
    await send({ config });
    await send({ config });
    writeFileSync(file, other.ca.cert);
    const last = await send({ config });
    expect(last.verdicts).toEqual([expect.stringContaining('Server certificate not verified')]);
    await waitFor(() => server.sessions.every(({ tls }) => tls !== undefined));
    expect(resumed()).toEqual([false, true, false]);
  } finally {
    other.remove();
    rmSync(folder, { recursive: true });
  }
});

describe('a ticket of the fleet', () => {
  const memory = (): TicketStore & { entries: Map<string, Buffer> } => {
    const entries = new Map<string, Buffer>();
    return {
      entries,
      get: async (name) => entries.get(name),
      put: (name, sealed) => void entries.set(name, sealed),
      delete: (name) => void entries.delete(name),
    };
  };

  it('resumes in a process that never spoke to the server', async () => {
    await start();
    const fleet = { store: memory(), key: makeFleetKey('a secret of the whole fleet') };
    for (const _ of [1, 2, 3]) {
      await send({ tickets: new SessionTickets({ fleet }), config: verified });
    }
    expect(resumed()).toEqual([false, true, true]);
  });

  it('is deleted when the handshake that offers it fails, and the next one is a full one', async () => {
    let breaks = false;
    const server = await start({
      hooks: { starttls: () => (breaks ? { reply: '220 go', close: true } : undefined) },
    });
    const store = memory();
    tickets = new SessionTickets({ fleet: { store, key: makeFleetKey('a secret of the whole fleet') } });
    await send({});
    expect(store.entries.size).toBe(1);
    breaks = true;
    expect((await send({})).verdicts).toEqual([expect.stringContaining('Cannot start TLS')]);
    expect(store.entries.size).toBe(0);
    breaks = false;
    await send({});
    expect(server.sessions.map(({ tls }) => tls?.resumed)).toEqual([false, undefined, false]);
  });
});
