/** A whole fleet between a message that asks for REQUIRETLS and a server that DANE speaks for, and what the day's report will say of it. */
import { createHash, X509Certificate } from 'node:crypto';
import { makeCertificates, startDnsServer, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { expect, onTestFinished, test } from 'vitest';
import { startFleet } from '../fleet/fleet.ts';

test('smtp_requiretls_policy, smtp_dns_support_level and smtp_tlsrpt_enable from intake to the report', async () => {
  const authority = makeCertificates();
  onTestFinished(() => authority.remove());
  const certificate = authority.issue(['m1.test'], { selfSigned: true });
  const key = new X509Certificate(certificate.cert).publicKey.export({ type: 'spki', format: 'der' });
  const record = `3 1 1 ${createHash('sha256').update(key).digest('hex')}`;
  await using server = await startSmtpServer({
    host: '127.0.0.2',
    tls: certificate,
    keywords: ['PIPELINING', '8BITMIME', 'ENHANCEDSTATUSCODES', 'REQUIRETLS'],
  });
  await using plain = await startSmtpServer({ host: '127.0.0.3', port: server.port });
  const signed = (...records: string[]) => ({ records, ad: true });
  await using dns = await startDnsServer({
    zones: {
      'd.test': { MX: signed('10 m1.test') },
      'p.test': { MX: signed('10 m2.test') },
      'm1.test': { A: signed(server.host) },
      'm2.test': { A: signed(plain.host) },
      [`_${server.port}._tcp.m1.test`]: { TLSA: signed(record) },
      '_smtp._tls.d.test': { TXT: 'v=TLSRPTv1; rua=mailto:reports@d.test' },
    },
  });
  await using fleet = await startFleet({
    parameters: {
      // Else these servers would be of our own domain, of which little is asked.
      mydomain: 'sender.example',
      dns_servers: dns.address,
      inet_protocols: 'ipv4',
      smtp_tcp_port: String(server.port),
      smtp_tls_security_level: 'dane',
      smtp_tls_loglevel: '1',
      smtp_dns_support_level: 'dnssec',
      smtp_tlsrpt_enable: 'yes',
    },
  });
  const post = (to: string) =>
    fetch(`${fleet.httpUrl}/v1/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ from: 'a@example.org', to, subject: 'x', text: 'y', requireTls: true }),
    });
  expect((await post('b@d.test')).status).toBe(202);
  expect((await post('b@p.test')).status).toBe(202);

  const [message] = await server.waitForMessages(1, 30_000);
  expect(message).toMatchObject({ tls: true, mailParameters: { REQUIRETLS: expect.anything() } });
  const log = await waitFor(
    async () => {
      const text = await fleet.maillog();
      return /status=bounced/.test(text) && /status=sent/.test(text) && text;
    },
    30_000,
    'both outcomes in the mail log',
  );
  expect(log).toMatch(/Verified TLS connection established to m1\.test\[/);
  expect(log).toMatch(/to=<b@p\.test>, .*dsn=5\.7\.10, status=bounced \(REQUIRETLS: /);
  expect(plain.messageCount).toBe(0);

  const report = await waitFor(
    async () => {
      const { stdout } = await fleet.command(['tlsrpt', 'd.test']);
      const read = JSON.parse(stdout) as { policies: unknown[] };
      return read.policies.length > 0 && read;
    },
    30_000,
    'the handshake to be counted',
  );
  expect(report.policies).toEqual([
    {
      policy: {
        'policy-type': 'tlsa',
        'policy-string': [record],
        'policy-domain': 'm1.test',
        'mx-host': ['m1.test'],
      },
      summary: { 'total-successful-session-count': 1, 'total-failure-session-count': 0 },
    },
  ]);
});
