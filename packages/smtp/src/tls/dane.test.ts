/**
 * smtp_tls_security_level = dane and dane-only over real DNS answers and handshakes: what goes out, what waits, what the log says. Mail
 * never goes out in clear, or to a server with another certificate, once TLSA records were seen.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { makeConfig } from '@mailfleet/config';
import { createHostFinder, createResolver } from '@mailfleet/routing';
import {
  type CertificateAuthority,
  type DnsServer,
  makeCertificates,
  type SmtpServer,
  startDnsServer,
  startSmtpServer,
} from '@mailfleet/test-kit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SessionPool } from '../reuse/session-pool.ts';
import { deliver, type TestDelivery, type TestResult } from '../test-agent.ts';

let authority: CertificateAuthority;
let dns: DnsServer;
const servers: SmtpServer[] = [];

beforeAll(async () => {
  authority = makeCertificates();
  dns = await startDnsServer();
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});
afterAll(async () => {
  authority.remove();
  await dns.close();
});

const digestOf = (pem: string): string => {
  const key = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex');
};

const signed = (...records: string[]) => ({ records, ad: true });

const send = async (
  server: SmtpServer,
  tlsa: Parameters<DnsServer['set']>[1] | undefined,
  delivery: TestDelivery = {},
): Promise<TestResult> => {
  const secureMx = delivery.config?.smtp_tls_dane_insecure_mx_policy === undefined;
  dns.set('example.test', { MX: { records: ['10 mx.test'], ad: secureMx } });
  dns.set('mx.test', { A: signed(server.host), AAAA: 'NODATA' });
  if (tlsa !== undefined) dns.set(`_${server.port}._tcp.mx.test`, tlsa);
  const values = {
    smtp_tls_security_level: 'dane',
    smtp_dns_support_level: 'dnssec',
    smtp_tls_loglevel: '1',
    inet_protocols: 'ipv4',
    ...delivery.config,
  };
  const resolver = createResolver({ servers: [dns.address], timeoutMs: 500, attempts: 1 });
  return deliver({
    nexthop: `example.test:${server.port}`,
    resolver,
    findHosts: createHostFinder({ config: makeConfig(values), protocol: 'smtp', resolver }),
    ...delivery,
    config: values,
  });
};

const start = async (...options: Parameters<typeof startSmtpServer>): Promise<SmtpServer> => {
  const server = await startSmtpServer(...options);
  servers.push(server);
  return server;
};

const notVerified = ['deferred 4.7.5 Server certificate not verified'];
const delivered = [expect.stringMatching(/^delivered/)];

it('DANE-EE: Verified by digest alone, whatever name and date; the TLSA base domain is the server name', async () => {
  const certificate = authority.issue(['other.test'], { selfSigned: true, expired: true });
  const server = await start({ tls: certificate });
  const result = await send(server, { TLSA: signed(`3 1 1 ${digestOf(certificate.cert)}`) });
  expect(result.verdicts).toEqual(delivered);
  expect(result.remarks).toContainEqual(
    expect.stringMatching(/^Verified TLS connection established to mx\.test\[/),
  );
  expect(server.sessions[0]?.tls).toMatchObject({ servername: 'mx.test' });
});

it('DANE-TA: chain and name count', async () => {
  const anchor = { TLSA: signed(`2 1 1 ${digestOf(authority.ca.cert)}`) };
  const chained = (names: string[]) => {
    const certificate = authority.issue(names);
    return { cert: certificate.cert + authority.ca.cert, key: certificate.key };
  };
  const good = await send(await start({ tls: chained(['example.test']) }), anchor);
  expect(good.verdicts).toEqual(delivered);
  const wrong = await send(await start({ tls: chained(['wrong.test']) }), anchor);
  expect(wrong.verdicts).toEqual(notVerified);
  expect(wrong.remarks).toContainEqual(expect.stringMatching(/^Trusted TLS connection established/));
  expect(wrong.remarks).toContainEqual(
    expect.stringContaining('certificate has none of the names mx.test, example.test'),
  );
});

describe('with TLSA records nothing goes out', () => {
  it('to a server with another certificate, however well known', async () => {
    const certificate = authority.issue(['mx.test']);
    const server = await start({ tls: certificate });
    const tlsa = { TLSA: signed(`3 1 1 ${digestOf(authority.ca.cert)}`) };
    const config = { smtp_tls_CAfile: authority.ca.certFile };
    const result = await send(server, tlsa, { config, waitedMs: 1_000_000 });
    expect(result.verdicts).toEqual(notVerified);
    expect(result.remarks).toContainEqual(expect.stringMatching(/^Untrusted TLS connection established/));
    expect(server.messages).toEqual([]);
  });

  it('in clear, although the mail waited long', async () => {
    const plain = await start({});
    const tlsa = { TLSA: signed(`3 1 1 ${digestOf(authority.ca.cert)}`) };
    const first = await send(plain, tlsa, { waitedMs: 1_000_000 });
    expect(first.verdicts).toEqual([expect.stringContaining('4.7.4 TLS is required, but was not offered')]);
    const refusing = await start({ tls: authority.issue(['mx.test']), hooks: { starttls: '454 no' } });
    const second = await send(refusing, tlsa, { waitedMs: 1_000_000 });
    expect(second.verdicts).toEqual([expect.stringContaining('refused to start TLS: 454 no')]);
    expect([...plain.messages, ...refusing.messages]).toEqual([]);
  });

  it('when they are unusable, in clear; at all, when the level is dane-only', async () => {
    const tlsa = { TLSA: signed(`1 1 1 ${digestOf(authority.ca.cert)}`) };
    const plain = await send(await start({}), tlsa);
    expect(plain.verdicts).toEqual([expect.stringContaining('4.7.4 TLS is required')]);
    const any = await send(await start({ tls: authority.issue(['wrong.test']) }), tlsa);
    expect(any.verdicts).toEqual(delivered);
    const config = { smtp_tls_security_level: 'dane-only' };
    const only = await send(await start({ tls: authority.issue(['mx.test']) }), tlsa, { config });
    expect(only.verdicts).toEqual(['deferred 4.7.5 TLSA records of mx.test are unusable']);
  });

  it.each(['SERVFAIL', 'TIMEOUT'] as const)('when the answer is %s', async (answer) => {
    const server = await start({ tls: authority.issue(['mx.test']) });
    const result = await send(server, { TLSA: answer });
    expect(result.verdicts).toEqual([expect.stringContaining('deferred 4.7.5 TLSA lookup error')]);
    expect(result.remarks).toContainEqual(
      expect.stringMatching(
        /^Q1: warning: TLS policy lookup for example\.test:\d+\/mx\.test: TLSA lookup error/,
      ),
    );
    expect(server.sessions).toEqual([]);
  });
});

it('without TLSA records the level is may', async () => {
  const server = await start({});
  expect((await send(server, { TLSA: 'NODATA' })).verdicts).toEqual(delivered);
  const unsigned = await start({});
  const tlsa = { TLSA: `3 1 1 ${digestOf(authority.ca.cert)}` };
  expect((await send(unsigned, tlsa)).verdicts).toEqual(delivered);
});

it('smtp_tls_dane_insecure_mx_policy = dane: the certificate must match, but is called Trusted', async () => {
  const certificate = authority.issue(['mx.test']);
  const config = { smtp_tls_dane_insecure_mx_policy: 'dane' };
  const match = { TLSA: signed(`3 1 1 ${digestOf(certificate.cert)}`) };
  const good = await send(await start({ tls: certificate }), match, { config });
  expect(good.verdicts).toEqual(delivered);
  expect(good.remarks).toContainEqual(expect.stringMatching(/^Trusted TLS connection established/));
  const other = await start({ tls: authority.issue(['mx.test']) });
  const bad = await send(other, match, { config });
  expect(bad.verdicts).toEqual(notVerified);
});

it('a session that was opened under other TLSA records is not taken', async () => {
  const certificate = authority.issue(['mx.test']);
  const server = await start({ tls: certificate });
  const sessions = new SessionPool({ sessionLimit: 4, endpointLimit: 4 });
  const reusing = { sessions, caching: 'load-store' as const };
  const digest = digestOf(certificate.cert);
  await send(server, { TLSA: signed(`3 1 1 ${digest}`) }, reusing);
  await send(server, { TLSA: signed(`3 1 1 ${digest}`) }, reusing);
  expect(server.sessions).toHaveLength(1);
  await send(server, { TLSA: signed(`3 1 1 ${digest}`, `3 1 1 ${digestOf(authority.ca.cert)}`) }, reusing);
  expect(server.sessions).toHaveLength(2);
  await sessions.close();
});
