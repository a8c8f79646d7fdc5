/**
 * Writes X.509 certificates (RFC 5280) of any content, wrong ones included, and signs them with node:crypto: a test pays a
 * millisecond for one, and can say exactly what is wrong with it.
 */
import { type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

export interface Extension {
  readonly oid: string;
  readonly critical?: boolean;
  readonly value: Buffer;
}

export interface CertificateContent {
  /** Common name; undefined: an empty name. */
  readonly subject: string | undefined;
  readonly issuer: string | undefined;
  readonly publicKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly Extension[];
}

const tlv = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
};

const sequence = (...parts: readonly Uint8Array[]): Buffer => tlv(0x30, ...parts);
const boolean = (value: boolean): Buffer => tlv(0x01, Buffer.from([value ? 0xff : 0]));
const integer = (bytes: Buffer): Buffer => tlv(0x02, bytes);
const octets = (bytes: Buffer): Buffer => tlv(0x04, bytes);

const objectId = (dotted: string): Buffer => {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const digits = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) digits.unshift((left & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return tlv(0x06, Buffer.from(bytes));
};

const nameOf = (commonName: string | undefined): Buffer =>
  commonName === undefined
    ? sequence()
    : sequence(tlv(0x31, sequence(objectId('2.5.4.3'), tlv(0x0c, Buffer.from(commonName)))));

const time = (date: Date): Buffer =>
  tlv(0x17, Buffer.from(`${date.toISOString().replace(/\D/g, '').slice(2, 14)}Z`));

/** An AlgorithmIdentifier, and the digest that goes with it. */
const algorithmOf = (key: KeyObject): { readonly identifier: Buffer; readonly digest: string } => {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return { identifier: sequence(objectId('1.2.840.113549.1.1.11'), tlv(0x05)), digest: 'sha256' };
    case 'ec':
      return { identifier: sequence(objectId('1.2.840.10045.4.3.2')), digest: 'sha256' };
    case 'dsa':
      return { identifier: sequence(objectId('2.16.840.1.101.3.4.3.2')), digest: 'sha256' };
    default:
      throw new Error(`no certificates with keys of type ${key.asymmetricKeyType}`);
  }
};

const bits = (bytes: Buffer): Buffer => tlv(0x03, Buffer.from([0]), bytes);

/** The certificate in PEM, signed with the issuer's key. */
export const writeCertificate = (content: CertificateContent, issuerKey: KeyObject): string => {
  const { identifier, digest } = algorithmOf(issuerKey);
  const serial = randomBytes(8);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const extensions = content.extensions.map(({ oid, critical, value }) =>
    sequence(objectId(oid), ...(critical === true ? [boolean(true)] : []), octets(value)),
  );
  const body = sequence(
    tlv(0xa0, integer(Buffer.from([2]))),
    integer(serial),
    identifier,
    nameOf(content.issuer),
    sequence(time(content.notBefore), time(content.notAfter)),
    nameOf(content.subject),
    content.publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length === 0 ? [] : [tlv(0xa3, sequence(...extensions))]),
  );
  const signed = sequence(body, identifier, bits(sign(digest, body, issuerKey)));
  const lines = signed.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
};

export const basicConstraints = (isAuthority: boolean, pathLength?: number): Extension => ({
  oid: '2.5.29.19',
  critical: true,
  value: sequence(
    ...(isAuthority ? [boolean(true)] : []),
    ...(pathLength === undefined ? [] : [integer(Buffer.from([pathLength]))]),
  ),
});

/** DNS names, taken as they are, and IP addresses (version 4). */
export const subjectAltName = (names: readonly string[]): Extension => ({
  oid: '2.5.29.17',
  value: sequence(...names.map((name) => generalName(name))),
});

const generalName = (name: string): Buffer =>
  isIP(name) === 4
    ? tlv(0x87, Buffer.from(name.split('.').map(Number)))
    : tlv(0x82, Buffer.from(name, 'latin1'));

/** DNS names below which an authority may (or may not) issue. */
export const nameConstraints = (
  permitted: readonly string[],
  excluded: readonly string[] = [],
): Extension => {
  const trees = (tag: number, names: readonly string[]): Buffer[] =>
    names.length === 0 ? [] : [tlv(tag, ...names.map((name) => sequence(generalName(name))))];
  return {
    oid: '2.5.29.30',
    critical: true,
    value: sequence(...trees(0xa0, permitted), ...trees(0xa1, excluded)),
  };
};

/** `1.3.6.1.5.5.7.3.1` is TLS servers, `….2` clients. */
export const extendedKeyUsage = (...oids: readonly string[]): Extension => ({
  oid: '2.5.29.37',
  value: sequence(...oids.map(objectId)),
});

/** The first byte of the bit string: 0x80 digitalSignature, 0x04 keyCertSign, 0x02 cRLSign. */
export const keyUsage = (mask: number): Extension => ({
  oid: '2.5.29.15',
  critical: true,
  value: tlv(0x03, Buffer.from([0, mask])),
});

/** One that nobody knows. */
export const unknownExtension = (critical: boolean): Extension => ({
  oid: '1.3.6.1.4.1.99999.1',
  critical,
  value: tlv(0x05),
});
