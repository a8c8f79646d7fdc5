/**
 * Whether the server's certificate is the one that its TLSA records announce (RFC 7672 section 3.1). Usage 3 wants the very
 * certificate or key, whatever its names and dates; usage 2 wants a valid chain to the anchor, and one of the names.
 */
import type { X509Certificate } from 'node:crypto';
import { X509Certificate as Certificate } from 'node:crypto';
import { type Anchors, findPath } from '../chain.ts';
import type { TlsaPolicy } from './decide.ts';
import { type DaneDigests, publicKeyOf, recordMatches, selector, type TlsaRecord, usage } from './tlsa.ts';

export type TlsaVerdict =
  | { readonly matched: true }
  | {
      readonly matched: false;
      readonly reason: string;
      /** A trust anchor vouches for the chain, but the name is another's. */
      readonly wrongName: boolean;
    };

export interface PresentedChain {
  /** The server's certificate first, each followed by its issuer. */
  readonly chain: readonly X509Certificate[];
  /** Whether the server's certificate holds one of these names. */
  readonly hasName: (names: readonly string[]) => boolean;
}

/** A path that is longer comes from mistakes or attacks. */
const MOST_AUTHORITIES = 10;

export const matchTlsa = (
  { chain, hasName }: PresentedChain,
  { records, names, digests }: TlsaPolicy,
  nowMs: number,
): TlsaVerdict => {
  const leaf = chain[0];
  if (leaf === undefined) return { matched: false, reason: 'no certificate', wrongName: false };
  if (records.some((record) => record.usage === usage.endEntity && recordMatches(record, leaf, digests))) {
    return { matched: true };
  }
  const anchors = records.filter((record) => record.usage === usage.trustAnchor);
  if (anchors.length === 0) return { matched: false, reason: 'no matching TLSA record', wrongName: false };
  const path = findPath(leaf, chain.slice(1), anchorsOf(chain, anchors, digests, nowMs), {
    maxDepth: MOST_AUTHORITIES,
    nowMs,
  });
  if (path.kind === 'none') {
    return { matched: false, reason: `no matching TLSA record (${path.error})`, wrongName: false };
  }
  return hasName(names)
    ? { matched: true }
    : { matched: false, reason: `certificate has none of the names ${names.join(', ')}`, wrongName: true };
};

/**
 * What the records vouch for: authorities that were presented, and those that DNS holds in full. As in OpenSSL, an anchor's dates count, and the
 * server's own certificate is none.
 */
const anchorsOf = (
  [leaf, ...presented]: readonly X509Certificate[],
  records: readonly TlsaRecord[],
  digests: DaneDigests,
  nowMs: number,
): Anchors => {
  const full = records.filter(({ matchingType }) => matchingType === 0);
  const inDns = full
    .filter((record) => record.selector === selector.certificate)
    .map((record) => new Certificate(record.certificate));
  const announced = presented.filter((each) =>
    records.some((record) => recordMatches(record, each, digests)),
  );
  return {
    certificates: [...announced, ...inDns].filter(
      (each) =>
        leaf?.raw.equals(each.raw) !== true &&
        nowMs >= each.validFromDate.getTime() &&
        nowMs <= each.validToDate.getTime(),
    ),
    publicKeys: full
      .filter((record) => record.selector === selector.publicKey)
      .map(publicKeyOf)
      .filter((key) => leaf?.publicKey.equals(key) !== true),
  };
};
