/**
 * The table of TLS: every level before every kind of offer and certificate, with what Postfix makes of it. Each cell is a scenario for
 * both clients, and says what both must decide: so that the table stands on its own where no Postfix is installed.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { makeCertificates } from '@mailfleet/test-kit';
import type { Scenario } from './scenario.ts';

const authority = makeCertificates();
const unknown = makeCertificates('Unknown CA');
const intermediate = authority.authority('Intermediate CA');
const deep = intermediate.authority('Deep CA');

/** Ends the certificates; call it when all scenarios are over. */
export const removeTableCertificates = (): void => {
  authority.remove();
  unknown.remove();
};

const below = deep.issue(['localhost']);

/** What the server shows. */
const certificates = {
  good: authority.issue(['localhost']),
  'good, RSA': authority.issue(['localhost'], { keyType: 'rsa' }),
  'good, by intermediates': { cert: below.chain, key: below.key },
  'good, out of order': { cert: `${below.cert}${intermediate.ca.cert}${deep.ca.cert}`, key: below.key },
  'an intermediate is missing': { cert: below.cert, key: below.key },
  'another name': authority.issue(['other.test']),
  'only a common name': authority.issue([], { commonName: 'localhost', extensions: [] }),
  expired: authority.issue(['localhost'], { expired: true }),
  'not yet valid': authority.issue(['localhost'], { notYetValid: true }),
  'signed by itself': authority.issue(['localhost'], { selfSigned: true }),
  'an unknown authority': unknown.issue(['localhost']),
} as const;

type CertificateName = keyof typeof certificates;
const certificateNames = Object.keys(certificates) as CertificateName[];

const KEYWORDS = ['STARTTLS', 'PIPELINING', '8BITMIME'];

/** What the server does without a certificate. */
const offers = {
  'no offer': {},
  'refused for now': { keywords: KEYWORDS, hooks: { starttls: '454 4.7.0 not now' } },
  'refused for good': { keywords: KEYWORDS, hooks: { starttls: '554 5.7.0 never' } },
  'hangs up': { keywords: KEYWORDS, hooks: { starttls: { reply: '220 2.0.0 go', close: true } } },
  'an old protocol': {
    tls: {
      ...certificates.good,
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    },
  },
} as const satisfies Record<
  string,
  NonNullable<Exclude<NonNullable<Scenario['servers']>[number], 'refused'>>
>;

type OfferName = keyof typeof offers;
const offerNames = Object.keys(offers) as OfferName[];

const levels = ['none', 'may', 'encrypt', 'fingerprint', 'verify', 'secure'] as const;
type Level = (typeof levels)[number];

type LogKind = 'Untrusted' | 'Trusted' | 'Verified';

export interface TableCell {
  readonly scenario: Scenario;
  /** `status (text)` of the delivery record. */
  readonly verdict: RegExp;
  /** First word of the line about the handshake, when there is one. */
  readonly kind: LogKind | undefined;
}

const sent = /^2\.0\.0 sent /;
const unmatched = /^4\.7\.5 deferred \(Server certificate not verified\)$/;
const handshakeFailure = /^4\.7\.5 deferred \(Cannot start TLS: handshake failure\)$/;

const trusted: readonly CertificateName[] = [
  'good',
  'good, RSA',
  'good, by intermediates',
  'good, out of order',
  'another name',
  'only a common name',
];

const isTls = (level: Level): boolean => level !== 'none';
const requires = (level: Level): boolean => level !== 'none' && level !== 'may';

const certificateCell = (level: Level, name: CertificateName): Pick<TableCell, 'verdict' | 'kind'> => {
  const chain = trusted.includes(name);
  switch (level) {
    case 'none':
      return { verdict: sent, kind: undefined };
    case 'may':
    case 'encrypt':
      return { verdict: sent, kind: chain ? 'Trusted' : 'Untrusted' };
    case 'fingerprint':
      return name === 'another name'
        ? { verdict: unmatched, kind: 'Untrusted' }
        : { verdict: sent, kind: 'Verified' };
    case 'verify':
    case 'secure':
      if (!chain) return { verdict: unmatched, kind: 'Untrusted' };
      return name === 'another name'
        ? { verdict: unmatched, kind: 'Trusted' }
        : { verdict: sent, kind: 'Verified' };
  }
};

const offerVerdict = (level: Level, name: OfferName): RegExp => {
  switch (name) {
    case 'no offer':
      return requires(level)
        ? /^4\.7\.4 deferred \(TLS is required, but was not offered by host localhost\[127\.0\.0\.1\]\)$/
        : sent;
    case 'refused for now':
      return requires(level)
        ? /^4\.7\.0 deferred \(TLS is required, but host localhost\[127\.0\.0\.1\] refused to start TLS: 454 4\.7\.0 not now\)$/
        : sent;
    case 'refused for good':
      return requires(level)
        ? /^5\.7\.0 bounced \(TLS is required, but host localhost\[127\.0\.0\.1\] refused to start TLS: 554 5\.7\.0 never\)$/
        : sent;
    case 'hangs up':
    case 'an old protocol':
      return isTls(level) ? handshakeFailure : sent;
  }
};

const digestOf = (pem: string): string =>
  createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');

const configFor = (level: Level, cert: string): Record<string, string> => ({
  smtp_tls_security_level: level,
  smtp_tls_loglevel: '1',
  smtp_tls_CAfile: authority.ca.certFile,
  smtp_tls_protocols: '>=TLSv1.2',
  smtp_tls_mandatory_protocols: '>=TLSv1.2',
  ...(level === 'fingerprint'
    ? { smtp_tls_fingerprint_digest: 'sha256', smtp_tls_fingerprint_cert_match: digestOf(cert) }
    : {}),
});

export const tlsTable: readonly TableCell[] = levels.flatMap((level) => [
  ...certificateNames.map((name): TableCell => {
    const certificate = certificates[name];
    const shown = name === 'another name' ? certificates.good : certificate;
    return {
      scenario: {
        name: `TLS table: ${level}, ${name}`,
        nexthop: '[localhost]:%1',
        servers: [{ tls: certificate }],
        config: configFor(level, shown.cert),
      },
      ...certificateCell(level, name),
    };
  }),
  ...offerNames.map((name): TableCell => {
    return {
      scenario: {
        name: `TLS table: ${level}, ${name}`,
        nexthop: '[localhost]:%1',
        servers: [offers[name]],
        config: configFor(level, certificates.good.cert),
      },
      verdict: offerVerdict(level, name),
      kind: undefined,
    };
  }),
]);
