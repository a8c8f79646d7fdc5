/** Which certificate names are good enough, what name the server is told, and how long STARTTLS may take. */
import { type CertificateAuthority, makeCertificates, startSmtpServer } from '@mailfleet/test-kit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deliver } from '../test-agent.ts';

let authority: CertificateAuthority;

beforeAll(() => {
  authority = makeCertificates();
});

afterAll(() => authority.remove());

it.each<[string, string, Record<string, string>, boolean]>([
  ['verify', 'mx1.test', {}, true],
  ['verify', 'example.com', {}, false],
  ['verify', 'other.test', { smtp_tls_verify_cert_match: 'other.test' }, true],
  ['verify', 'example.com', { smtp_tls_verify_cert_match: 'nexthop' }, true],
  ['verify', 'mx1.test', { smtp_tls_verify_cert_match: 'nexthop' }, false],
  ['verify', 'a.other.test', { smtp_tls_verify_cert_match: '.other.test' }, true],
  ['secure', 'example.com', {}, true],
  ['secure', 'mail.example.com', {}, true],
  ['secure', 'mx1.test', {}, false],
  ['secure', 'mx1.test', { smtp_tls_secure_cert_match: 'hostname' }, true],
  ['secure', 'mail.example.com', { smtp_tls_secure_cert_match: 'nexthop' }, false],
])('level %s, certificate of %s, %j: %s', async (level, name, config, accepted) => {
  await using server = await startSmtpServer({ tls: authority.issue([name]) });
  const { verdicts } = await deliver({
    servers: [server],
    config: { smtp_tls_security_level: level, smtp_tls_CAfile: authority.ca.certFile, ...config },
  });
  expect(verdicts).toEqual([
    accepted ? expect.stringMatching(/^delivered/) : 'deferred 4.7.5 Server certificate not verified',
  ]);
});

it.each<[Record<string, string>, string]>([
  [{}, ''],
  [{ smtp_tls_servername: 'hostname' }, 'mx1.test'],
  [{ smtp_tls_servername: 'nexthop' }, 'example.com'],
  [{ smtp_tls_servername: 'front.test' }, 'front.test'],
])('server name %j: %j', async (config, servername) => {
  await using server = await startSmtpServer({ tls: authority.issue(['mx1.test']) });
  await deliver({ servers: [server], config: { smtp_tls_security_level: 'encrypt', ...config } });
  expect(server.sessions[0]?.tls?.servername).toBe(servername);
});

it('smtp_starttls_timeout limits the reply and the handshake', async () => {
  const offer = ['S: 220 x', 'C: EHLO*', 'S: 250-x', 'S: 250 STARTTLS', 'C: STARTTLS'];
  const verdicts = await Promise.all(
    [['silence'], ['S: 220 go', 'silence']].map(async (end) => {
      await using server = await startSmtpServer({ scripts: [[...offer, ...end]] });
      const config = { smtp_tls_security_level: 'encrypt', smtp_starttls_timeout: '1s' };
      return (await deliver({ servers: [server], config })).verdicts;
    }),
  );
  expect(verdicts).toEqual([
    ['deferred 4.4.2 conversation with mx1.test[127.0.0.1] timed out while receiving the STARTTLS response'],
    ['deferred 4.7.5 Cannot start TLS: handshake failure'],
  ]);
});

it('smtp_xforward_timeout', async () => {
  const script = ['S: 220 x', 'C: EHLO*', 'S: 250-x', 'S: 250 XFORWARD HELO', 'C: XFORWARD*', 'silence'];
  await using server = await startSmtpServer({ scripts: [script] });
  const { verdicts } = await deliver({
    servers: [server],
    config: { smtp_send_xforward_command: 'yes', smtp_xforward_timeout: '1s' },
    envelope: { client: { helo: 'pc' } },
  });
  expect(verdicts).toEqual([
    'deferred 4.4.2 conversation with mx1.test[127.0.0.1] timed out while sending XFORWARD protocol/helo_name',
  ]);
});
