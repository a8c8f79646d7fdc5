/**
 * Mail in bursts through a fleet of several workers, and how many connections the server saw: for the test beside it and for
 * `test/bench/session-reuse.ts`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import {
  type CertificateAuthority,
  makeCertificates,
  startDelayProxy,
  startDnsServer,
  startSmtpServer,
  waitFor,
} from '@mailfleet/test-kit';
import { type Fleet, startFleet } from '../fleet/fleet.ts';

export interface Bursts {
  readonly messages: number;
  /** Messages of one burst; the next one comes when it has arrived. */
  readonly burst: number;
  /** Between the end of a burst and the next one. */
  readonly pauseMs: number;
  readonly workers: number;
  /** Recipient domains, all on one mail host. */
  readonly domains: number;
  readonly tls: boolean;
  /** Of the way to the server: its round-trip time. Default 0. */
  readonly roundTripMs?: number;
  readonly parameters: Readonly<Record<string, string>>;
  /** Called after each burst but the last. */
  readonly between?: (fleet: Fleet, burst: number, restartRedis: () => Promise<void>) => Promise<void>;
}

export interface BurstResult {
  readonly connections: number;
  /** Those among them that resumed a TLS session. */
  readonly resumed: number;
  /** Round trips that the clients waited for; 0 without a round-trip time. */
  readonly turns: number;
  readonly messages: number;
  /** Messages that the server got more than once. */
  readonly twice: number;
  readonly seconds: number;
  readonly maillog: string;
}

const TIMEOUT_MS = 120_000;

export async function runBursts(options: Bursts): Promise<BurstResult> {
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-bursts-'));
  let redis = await startEmbeddedRedis({ directory, socket: true });
  const restartRedis = async (): Promise<void> => {
    await redis.stop();
    redis = await startEmbeddedRedis({ directory, socket: true });
  };
  const authority = makeCertificates();
  const received = new Map<string, number>();
  const server = await startCountingServer(authority, options, (address) => {
    received.set(address, (received.get(address) ?? 0) + 1);
  });
  const domains = Array.from({ length: options.domains }, (_, index) => `d${index}.test`);
  const dns = await startDnsServer({
    zones: {
      ...Object.fromEntries(domains.map((domain) => [domain, { MX: '10 mx.test' }])),
      'mx.test': { A: '127.0.0.1' },
    },
  });
  const parameters = {
    redis_url: redis.url,
    dns_servers: dns.address,
    smtp_tls_security_level: options.tls ? 'encrypt' : 'none',
    inet_protocols: 'ipv4',
    ...options.parameters,
  };
  const queue = await openQueue({ config: makeConfig(parameters), redisUrl: redis.url });
  const fleet = await startFleet({ workers: options.workers, parameters });
  try {
    const startMs = performance.now();
    for (let sent = 0; sent < options.messages; ) {
      const count = Math.min(options.burst, options.messages - sent);
      await Promise.all(
        Array.from({ length: count }, (_, index) => {
          const domain = domains[(sent + index) % domains.length] ?? '';
          return accept(queue, `r${sent + index}@${domain}`, domain, server.port);
        }),
      );
      sent += count;
      await waitFor(() => received.size === sent, TIMEOUT_MS, `message ${sent}`);
      if (sent === options.messages) break;
      await options.between?.(fleet, sent / options.burst, restartRedis);
      await sleep(options.pauseMs);
    }
    const seconds = (performance.now() - startMs) / 1000;
    await waitFor(
      async () => (await fleet.command(['queue', '-p'])).stdout.includes('Mail queue is empty'),
      TIMEOUT_MS,
    );
    return {
      ...server.counts(),
      messages: received.size,
      twice: [...received.values()].filter((times) => times > 1).length,
      seconds,
      maillog: await fleet.maillog(),
    };
  } finally {
    await fleet[Symbol.asyncDispose]();
    await queue.close();
    await Promise.all([server.close(), dns.close(), redis.stop()]);
    authority.remove();
    await rm(directory, { recursive: true, force: true });
  }
}

/** A server that counts, as far away as wanted. */
export async function startCountingServer(
  authority: CertificateAuthority,
  { tls, roundTripMs = 0 }: Pick<Bursts, 'tls' | 'roundTripMs'>,
  onRecipient: (address: string) => void,
): Promise<{
  readonly port: number;
  counts(): Pick<BurstResult, 'connections' | 'resumed' | 'turns'>;
  close(): Promise<void>;
}> {
  const server = await startSmtpServer({
    keepContent: false,
    keepMessages: false,
    onMessage: ({ recipients }) => {
      for (const address of recipients) onRecipient(address);
    },
    ...(tls ? { tls: authority.issue(['mx.test']) } : {}),
  });
  const proxy = roundTripMs === 0 ? undefined : await startDelayProxy(server, roundTripMs);
  return {
    port: proxy?.port ?? server.port,
    counts: () => ({
      connections: server.connections.total,
      resumed: server.sessions.filter((session) => session.tls?.resumed === true).length,
      turns: proxy?.turns ?? 0,
    }),
    close: async () => {
      await proxy?.close();
      await server.close();
    },
  };
}

const CONTENT = Buffer.from(`Subject: burst\r\n\r\n${'x'.repeat(70)}\r\n`);

/** A small message for one recipient, as an intake would hand it in. @param to the nexthop, without the port */
export async function accept(queue: Queue, address: string, to: string, port: number): Promise<void> {
  const now = Date.now();
  await queue.accept({
    envelope: {
      queueId: queue.newQueueId(),
      sender: 'sender@source.test',
      sizeBytes: CONTENT.length,
      arrivalMs: now,
      createdMs: now,
    },
    recipients: [{ index: 0, address, transport: 'smtp', nexthop: `${to}:${port}` }],
    content: { kind: 'inline', bytes: CONTENT },
  });
}
