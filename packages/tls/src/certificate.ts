/**
 * What a certificate says that node:crypto does not tell, or tells only as text that could be read in two ways: its names, and the limits
 * that authorities have (RFC 5280 section 4.2).
 *
 * A certificate that cannot be read counts as one with an unknown critical extension: it proves nothing.
 */
import type { X509Certificate } from 'node:crypto';
import { type Der, objectIdOf, readDer, readOne } from './der.ts';

export interface CertificateFacts {
  /** DNS names of subjectAltName; undefined when there is none, so that common names count. */
  readonly dnsNames: readonly string[] | undefined;
  readonly commonNames: readonly string[];
  readonly issuerCommonName: string | undefined;
  readonly subjectIsIssuer: boolean;
  readonly basicConstraints: { readonly isAuthority: boolean; readonly pathLength?: number } | undefined;
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly nameConstraints: NameConstraints | undefined;
  /** Something that a verifier must understand, and this one does not. */
  readonly unknownCritical: boolean;
  readonly signatureAlgorithm: string;
}

/** What an authority may issue for. */
interface NameConstraints {
  readonly permittedDns: readonly string[] | undefined;
  readonly excludedDns: readonly string[];
  /** It constrains other kinds of names too. */
  readonly others: boolean;
}

const SUBJECT_ALT_NAME = '2.5.29.17';
const BASIC_CONSTRAINTS = '2.5.29.19';
const NAME_CONSTRAINTS = '2.5.29.30';
const EXTENDED_KEY_USAGE = '2.5.29.37';
/** Understood, or checked by OpenSSL's own test whether one certificate issued another: keyUsage, key identifiers, policies. */
const understood = new Set([
  '2.5.29.14',
  '2.5.29.15',
  SUBJECT_ALT_NAME,
  BASIC_CONSTRAINTS,
  NAME_CONSTRAINTS,
  '2.5.29.32',
  '2.5.29.35',
  EXTENDED_KEY_USAGE,
]);

const COMMON_NAME = '2.5.4.3';
const DNS_NAME = 0x82;

const known = new WeakMap<X509Certificate, CertificateFacts>();

export const factsOf = (certificate: X509Certificate): CertificateFacts => {
  let facts = known.get(certificate);
  if (facts === undefined) {
    try {
      facts = read(certificate.raw);
    } catch {
      facts = unreadable;
    }
    known.set(certificate, facts);
  }
  return facts;
};

/** Names that the server may be known by: DNS names, or the common name when there is no DNS name. */
export const serverNames = (certificate: X509Certificate): readonly string[] => {
  const { dnsNames, commonNames } = factsOf(certificate);
  return dnsNames ?? commonNames;
};

const unreadable: CertificateFacts = {
  dnsNames: [],
  commonNames: [],
  issuerCommonName: undefined,
  subjectIsIssuer: false,
  basicConstraints: { isAuthority: false },
  extendedKeyUsage: [],
  nameConstraints: undefined,
  unknownCritical: true,
  signatureAlgorithm: '',
};

interface RawExtension {
  readonly critical: boolean;
  readonly value: Buffer;
}

const read = (raw: Buffer): CertificateFacts => {
  const [body, algorithm] = readDer(readOne(raw, 0x30));
  let fields = readDer(body?.content ?? Buffer.alloc(0));
  if (fields[0]?.tag === 0xa0) fields = fields.slice(1);
  const [, , issuer, , subject] = fields;
  const extensions = new Map<string, RawExtension>();
  const listed = fields.find(({ tag }) => tag === 0xa3);
  for (const { content } of listed === undefined ? [] : readDer(readOne(listed.content, 0x30))) {
    const [id, ...rest] = readDer(content);
    const oid = objectIdOf(id?.content ?? Buffer.alloc(0));
    // Two values for one thing: whoever reads the other one would be deceived.
    if (extensions.has(oid)) throw new Error('an extension stands twice');
    extensions.set(oid, {
      critical: rest.length > 1 && rest[0]?.content[0] !== 0,
      value: rest.at(-1)?.content ?? Buffer.alloc(0),
    });
  }
  const alternatives = extensions.get(SUBJECT_ALT_NAME);
  const dnsNames =
    alternatives === undefined ? [] : textsOf(readDer(readOne(alternatives.value, 0x30)), DNS_NAME);
  const constraints = extensions.get(NAME_CONSTRAINTS);
  const basic = extensions.get(BASIC_CONSTRAINTS);
  const usage = extensions.get(EXTENDED_KEY_USAGE);
  return {
    dnsNames: dnsNames.length === 0 ? undefined : dnsNames,
    commonNames: commonNamesOf(subject),
    issuerCommonName: commonNamesOf(issuer).at(-1),
    subjectIsIssuer: subject !== undefined && issuer?.content.equals(subject.content) === true,
    basicConstraints: basic && readBasicConstraints(basic.value),
    extendedKeyUsage: usage && readDer(readOne(usage.value, 0x30)).map(({ content }) => objectIdOf(content)),
    nameConstraints: constraints && readNameConstraints(constraints.value),
    unknownCritical: [...extensions].some(([oid, { critical }]) => critical && !understood.has(oid)),
    signatureAlgorithm: objectIdOf(
      readDer(algorithm?.content ?? Buffer.alloc(0))[0]?.content ?? Buffer.alloc(0),
    ),
  };
};

/** Texts of one kind; one with anything but printable ASCII in it is no name of a server, and left out. */
const textsOf = (values: readonly Der[], kind: number): string[] =>
  values
    .filter(({ tag }) => tag === kind)
    .map(({ content }) =>
      content.every((byte) => byte > 0x20 && byte < 0x7f) ? content.toString('latin1') : '',
    );

const commonNamesOf = (name: Der | undefined): string[] =>
  (name === undefined ? [] : readDer(name.content)).flatMap(({ content }) =>
    readDer(content).flatMap((attribute) => {
      const [id, value] = readDer(attribute.content);
      if (id === undefined || value === undefined || objectIdOf(id.content) !== COMMON_NAME) return [];
      const text =
        value.tag === 0x1e ? value.content.swap16().toString('utf16le') : value.content.toString('utf8');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: a name with such is none
      return /[\x00-\x1f\x7f]/.test(text) ? [] : [text];
    }),
  );

const readBasicConstraints = (value: Buffer): CertificateFacts['basicConstraints'] => {
  const parts = readDer(readOne(value, 0x30));
  const isAuthority = parts.some(({ tag, content }) => tag === 0x01 && content[0] !== 0);
  const length = parts.find(({ tag }) => tag === 0x02)?.content;
  if (length === undefined) return { isAuthority };
  return { isAuthority, pathLength: length.length === 1 ? (length[0] ?? 0) : Number.MAX_SAFE_INTEGER };
};

const readNameConstraints = (value: Buffer): NameConstraints => {
  const trees = readDer(readOne(value, 0x30));
  const bases = (tag: number): Der[] | undefined => {
    const found = trees.find((tree) => tree.tag === tag);
    return found && readDer(found.content).flatMap(({ content }) => readDer(content).slice(0, 1));
  };
  const permitted = bases(0xa0);
  const excluded = bases(0xa1) ?? [];
  const dns = permitted?.filter(({ tag }) => tag === DNS_NAME);
  return {
    permittedDns: dns === undefined || dns.length === 0 ? undefined : textsOf(dns, DNS_NAME),
    excludedDns: textsOf(excluded, DNS_NAME),
    others: [...(permitted ?? []), ...excluded].some(({ tag }) => tag !== DNS_NAME),
  };
};
