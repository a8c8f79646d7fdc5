/** Servers whose handshakes fail are remembered, and only mail that needs no TLS is spared the next one. */
import { type CertificateAuthority, makeCertificates, startSmtpServer } from '@mailfleet/test-kit';
import type { FailedHandshakes } from '@mailfleet/tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deliver, type TestDelivery } from '../test-agent.ts';

let authority: CertificateAuthority;

beforeAll(() => {
  authority = makeCertificates();
});
afterAll(() => authority.remove());

const memory = (): FailedHandshakes & { readonly known: Map<string, number> } => {
  const known = new Map<string, number>();
  const nameOf = ({ address, port }: { address: string; port: number }) => `${address}:${port}`;
  return {
    known,
    remember: (server, forMs) => known.set(nameOf(server), forMs),
    isKnown: async (server) => known.has(nameOf(server)),
  };
};

/** It offers STARTTLS, and hangs up when taken at its word. */
const startBroken = () =>
  startSmtpServer({
    keywords: ['STARTTLS', 'PIPELINING'],
    hooks: { starttls: { reply: '220 2.0.0 go', close: true } },
  });

const send = (server: Awaited<ReturnType<typeof startBroken>>, delivery: TestDelivery) =>
  deliver({ servers: [server], ...delivery, config: { smtp_tls_security_level: 'may', ...delivery.config } });

describe('smtp_tls_fallback_time', () => {
  it('a server that took mail in clear after a failed handshake is spared the next one', async () => {
    await using server = await startBroken();
    const failedHandshakes = memory();
    // The first attempt waits, as Postfix does it, and nothing is remembered.
    const first = await send(server, { failedHandshakes });
    expect(first.verdicts).toEqual(['deferred 4.7.5 Cannot start TLS: handshake failure']);
    expect(failedHandshakes.known.size).toBe(0);
    const retried = await send(server, { failedHandshakes, waitedMs: 300_000 });
    expect(retried.outcomes[0]?.kind).toBe('delivered');
    expect(retried.remarks.at(-1)).toBe(
      `mx1.test[127.0.0.1]:${server.port}: no TLS will be tried for 3600 s where it is optional (smtp_tls_fallback_time)`,
    );
    const sessions = server.connections.total;
    const young = await send(server, { failedHandshakes });
    expect(young.outcomes[0]?.kind).toBe('delivered');
    expect(server.connections.total).toBe(sessions + 1);
    expect(server.sessions.at(-1)?.commands).not.toContain('STARTTLS');
    expect(young.remarks).toEqual([
      `Q1: mx1.test[127.0.0.1]:${server.port}: TLS handshakes failed lately, delivering in clear (smtp_tls_fallback_time)`,
    ]);
  });

  it('is how long it is remembered, and 0 remembers nothing and asks nobody', async () => {
    await using server = await startBroken();
    const failedHandshakes = memory();
    const at = (time: string, waitedMs = 300_000) =>
      send(server, { failedHandshakes, waitedMs, config: { smtp_tls_fallback_time: time } });
    await at('0');
    expect(failedHandshakes.known.size).toBe(0);
    await at('10m');
    expect([...failedHandshakes.known.values()]).toEqual([600_000]);
    expect((await at('0', 0)).verdicts).toEqual(['deferred 4.7.5 Cannot start TLS: handshake failure']);
  });

  it.each<[string, TestDelivery]>([
    ['level encrypt', { config: { smtp_tls_security_level: 'encrypt' } }],
    ['level verify', { config: { smtp_tls_security_level: 'verify' } }],
    [
      'a login',
      {
        config: { smtp_sasl_auth_enable: 'yes', smtp_sasl_password_maps: 'inline:{ mx1.test=user:secret }' },
      },
    ],
    [
      'REQUIRETLS',
      { config: { smtp_requiretls_policy: 'opportunistic+starttls' }, envelope: { requireTls: true } },
    ],
  ])('never with %s', async (_, delivery) => {
    await using server = await startBroken();
    const failedHandshakes = memory();
    failedHandshakes.remember({ address: '127.0.0.1', port: server.port }, 1);
    const { outcomes } = await send(server, { failedHandshakes, waitedMs: 300_000, ...delivery });
    expect(outcomes[0]?.kind).not.toBe('delivered');
    expect(server.messageCount).toBe(0);
    expect(server.sessions.every(({ commands }) => commands.includes('STARTTLS'))).toBe(true);
  });

  it('lmtp_tls_fallback_time is the form for LMTP', async () => {
    await using server = await startSmtpServer({
      protocol: 'lmtp',
      keywords: ['STARTTLS', 'PIPELINING'],
      hooks: { starttls: { reply: '220 2.0.0 go', close: true } },
    });
    const failedHandshakes = memory();
    const config = { lmtp_tls_security_level: 'may', lmtp_tls_fallback_time: '2h' };
    await send(server, { protocol: 'lmtp', failedHandshakes, waitedMs: 300_000, config });
    expect([...failedHandshakes.known.values()]).toEqual([7_200_000]);
  });

  it('a connection lost inside TLS says nothing about handshakes', async () => {
    await using server = await startSmtpServer({
      tls: authority.issue(['mx1.test']),
      hooks: { mail: ({ session }) => (session.tls ? { close: true } : undefined) },
    });
    const failedHandshakes = memory();
    const { outcomes } = await send(server, { failedHandshakes, waitedMs: 300_000 });
    expect(outcomes[0]?.kind).toBe('delivered');
    expect(failedHandshakes.known.size).toBe(0);
  });

  it('a memory that does not answer is no reason to go without TLS', async () => {
    await using server = await startSmtpServer({ tls: authority.issue(['mx1.test']) });
    for (const isKnown of [
      () => new Promise<boolean>(() => undefined),
      () => Promise.reject(new Error('away')),
    ]) {
      const { outcomes } = await send(server, { failedHandshakes: { remember: () => undefined, isKnown } });
      expect(outcomes[0]).toMatchObject({ kind: 'delivered', tls: 'TLSv1.3' });
    }
  });
});
