/**
 * Logins at real servers: Postfix's smtpd with Dovecot's and with Cyrus' authentication, every mechanism that they have, with TLS and
 * without, with the right password and with a wrong one.
 */
import { makeConfig } from '@mailfleet/config';
import { createDeliveryAgent, deliverMessage } from '@mailfleet/smtp';
import { type CertificateAuthority, installed, makeCertificates } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCyrusAuth } from '../peers/cyrus-auth.ts';
import { startDovecotAuth } from '../peers/dovecot-auth.ts';
import { type Postfix, startPostfix } from '../peers/postfix.ts';

/** Blanks, separators and letters that each mechanism writes in its own way. */
const USERS = { alice: 's3cret', 'b=o,b@dom.test': 'p@ss = "w\\ord', müller: 'grün' };
const MECHANISMS = ['PLAIN', 'LOGIN', 'CRAM-MD5', 'DIGEST-MD5', 'SCRAM-SHA-1', 'SCRAM-SHA-256'];

/** What came of one message: outcome, mechanism, reason. */
const sendTo = async (
  postfix: Postfix,
  authority: CertificateAuthority,
  config: Record<string, string>,
): Promise<string> => {
  const agent = createDeliveryAgent({
    config: makeConfig({
      myhostname: 'client.test',
      smtp_tls_CAfile: authority.ca.certFile,
      smtp_tls_security_level: 'none',
      smtp_sasl_auth_enable: 'yes',
      smtp_sasl_security_options: '',
      ...config,
    }),
    transport: 'smtp',
    protocol: 'smtp',
    findHosts: async () => ({
      kind: 'found',
      hosts: [{ host: 'mx.test', address: '127.0.0.1', port: postfix.smtpPort, preference: 0 }],
      finalNexthop: true,
    }),
  });
  const { outcomes, steps } = await deliverMessage(agent, {
    nexthop: 'mx.test',
    sender: 'sender@client.test',
    recipients: ['someone@postfix.test'],
    content: Buffer.from('Subject: login\r\n\r\nHello\r\n'),
  });
  const how = steps.find(({ step }) => step === 'authenticated')?.detail ?? 'no login';
  return outcomes.map(({ kind, reason }) => `${kind} ${how} ${kind === 'delivered' ? '' : reason}`).join();
};

/** Only who logged in may send. */
const guarded = {
  smtpd_sasl_security_options: '',
  mynetworks: '',
  smtpd_relay_restrictions: 'permit_sasl_authenticated, reject',
  smtpd_recipient_restrictions: 'permit_sasl_authenticated, reject',
};

describe.skipIf(!installed(['postfix', 'dovecot']))('smtpd with Dovecot', () => {
  const resources = new AsyncDisposableStack();
  let authority: CertificateAuthority;
  let postfix: Postfix;

  beforeAll(async () => {
    authority = makeCertificates();
    resources.defer(() => authority.remove());
    const certificate = authority.issue(['mx.test']);
    const auth = resources.use(
      await startDovecotAuth(USERS, [...MECHANISMS.map((name) => name.toLowerCase()), 'anonymous']),
    );
    postfix = resources.use(
      await startPostfix({
        parameters: {
          smtpd_sasl_auth_enable: 'yes',
          smtpd_sasl_type: 'dovecot',
          smtpd_sasl_path: auth.socket,
          ...guarded,
          smtpd_tls_security_level: 'may',
          smtpd_tls_cert_file: certificate.certFile,
          smtpd_tls_key_file: certificate.keyFile,
        },
      }),
    );
  });

  afterAll(() => resources.disposeAsync());

  const send = (config: Record<string, string>): Promise<string> => sendTo(postfix, authority, config);

  const users = Object.entries(USERS).flatMap(([user, password]) =>
    // Dovecot digests names beyond ASCII in UTF-8 where RFC 2831 section 2.1.2.1 says ISO 8859-1.
    MECHANISMS.filter((mechanism) => mechanism !== 'DIGEST-MD5' || user !== 'müller').map(
      (mechanism) => [mechanism, user, password] as const,
    ),
  );
  const entry = (user: string, password: string): string => `inline:{{mx.test = ${user}|${password}}}`;

  it.each(users)('%s as %s', async (mechanism, user, password) => {
    const config = {
      smtp_sasl_password_maps: entry(user, password),
      smtp_sasl_password_result_delimiter: '|',
      smtp_sasl_mechanism_filter: mechanism,
    };
    const delivered = `delivered ${mechanism} `;
    expect(await send(config)).toBe(delivered);
    expect(await send({ ...config, smtp_tls_security_level: 'verify' })).toBe(delivered);
  });

  it.each(MECHANISMS)('%s with a wrong password', async (mechanism) => {
    expect(
      await send({
        smtp_sasl_password_maps: 'inline:{mx.test=alice:wrong}',
        smtp_sasl_mechanism_filter: mechanism,
      }),
    ).toMatch(
      /^deferred no login SASL authentication failed; server mx\.test\[127\.0\.0\.1\] said: 535 5\.7\.8 Error: authentication failed:/,
    );
  });

  it('of all that is offered the strongest is taken, and without a login nothing is sent', async () => {
    const password = { smtp_sasl_password_maps: 'inline:{mx.test=alice:s3cret}' };
    expect(await send(password)).toBe('delivered SCRAM-SHA-256 ');
    expect(
      await send({
        ...password,
        smtp_sasl_security_options: 'mutual_auth',
        smtp_sasl_mechanism_filter: '!SCRAM-SHA-256, !SCRAM-SHA-1, static:all',
      }),
    ).toBe('delivered DIGEST-MD5 ');
    expect(await send({ smtp_sasl_auth_enable: 'no' })).toMatch(
      /^bounced no login .* 554 5\.7\.1 .*Access denied/,
    );
  });

  it('ANONYMOUS is a login, though not one that this server lets relay', async () => {
    expect(
      await send({
        smtp_sasl_password_maps: 'inline:{mx.test=alice:x}',
        smtp_sasl_mechanism_filter: 'anonymous',
      }),
    ).toMatch(/^bounced ANONYMOUS .* Access denied/);
  });
});

describe.skipIf(!installed(['postfix', 'saslpasswd2']))('smtpd with Cyrus SASL', () => {
  const resources = new AsyncDisposableStack();
  const cyrusUsers = { alice: 's3cret', 'b=o,b': 'p@ss = "w\\ord', müller: 'grün' };
  const cyrusMechanisms = [...MECHANISMS, 'SCRAM-SHA-512'];
  let authority: CertificateAuthority;
  let postfix: Postfix;

  beforeAll(async () => {
    authority = makeCertificates();
    resources.defer(() => authority.remove());
    const auth = resources.use(await makeCyrusAuth(cyrusUsers, cyrusMechanisms, 'realm.test'));
    postfix = resources.use(
      await startPostfix({
        saslConfiguration: auth.configuration,
        parameters: { smtpd_sasl_auth_enable: 'yes', smtpd_sasl_local_domain: 'realm.test', ...guarded },
      }),
    );
  });

  afterAll(() => resources.disposeAsync());

  const each = Object.entries(cyrusUsers).flatMap(([user, password]) =>
    cyrusMechanisms.map((mechanism) => [mechanism, user, password] as const),
  );

  it.each(each)('%s as %s, and with a wrong password', async (mechanism, user, password) => {
    const attempt = (secret: string): Promise<string> =>
      sendTo(postfix, authority, {
        smtp_sasl_password_maps: `inline:{{mx.test = ${user}|${secret}}}`,
        smtp_sasl_password_result_delimiter: '|',
        smtp_sasl_mechanism_filter: mechanism,
      });
    expect(await attempt(password)).toBe(`delivered ${mechanism} `);
    expect(await attempt('wrong')).toMatch(
      /^deferred no login SASL authentication failed; server .* said: 535 5\.7\.8/,
    );
  });
});
