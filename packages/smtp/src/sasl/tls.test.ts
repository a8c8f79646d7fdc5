/** Logins inside TLS: which options apply, what the offer before STARTTLS is worth, and logins that are bound to their TLS session. */
import type { TLSSocket } from 'node:tls';
import {
  type CertificateAuthority,
  makeCertificates,
  type SmtpServer,
  startSmtpServer,
} from '@mailfleet/test-kit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from '../test-agent.ts';
import { type ScramServerOptions, scramServer } from './test-scram.ts';

const servers: SmtpServer[] = [];
let authority: CertificateAuthority;
let tls: { cert: string; key: string };

beforeAll(() => {
  authority = makeCertificates();
  tls = authority.issue(['mx1.test']);
});

afterAll(() => authority.remove());

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const users = { alice: 's3cret' };

const talk = async (
  options: Parameters<typeof startSmtpServer>[0],
  config: Record<string, string>,
  delivery: TestDelivery = {},
): Promise<TestResult & { server: SmtpServer }> => {
  const server = await startSmtpServer({ users, ...options });
  servers.push(server);
  const result = await deliver({
    servers: [server],
    ...delivery,
    config: {
      smtp_tls_security_level: 'encrypt',
      smtp_tls_CAfile: authority.ca.certFile,
      smtp_sasl_auth_enable: 'yes',
      smtp_sasl_password_maps: 'inline:{mx1.test=alice:s3cret}',
      ...config,
    },
  });
  return { ...result, server };
};

/** Mechanism of the first AUTH command; `-` without one. */
const chosen = (server: SmtpServer): string =>
  server.sessions[0]?.commands.find((line) => line.startsWith('AUTH '))?.split(' ')[1] ?? '-';

describe('smtp_sasl_tls_security_options, smtp_sasl_tls_verified_security_options', () => {
  const strict = 'noplaintext, noanonymous';
  const free = 'noanonymous';
  it.each([
    ['none', strict, free, free, '-'],
    ['none', free, strict, strict, 'PLAIN'],
    ['encrypt', strict, free, strict, 'PLAIN'],
    ['encrypt', free, strict, free, '-'],
    ['verify', strict, strict, free, 'PLAIN'],
    ['verify', free, free, strict, '-'],
  ])(
    'level %s, in clear "%s", in TLS "%s", verified "%s": %s',
    async (level, clear, inTls, verified, wanted) => {
      const { server } = await talk(
        { tls, keywords: ['AUTH PLAIN'] },
        {
          smtp_tls_security_level: level,
          smtp_sasl_security_options: clear,
          smtp_sasl_tls_security_options: inTls,
          smtp_sasl_tls_verified_security_options: verified,
        },
      );
      expect(chosen(server)).toBe(wanted);
    },
  );

  it.each([
    ['lmtp_sasl_tls_security_options', 'encrypt'],
    ['lmtp_sasl_tls_verified_security_options', 'verify'],
  ])('%s, at level %s', async (name, level) => {
    const wrapped = (value: string) =>
      talk(
        { protocol: 'lmtp', tls, keywords: ['AUTH PLAIN'] },
        {
          lmtp_tls_security_level: level,
          lmtp_tls_CAfile: authority.ca.certFile,
          lmtp_sasl_auth_enable: 'yes',
          lmtp_sasl_password_maps: 'inline:{mx1.test=alice:s3cret}',
          [name]: value,
        },
        { protocol: 'lmtp' },
      );
    expect(chosen((await wrapped('noanonymous')).server)).toBe('PLAIN');
    expect(chosen((await wrapped('noplaintext')).server)).toBe('-');
  });

  it('by default are those for sessions in clear', async () => {
    const { verdicts } = await talk({ tls, keywords: ['AUTH PLAIN'] }, {});
    expect(verdicts[0]).toMatch(/: no mechanism available$/);
  });
});

const free = { smtp_sasl_tls_security_options: 'noanonymous' };

it('what is offered before STARTTLS does not count', async () => {
  const { server, outcomes } = await talk(
    {
      tls,
      hooks: {
        ehlo: ({ session }) =>
          `250-x\n250 ${session.tls === undefined ? 'STARTTLS\n250 AUTH PLAIN' : 'AUTH LOGIN'}`.replace(
            '250 STARTTLS',
            '250-STARTTLS',
          ),
      },
    },
    free,
  );
  expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
  expect(chosen(server)).toBe('LOGIN');
});

it('mail with a password is not tried again in clear when the handshake fails', async () => {
  const broken = [
    'S: 220 x',
    'C: EHLO*',
    'S: 250-x',
    'S: 250 STARTTLS',
    'C: STARTTLS',
    'S: 220 go',
    'delay 30',
    'raw: nonsense\\r\\n',
    'silence',
  ];
  const waited = { waitedMs: 300_000 };
  const may = { smtp_tls_security_level: 'may' };
  const { server, verdicts } = await talk({ scripts: [broken] }, may, waited);
  expect(verdicts).toEqual(['deferred 4.7.5 Cannot start TLS: handshake failure']);
  expect(server.connections.total).toBe(1);
  const without = await talk(
    { scripts: [broken] },
    { ...may, smtp_sasl_password_maps: 'inline:{other=x}' },
    waited,
  );
  expect(without.server.connections.total).toBe(2);
});

describe('SCRAM with channel binding', () => {
  const exporter = (socket: TLSSocket | undefined): Buffer =>
    socket?.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)) ?? Buffer.alloc(0);
  /** On the server, the client's Finished is the peer's. */
  const unique = (socket: TLSSocket | undefined): Buffer => socket?.getPeerFinished() ?? Buffer.alloc(0);

  const login = (
    options: Partial<ScramServerOptions> & { readonly name: string; readonly version?: string },
    config: Record<string, string> = {},
    keywords: string = options.name,
  ) => {
    const seen: string[] = [];
    const { name, version = '>=TLSv1.3', ...rest } = options;
    const mechanism = scramServer(
      { password: 's3cret', hash: name.includes('256') ? 'sha256' : 'sha1', ...rest },
      seen,
    );
    return talk(
      { tls, keywords: [`AUTH ${keywords}`], mechanisms: { [name]: mechanism } },
      { smtp_tls_mandatory_protocols: version, ...config },
    ).then((result) => ({ ...result, seen }));
  };

  it.each([
    ['SCRAM-SHA-256-PLUS', '>=TLSv1.3', 'tls-exporter', exporter],
    ['SCRAM-SHA-1-PLUS', '>=TLSv1.3', 'tls-exporter', exporter],
    ['SCRAM-SHA-256-PLUS', '<=TLSv1.2', 'tls-unique', unique],
  ])('%s over %s by %s', async (name, version, type, binding) => {
    const { outcomes, seen, server } = await login({ name, version, binding });
    expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
    expect(server.messages[0]?.user).toBe('alice');
    expect(seen).toEqual([`p=${type},,`]);
  });

  it('fails when somebody sits in between', async () => {
    const binding = (): Buffer => Buffer.from('what another session exports');
    const { verdicts } = await login({ name: 'SCRAM-SHA-256-PLUS', binding });
    expect(verdicts[0]).toMatch(/^deferred 4\.7\.8 SASL authentication failed; server .* said: 535/);
  });

  it('is preferred, and a server whose offer of it was taken away is told', async () => {
    const both = 'PLAIN SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-256-PLUS';
    const bound = await login({ name: 'SCRAM-SHA-256-PLUS', binding: exporter }, free, both);
    expect(chosen(bound.server)).toBe('SCRAM-SHA-256-PLUS');
    const stripped = await login({ name: 'SCRAM-SHA-256', offersPlus: true }, free, 'PLAIN SCRAM-SHA-256');
    expect(stripped.seen).toEqual(['y,,']);
    expect(stripped.verdicts[0]).toMatch(/said: 535/);
    const filtered = await login(
      { name: 'SCRAM-SHA-256', offersPlus: true },
      { ...free, smtp_sasl_mechanism_filter: 'scram-sha-256' },
      both,
    );
    expect(filtered.seen).toEqual(['n,,']);
    expect(filtered.outcomes).toMatchObject([{ kind: 'delivered' }]);
  });

  it('a server that cannot prove itself gets no mail', async () => {
    const { verdicts, server } = await login({ name: 'SCRAM-SHA-256', impostor: true });
    expect(verdicts).toEqual([
      'deferred 4.7.0 SASL authentication failed; cannot authenticate to server mx1.test[127.0.0.1]: the server did not prove that it knows the password',
    ]);
    expect(server.messageCount).toBe(0);
  });
});

it('EXTERNAL rests on the client certificate, and is nothing without one', async () => {
  const client = authority.issue(['client.test']);
  const options = {
    tls: { ...tls, ca: authority.ca.cert, requestCert: true },
    keywords: ['AUTH EXTERNAL'],
    mechanisms: {
      EXTERNAL: async ({ tls: socket }) =>
        socket?.getPeerCertificate().subject?.CN === 'client.test' ? 'alice' : undefined,
    },
  } satisfies Parameters<typeof startSmtpServer>[0];
  const { outcomes, server } = await talk(options, {
    smtp_tls_cert_file: client.certFile,
    smtp_tls_key_file: client.keyFile,
  });
  expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
  expect(server.sessions[0]?.commands).toContain('AUTH EXTERNAL');
  expect((await talk(options, {})).verdicts[0]).toMatch(/: no mechanism available$/);
});
