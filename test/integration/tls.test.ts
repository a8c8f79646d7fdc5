/**
 * TLS at real servers: Postfix's smtpd, which asks for a client certificate and says what it thinks of it, and Exim with GnuTLS. The certificates are
 * RSA, ECDSA or both, from files of their own or from chain files.
 */
import { readFile } from 'node:fs/promises';
import { makeConfig } from '@mailfleet/config';
import { createDeliveryAgent, deliverMessage } from '@mailfleet/smtp';
import { type CertificateAuthority, installed, makeCertificates, waitFor } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startExim } from '../peers/exim.ts';
import { type Postfix, startPostfix } from '../peers/postfix.ts';

interface Sent {
  readonly verdict: string;
  readonly remarks: readonly string[];
}

const send = async (port: number, config: Record<string, string>): Promise<Sent> => {
  const remarks: string[] = [];
  const agent = createDeliveryAgent({
    config: makeConfig({ myhostname: 'client.test', smtp_tls_loglevel: '1', ...config }),
    transport: 'smtp',
    protocol: 'smtp',
    findHosts: async () => ({
      kind: 'found',
      hosts: [{ host: 'mx.test', address: '127.0.0.1', port, preference: 0 }],
      finalNexthop: true,
    }),
    remark: ({ text }) => remarks.push(text),
  });
  const { outcomes } = await deliverMessage(agent, {
    nexthop: 'example.com',
    sender: 'sender@client.test',
    recipients: ['someone@example.com'],
    content: Buffer.from('Subject: TLS\r\n\r\nHello\r\n'),
  });
  return { verdict: outcomes.map(({ kind, reason }) => `${kind} ${reason}`).join(), remarks };
};

describe.skipIf(!installed(['postfix']))('smtpd that asks for a client certificate', () => {
  const resources = new AsyncDisposableStack();
  let authority: CertificateAuthority;
  let postfix: Postfix;

  beforeAll(async () => {
    authority = makeCertificates();
    resources.defer(() => authority.remove());
    const lower = authority.authority('Lower');
    const ec = lower.issue(['mx.test']);
    const rsa = authority.issue(['mx.test'], { keyType: 'rsa' });
    postfix = resources.use(
      await startPostfix({
        parameters: {
          smtpd_tls_security_level: 'encrypt',
          smtpd_tls_chain_files: [
            authority.write('server-ec.pem', `${ec.key}${ec.chain}`),
            authority.write('server-rsa.pem', `${rsa.key}${rsa.cert}`),
          ].join(','),
          smtpd_tls_CAfile: authority.ca.certFile,
          smtpd_tls_req_ccert: 'yes',
          smtpd_tls_loglevel: '1',
          smtpd_tls_protocols: '>=TLSv1',
          smtpd_tls_mandatory_protocols: '>=TLSv1',
        },
      }),
    );
  });
  afterAll(() => resources.disposeAsync());

  const verify = (): Record<string, string> => ({
    smtp_tls_security_level: 'verify',
    smtp_tls_CAfile: authority.ca.certFile,
  });

  const clients: readonly (readonly [string, (authority: CertificateAuthority) => Record<string, string>])[] =
    [
      [
        'smtp_tls_cert_file, smtp_tls_key_file (RSA)',
        (ca) => {
          const { certFile, keyFile } = ca.issue(['client.test'], { keyType: 'rsa' });
          return { smtp_tls_cert_file: certFile, smtp_tls_key_file: keyFile };
        },
      ],
      [
        'smtp_tls_eccert_file, smtp_tls_eckey_file (ECDSA)',
        (ca) => {
          const { certFile, keyFile } = ca.issue(['client.test']);
          return { smtp_tls_eccert_file: certFile, smtp_tls_eckey_file: keyFile };
        },
      ],
      [
        'smtp_tls_chain_files, by an intermediate',
        (ca) => {
          const { key, chain } = ca.authority('Clients').issue(['client.test']);
          return { smtp_tls_chain_files: ca.write('client-chain.pem', `${key}${chain}`) };
        },
      ],
    ];

  it.each(clients)('%s: shown, and trusted there', async (_, files) => {
    const before = (await readFile(postfix.logFile, 'utf8')).length;
    const { verdict, remarks } = await send(postfix.smtpPort, { ...verify(), ...files(authority) });
    expect(verdict).toMatch(/^delivered/);
    expect(remarks).toEqual([
      expect.stringMatching(
        /^Verified TLS connection established to mx\.test\[127\.0\.0\.1\]:\d+: TLSv1\.3 with/,
      ),
    ]);
    await waitFor(
      async () =>
        /Trusted TLS connection established from /.test(
          (await readFile(postfix.logFile, 'utf8')).slice(before),
        ),
      5000,
      'smtpd to say that it trusts the client',
    );
  });

  it('without one, mail is not taken', async () => {
    const { verdict } = await send(postfix.smtpPort, verify());
    expect(verdict).not.toMatch(/^delivered/);
  });

  it('says of a session what smtpd says of it: cipher, key exchange, signature', async () => {
    const before = (await readFile(postfix.logFile, 'utf8')).length;
    const [, , [, files] = []] = clients;
    const { remarks } = await send(postfix.smtpPort, { ...verify(), ...files?.(authority) });
    const ours = / established to \S+: (.*)$/.exec(remarks[0] ?? '')?.[1];
    const theirs = async () =>
      / established from \S+: (.*?)(?: client-signature.*)?$/m.exec(
        (await readFile(postfix.logFile, 'utf8')).slice(before),
      )?.[1];
    await waitFor(async () => (await theirs()) !== undefined, 5000, 'smtpd to log the handshake');
    expect(await theirs()).toBe(ours);
  });

  it('smtp_tls_mandatory_protocols and tls_eecdh_auto_curves: what both sides can do is found', async () => {
    const [, [, files] = []] = clients;
    const { verdict, remarks } = await send(postfix.smtpPort, {
      ...verify(),
      ...files?.(authority),
      smtp_tls_mandatory_protocols: 'TLSv1.2',
      tls_eecdh_auto_curves: 'secp384r1, prime256v1',
    });
    expect(verdict).toMatch(/^delivered/);
    expect(remarks[0]).toMatch(/: TLSv1\.2 with cipher ECDHE-ECDSA-AES256-GCM-SHA384 \(256\/256 bits\)$/);
  });
});

describe.skipIf(!installed(['exim4']))('Exim', () => {
  it('takes mail by TLS that is verified, with an RSA certificate of an intermediate authority', async () => {
    const authority = makeCertificates();
    const { chain, key } = authority.authority('Lower').issue(['mx.test'], { keyType: 'rsa' });
    await using server = await startExim({ cert: chain, key });
    const port = Number(server.nexthop.split(':').at(-1));
    const config = { smtp_tls_security_level: 'verify', smtp_tls_CAfile: authority.ca.certFile };
    const { verdict, remarks } = await send(port, config);
    expect(verdict).toMatch(/^delivered/);
    expect(remarks).toEqual([expect.stringMatching(/^Verified TLS connection established to mx\.test/)]);
    await waitFor(async () => (await server.messages()).length === 1, 5000, 'the message to be stored');
    authority.remove();
  });
});
