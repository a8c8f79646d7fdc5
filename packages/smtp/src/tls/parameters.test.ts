/** What each TLS parameter does to a real handshake, for SMTP and for LMTP: the settings carry the name of the protocol that is at work. */
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeCertificates, type SmtpServerOptions, startSmtpServer } from '@mailfleet/test-kit';
import { afterAll, describe, expect, it } from 'vitest';
import type { Outcome } from '../delivery.ts';
import { deliver } from '../test-agent.ts';

const authority = makeCertificates();
afterAll(() => authority.remove());
const good = authority.issue(['mx1.test']);
const rsa = authority.issue(['mx1.test'], { keyType: 'rsa' });
const other = authority.issue(['other.test']);
const between = authority.authority('Between');
const below = between.authority('Lower').issue(['mx1.test']);
const deep = { cert: below.chain, key: below.key };

const hashed = join(dirname(good.certFile), 'hashed');
mkdirSync(hashed);
const hash = execFileSync('openssl', ['x509', '-hash', '-noout', '-in', authority.ca.certFile]);
symlinkSync(authority.ca.certFile, join(hashed, `${hash.toString().trim()}.0`));

type Protocol = 'smtp' | 'lmtp';
type Values = Readonly<Record<string, string>>;

interface Seen {
  readonly verdict: string;
  readonly outcome: Partial<Outcome>;
  readonly remarks: readonly string[];
  readonly tls:
    | { readonly protocol: string; readonly cipher: string; readonly servername: string }
    | undefined;
}

/** One delivery. Names of `values` begin with smtp_; at work is the form of the protocol. */
const talk = async (protocol: Protocol, values: Values, options: SmtpServerOptions): Promise<Seen> => {
  await using server = await startSmtpServer({ ...options, protocol });
  const own = ([name, value]: [string, string]): [string, string] => [
    name.replace(/^smtp_/, `${protocol}_`),
    value,
  ];
  const { verdicts, outcomes, remarks } = await deliver({
    protocol,
    servers: [server],
    config: Object.fromEntries(Object.entries({ smtp_tls_security_level: 'none', ...values }).map(own)),
  });
  return {
    verdict: verdicts[0] ?? '',
    outcome: outcomes[0] ?? {},
    remarks: remarks.map((remark) => remark.replaceAll(`:${server.port}`, ':PORT')),
    tls: server.sessions.at(-1)?.tls,
  };
};

const encrypt = { smtp_tls_security_level: 'encrypt' };
const verify = { smtp_tls_security_level: 'verify' };
const trusting = { ...verify, smtp_tls_CAfile: authority.ca.certFile };
const old = { smtp_tls_protocols: '<=TLSv1.2', smtp_tls_mandatory_protocols: '<=TLSv1.2' };
const sent = /^delivered/;
const unverified = 'deferred 4.7.5 Server certificate not verified';

const digest = (algorithm: string, bytes: Buffer): string =>
  createHash(algorithm)
    .update(bytes)
    .digest('hex')
    .toUpperCase()
    .replace(/..(?!$)/g, '$&:');
const shown = new X509Certificate(good.cert);
const key = shown.publicKey.export({ type: 'spki', format: 'der' });

type Row = readonly [
  smtp: string,
  lmtp: string,
  values: Values,
  options: SmtpServerOptions,
  seen: (seen: Seen, protocol: Protocol) => void,
];

const delivered = ({ verdict }: Seen): void => expect(verdict).toMatch(sent);
const refused = ({ verdict }: Seen): void => expect(verdict).toBe(unverified);
const inClear = (seen: Seen): void => {
  delivered(seen);
  expect(seen.tls).toBeUndefined();
};
const inTls = (seen: Seen): void => {
  delivered(seen);
  expect(seen.tls).toBeDefined();
};
const notOffered = ({ verdict }: Seen): void => expect(verdict).toMatch(/^deferred 4\.7\.4 TLS is required/);

const early: SmtpServerOptions = {
  tls: good,
  hooks: { ehlo: ({ session }) => (session.tls ? { raw: '250 sink.test\r\n250 2.1.0 Ok\r\n' } : undefined) },
};
const older = { smtp_tls_security_level: '' };

const rows: readonly Row[] = [
  ['smtp_tls_security_level', 'lmtp_tls_security_level', encrypt, {}, notOffered],
  ['smtp_use_tls', 'lmtp_use_tls', { ...older, smtp_use_tls: 'yes' }, { tls: good }, inTls],
  ['smtp_use_tls', 'lmtp_use_tls', { ...older, smtp_use_tls: 'no' }, { tls: good }, inClear],
  ['smtp_enforce_tls', 'lmtp_enforce_tls', { ...older, smtp_enforce_tls: 'yes' }, { tls: good }, refused],
  [
    'smtp_tls_enforce_peername',
    'lmtp_tls_enforce_peername',
    { ...older, smtp_enforce_tls: 'yes', smtp_tls_enforce_peername: 'no' },
    { tls: good },
    inTls,
  ],
  [
    'smtp_tls_per_site',
    'lmtp_tls_per_site',
    { smtp_tls_per_site: 'inline:{ mx1.test=MUST_NOPEERMATCH }' },
    {},
    notOffered,
  ],
  [
    'smtp_tls_policy_maps',
    'lmtp_tls_policy_maps',
    { smtp_tls_policy_maps: 'inline:{ example.com=encrypt }' },
    {},
    notOffered,
  ],
  ['smtp_tls_CAfile', 'lmtp_tls_CAfile', trusting, { tls: good }, delivered],
  ['smtp_tls_CAfile', 'lmtp_tls_CAfile', verify, { tls: good }, refused],
  ['smtp_tls_CApath', 'lmtp_tls_CApath', { ...verify, smtp_tls_CApath: hashed }, { tls: good }, delivered],
  [
    'smtp_tls_trust_anchor_file',
    'lmtp_tls_trust_anchor_file',
    { ...verify, smtp_tls_trust_anchor_file: between.ca.certFile },
    { tls: deep },
    delivered,
  ],
  [
    'smtp_tls_trust_anchor_file',
    'lmtp_tls_trust_anchor_file',
    { ...trusting, smtp_tls_trust_anchor_file: between.ca.certFile },
    { tls: good },
    refused,
  ],
  [
    'smtp_tls_trust_anchor_file',
    'lmtp_tls_trust_anchor_file',
    {
      ...verify,
      smtp_tls_trust_anchor_file: authority.write(
        'anchor.pem',
        String(new X509Certificate(between.ca.cert).publicKey.export({ type: 'spki', format: 'pem' })),
      ),
    },
    { tls: deep },
    delivered,
  ],
  [
    'smtp_tls_scert_verifydepth',
    'lmtp_tls_scert_verifydepth',
    { ...trusting, smtp_tls_scert_verifydepth: '1' },
    { tls: deep },
    delivered,
  ],
  [
    'smtp_tls_scert_verifydepth',
    'lmtp_tls_scert_verifydepth',
    { ...trusting, smtp_tls_scert_verifydepth: '0' },
    { tls: deep },
    refused,
  ],
  [
    'smtp_tls_verify_cert_match',
    'lmtp_tls_verify_cert_match',
    { ...trusting, smtp_tls_verify_cert_match: 'hostname, other.test' },
    { tls: other },
    delivered,
  ],
  [
    'smtp_tls_secure_cert_match',
    'lmtp_tls_secure_cert_match',
    { ...trusting, smtp_tls_security_level: 'secure', smtp_tls_secure_cert_match: '.test' },
    { tls: other },
    delivered,
  ],
  ...(['sha256', 'sha512', 'md5'] as const).map(
    (algorithm): Row => [
      'smtp_tls_fingerprint_digest',
      'lmtp_tls_fingerprint_digest',
      {
        smtp_tls_security_level: 'fingerprint',
        smtp_tls_fingerprint_digest: algorithm,
        smtp_tls_fingerprint_cert_match: digest(algorithm, shown.raw),
      },
      { tls: good },
      delivered,
    ],
  ),
  [
    'smtp_tls_fingerprint_cert_match',
    'lmtp_tls_fingerprint_cert_match',
    {
      smtp_tls_security_level: 'fingerprint',
      smtp_tls_fingerprint_cert_match: `00:11, ${digest('sha256', key)}`,
    },
    { tls: good },
    delivered,
  ],
  [
    'smtp_tls_fingerprint_cert_match',
    'lmtp_tls_fingerprint_cert_match',
    { smtp_tls_security_level: 'fingerprint', smtp_tls_fingerprint_cert_match: digest('sha256', shown.raw) },
    { tls: other },
    refused,
  ],
  [
    'smtp_tls_protocols',
    'lmtp_tls_protocols',
    {
      smtp_tls_security_level: 'may',
      smtp_tls_protocols: '<=TLSv1.2',
      smtp_tls_mandatory_protocols: '>=TLSv1.3',
    },
    { tls: good },
    ({ tls }) => expect(tls?.protocol).toBe('TLSv1.2'),
  ],
  [
    'smtp_tls_mandatory_protocols',
    'lmtp_tls_mandatory_protocols',
    { ...encrypt, smtp_tls_protocols: '<=TLSv1.2', smtp_tls_mandatory_protocols: '>=0304' },
    { tls: good },
    ({ tls }) => expect(tls?.protocol).toBe('TLSv1.3'),
  ],
  [
    'smtp_tls_mandatory_protocols',
    'lmtp_tls_mandatory_protocols',
    { ...encrypt, smtp_tls_mandatory_protocols: 'TLSv1.2, TLSv9' },
    { tls: good },
    ({ verdict, remarks }) => {
      expect(verdict).toBe('deferred 4.7.5 Cannot start TLS: handshake failure');
      expect(remarks.join()).toContain('Invalid TLS protocol list "TLSv1.2, TLSv9"');
    },
  ],
  [
    'smtp_tls_mandatory_protocols',
    'lmtp_tls_mandatory_protocols',
    { ...encrypt, smtp_tls_mandatory_protocols: 'SSLv3, TLSv1.2' },
    { tls: good },
    ({ tls, remarks }, protocol) => {
      expect(tls?.protocol).toBe('TLSv1.2');
      expect(remarks).toContain(
        `warning: ${protocol}_tls_mandatory_protocols: SSLv3 no longer exists and is left out`,
      );
    },
  ],
  [
    'smtp_tls_ciphers',
    'lmtp_tls_ciphers',
    {
      ...old,
      smtp_tls_security_level: 'may',
      smtp_tls_ciphers: 'high',
      smtp_tls_mandatory_ciphers: 'medium',
      tls_high_cipherlist: 'ECDHE-ECDSA-AES128-SHA256',
    },
    { tls: good },
    ({ tls }) => expect(tls?.cipher).toBe('ECDHE-ECDSA-AES128-SHA256'),
  ],
  [
    'smtp_tls_mandatory_ciphers',
    'lmtp_tls_mandatory_ciphers',
    {
      ...old,
      ...encrypt,
      smtp_tls_ciphers: 'high',
      smtp_tls_mandatory_ciphers: 'export',
      tls_medium_cipherlist: 'ECDHE-ECDSA-AES256-SHA384',
    },
    { tls: good },
    ({ tls }) => expect(tls?.cipher).toBe('ECDHE-ECDSA-AES256-SHA384'),
  ],
  [
    'smtp_tls_exclude_ciphers',
    'lmtp_tls_exclude_ciphers',
    {
      ...old,
      smtp_tls_security_level: 'may',
      smtp_tls_exclude_ciphers: 'AESGCM, CHACHA20, aRSA',
      smtp_tls_mandatory_exclude_ciphers: 'aECDSA',
    },
    { tls: good },
    ({ tls }) => expect(tls?.cipher).toMatch(/^ECDHE-ECDSA-(?!.*(?:GCM|CHACHA))/),
  ],
  [
    'smtp_tls_mandatory_exclude_ciphers',
    'lmtp_tls_mandatory_exclude_ciphers',
    { ...old, ...encrypt, smtp_tls_mandatory_exclude_ciphers: 'aECDSA' },
    { tls: good },
    ({ verdict }) => expect(verdict).toBe('deferred 4.7.5 Cannot start TLS: handshake failure'),
  ],
  [
    'smtp_tls_servername',
    'lmtp_tls_servername',
    { ...encrypt, smtp_tls_servername: 'nexthop' },
    { tls: good },
    ({ tls }) => expect(tls?.servername).toBe('example.com'),
  ],
  [
    'smtp_tls_servername',
    'lmtp_tls_servername',
    { ...encrypt, smtp_tls_servername: 'no name' },
    { tls: good },
    ({ verdict }) => expect(verdict).toBe('deferred 4.7.5 client TLS configuration problem'),
  ],
  [
    'smtp_tls_wrappermode',
    'lmtp_tls_wrappermode',
    { ...encrypt, smtp_tls_wrappermode: 'yes' },
    { tls: good, tlsWrapper: true },
    inTls,
  ],
  ...(['yes', 'no'] as const).map(
    (enforce): Row => [
      'smtp_tls_enforce_sts_mx_patterns',
      'lmtp_tls_enforce_sts_mx_patterns',
      {
        ...trusting,
        smtp_tls_policy_maps:
          'inline:{ {example.com = secure match=example.com policy_type=sts policy_domain=example.com mx_host_pattern=*.test} }',
        smtp_tls_enforce_sts_mx_patterns: enforce,
      },
      { tls: good },
      enforce === 'yes' ? delivered : refused,
    ],
  ),
  [
    'smtp_tls_note_starttls_offer',
    'lmtp_tls_note_starttls_offer',
    { smtp_tls_note_starttls_offer: 'yes' },
    { tls: good },
    ({ remarks }) => expect(remarks).toEqual(['Q1: Host offered STARTTLS: [mx1.test]']),
  ],
  [
    'smtp_tls_block_early_mail_reply',
    'lmtp_tls_block_early_mail_reply',
    { ...encrypt, smtp_tls_block_early_mail_reply: 'yes' },
    early,
    ({ verdict, remarks }, protocol) => {
      expect(verdict).toBe('deferred 4.7.0 unexpected server message');
      expect(remarks.join()).toContain(`violates ${protocol}_tls_block_early_mail_reply policy`);
    },
  ],
  [
    'smtp_tls_loglevel',
    'lmtp_tls_loglevel',
    { ...trusting, smtp_tls_loglevel: '1' },
    { tls: rsa },
    ({ remarks }) =>
      expect(remarks).toEqual([
        'Verified TLS connection established to mx1.test[127.0.0.1]:PORT: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits)',
      ]),
  ],
  [
    'smtp_tls_loglevel',
    'lmtp_tls_loglevel',
    { ...trusting, ...old, smtp_tls_loglevel: 'summary, certmatch, verbose, peercert' },
    { tls: good },
    ({ remarks }) =>
      expect(remarks).toEqual([
        'setting up TLS connection to mx1.test[127.0.0.1]:PORT',
        expect.stringMatching(
          /^mx1\.test\[127\.0\.0\.1\]:PORT: subject_CN=mx1\.test, issuer_CN=Mailfleet test CA, fingerprint=[0-9A-F:]{95}, pkey_fingerprint=[0-9A-F:]{95}$/,
        ),
        'mx1.test[127.0.0.1]:PORT: matched peername: mx1.test',
        'Verified TLS connection established to mx1.test[127.0.0.1]:PORT: TLSv1.2 with cipher ECDHE-ECDSA-AES256-GCM-SHA384 (256/256 bits)',
      ]),
  ],
  [
    'smtp_tls_loglevel_maps',
    'lmtp_tls_loglevel_maps',
    { ...encrypt, smtp_tls_loglevel_maps: 'inline:{ mx1.test=untrusted, 127.0.0.1=1 }' },
    { tls: good },
    ({ remarks }) =>
      expect(remarks).toEqual([
        'certificate verification failed for mx1.test[127.0.0.1]:PORT: untrusted issuer /CN=Mailfleet test CA',
      ]),
  ],
  [
    'smtp_tls_loglevel_maps',
    'lmtp_tls_loglevel_maps',
    { ...encrypt, smtp_tls_loglevel: '1', smtp_tls_loglevel_maps: 'inline:{ 127.0.0.1=0 }' },
    { tls: good },
    ({ remarks }) => expect(remarks).toEqual([]),
  ],
  ...(
    [
      [{ smtp_tls_security_level: 'none' }, { tls: good }, 'none'],
      [{ smtp_tls_security_level: 'may' }, {}, 'may:none'],
      [{ smtp_tls_security_level: 'may' }, { tls: good }, 'may'],
      [encrypt, { tls: good }, 'encrypt'],
      [encrypt, {}, '!encrypt'],
      [verify, { tls: good }, '!verify'],
      [encrypt, { tls: good, hooks: { starttls: { reply: '220 go', close: true } } }, 'encrypt?'],
      [{ smtp_tls_policy_maps: 'inline:{ example.com=nonsense }' }, {}, 'unknown?'],
    ] as const satisfies readonly (readonly [Values, SmtpServerOptions, string])[]
  ).map(
    ([values, options, status]): Row => [
      'smtp_log_tls_feature_status',
      'lmtp_log_tls_feature_status',
      { ...values, smtp_log_tls_feature_status: 'yes' },
      options,
      ({ outcome }) => expect(outcome.tlsStatus).toBe(status),
    ],
  ),
  [
    'smtp_log_tls_feature_status',
    'lmtp_log_tls_feature_status',
    encrypt,
    { tls: good },
    ({ outcome }) => expect(outcome).not.toHaveProperty('tlsStatus'),
  ],
];

describe.each(['smtp', 'lmtp'] as const)('over %s', (protocol) => {
  it.concurrent.each(rows)('%s, %s: %j', async (_, _lmtp, values, options, check) => {
    check(await talk(protocol, values, options), protocol);
  });
});

it('lmtp_starttls_timeout limits the handshake', async () => {
  const { verdict } = await talk(
    'lmtp',
    { ...encrypt, smtp_starttls_timeout: '1s' },
    { keywords: ['STARTTLS'], hooks: { starttls: { reply: '220 go' } } },
  );
  expect(verdict).toBe('deferred 4.7.5 Cannot start TLS: handshake failure');
});

it.each([
  ['smtp_tls_cipherlist', 'ALL'],
  ['tls_low_cipherlist', 'LOW'],
  ['tls_export_cipherlist', 'EXPORT'],
])('%s is read, reported, and changes nothing', async (name, value) => {
  const { verdict, tls, remarks } = await talk('smtp', { ...encrypt, ...old, [name]: value }, { tls: good });
  expect(verdict).toMatch(sent);
  expect(tls?.cipher).toBe('ECDHE-ECDSA-AES256-GCM-SHA384');
  expect(remarks).toEqual([expect.stringMatching(new RegExp(`^warning: ${name} is not used any more`))]);
});

it('tls_eecdh_auto_curves: the group of the key exchange', async () => {
  const { remarks } = await talk(
    'smtp',
    { ...encrypt, smtp_tls_loglevel: '1', tls_eecdh_auto_curves: 'secp384r1' },
    { tls: good },
  );
  expect(remarks[0]).toContain(' key-exchange secp384r1 ');
});
