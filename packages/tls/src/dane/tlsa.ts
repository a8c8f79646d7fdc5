/**
 * TLSA records that SMTP may use (RFC 7672 section 3.1): usages 2 (DANE-TA) and 3 (DANE-EE), selectors 0 and 1, matching types 0
 * and those of `tls_dane_digests`. What is left out here counts as unusable, never as a match.
 *
 * Digest agility (RFC 7671 section 9): of the digests published for one usage and selector only the one that `tls_dane_digests`
 * lists first counts, so that a weaker one cannot be used in its place. Full data (matching type 0) always counts.
 */
import { createHash, createPublicKey, getHashes, X509Certificate } from 'node:crypto';

export interface TlsaRecord {
  readonly usage: number;
  readonly selector: number;
  readonly matchingType: number;
  readonly certificate: Uint8Array;
}

export const usage = { trustAnchor: 2, endEntity: 3 } as const;
export const selector = { certificate: 0, publicKey: 1 } as const;

/** Names of digests by TLSA matching type, best first. */
export type DaneDigests = ReadonlyMap<number, string>;

const standardTypes: Readonly<Record<string, number>> = { sha256: 1, sha512: 2 };

/** Reads `tls_dane_digests`: `sha512 sha256`, or `name=number` for matching types that IANA may assign yet. */
export const parseDaneDigests = (
  words: readonly string[],
): { readonly digests: DaneDigests } | { readonly error: string } => {
  const digests = new Map<number, string>();
  for (const word of words) {
    const [, name = '', number] = /^([^=]+)(?:=(\d+))?$/.exec(word) ?? [];
    const digest = name.toLowerCase();
    const type = number === undefined ? standardTypes[digest] : Number(number);
    if (type === undefined)
      return { error: `no TLSA matching type is known for "${word}"; write name=number` };
    if (type < 1 || type > 254)
      return { error: `TLSA matching type ${type} of "${word}" is not from 1 to 254` };
    const owner = Object.entries(standardTypes).find(([, standard]) => standard === type)?.[0];
    if (owner !== undefined && owner !== digest) {
      return { error: `TLSA matching type ${type} is ${owner} and cannot be "${name}"` };
    }
    if (digests.has(type)) return { error: `TLSA matching type ${type} is given twice` };
    if (!getHashes().includes(digest)) return { error: `unknown digest "${name}"` };
    digests.set(type, digest);
  }
  return { digests };
};

/** The records that can match something, without those that a better digest replaces. */
export const usableRecords = (records: readonly TlsaRecord[], digests: DaneDigests): TlsaRecord[] => {
  const order = [...digests.keys()];
  const rank = ({ matchingType }: TlsaRecord): number => order.indexOf(matchingType);
  const usable = records.filter((record) => isUsable(record, digests));
  return usable.filter(
    (record) =>
      record.matchingType === 0 ||
      !usable.some(
        (other) =>
          other.usage === record.usage &&
          other.selector === record.selector &&
          other.matchingType !== 0 &&
          rank(other) < rank(record),
      ),
  );
};

const isUsable = (record: TlsaRecord, digests: DaneDigests): boolean => {
  if (record.usage !== usage.trustAnchor && record.usage !== usage.endEntity) return false;
  if (record.selector !== selector.certificate && record.selector !== selector.publicKey) return false;
  if (record.matchingType === 0) return isReadable(record);
  const digest = digests.get(record.matchingType);
  return digest !== undefined && createHash(digest).digest().length === record.certificate.length;
};

/** Full data must be what its selector says; a trust anchor is later used as such. */
const isReadable = (record: TlsaRecord): boolean => {
  try {
    if (record.selector === selector.certificate) new X509Certificate(record.certificate);
    else publicKeyOf(record);
    return true;
  } catch {
    return false;
  }
};

/** Key of a record with selector 1 and matching type 0. */
export const publicKeyOf = ({ certificate }: TlsaRecord): ReturnType<typeof createPublicKey> =>
  createPublicKey({ key: Buffer.from(certificate), format: 'der', type: 'spki' });

/** Whether a record describes this certificate, its usage aside. */
export const recordMatches = (
  record: TlsaRecord,
  certificate: X509Certificate,
  digests: DaneDigests,
): boolean => {
  const data =
    record.selector === selector.certificate
      ? certificate.raw
      : certificate.publicKey.export({ type: 'spki', format: 'der' });
  if (record.matchingType === 0) return data.equals(record.certificate);
  const digest = digests.get(record.matchingType);
  return digest !== undefined && createHash(digest).update(data).digest().equals(record.certificate);
};

/** `3 1 1 0123…`: as a zone file has it. */
export const recordText = (record: TlsaRecord): string =>
  `${record.usage} ${record.selector} ${record.matchingType} ${Buffer.from(record.certificate).toString('hex')}`;
