/**
 * Protocol lists (`smtp_tls_protocols`): `>=TLSv1.2`, `<=TLSv1.3` (names or hexadecimal numbers), the older `!TLSv1`, or plain names,
 * which leave all others out. Names of protocols that the TLS library no longer has are read and have no effect.
 */
import { constants } from 'node:crypto';
import type { SecureVersion } from 'node:tls';

const versions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const satisfies readonly SecureVersion[];
type Version = (typeof versions)[number];

/** Read without an error, but the library no longer has them. */
const gone = ['sslv2', 'sslv3'];

const off: Readonly<Record<Version, number>> = {
  TLSv1: constants.SSL_OP_NO_TLSv1,
  'TLSv1.1': constants.SSL_OP_NO_TLSv1_1,
  'TLSv1.2': constants.SSL_OP_NO_TLSv1_2,
  'TLSv1.3': constants.SSL_OP_NO_TLSv1_3,
};

export interface ProtocolRange {
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
  /** What is left out between the two, as option bits. */
  readonly holes: number;
}

/** Protocols that a list asks for by name and that no longer exist. */
export const goneProtocols = (list: readonly string[]): string[] =>
  list.flatMap((entry) => entry.split(/[:,\s]+/)).filter((word) => gone.includes(word.toLowerCase()));

/** Position in `versions`; -1 for one that is gone; undefined for no version. */
const indexOf = (word: string): number | undefined => {
  const name = word.toLowerCase();
  const hex = /^(?:0x)?([0-9a-f]{3,4})$/.exec(name)?.[1];
  if (hex !== undefined) {
    const code = Number.parseInt(hex, 16);
    if (code === 0x0002 || code === 0x0300) return -1;
    return code >= 0x0301 && code <= 0x0304 ? code - 0x0301 : undefined;
  }
  if (gone.includes(name)) return -1;
  const index = versions.findIndex((version) => version.toLowerCase() === name);
  return index < 0 ? undefined : index;
};

/** What a protocol list allows; undefined when it is malformed or allows nothing. */
export const protocolRange = (list: readonly string[]): ProtocolRange | undefined => {
  let low = 0;
  let high = versions.length - 1;
  const included = new Set<number>();
  const excluded = new Set<number>();
  let positive = false;
  for (const word of list.flatMap((entry) => entry.split(/[:,\s]+/)).filter((entry) => entry !== '')) {
    const [, sign = '', name = ''] = /^(>=|<=|!)?(.*)$/.exec(word) ?? [];
    const isLimit = sign === '>=' || sign === '<=';
    if (isLimit && /^(?:none|0|)$/i.test(name)) continue;
    const index = indexOf(name);
    if (index === undefined || (!isLimit && /^(?:0x)?[0-9a-f]{3,4}$/i.test(name))) return undefined;
    if (sign === '>=') low = Math.max(low, index);
    else if (sign === '<=') high = Math.min(high, index);
    else if (sign === '!') excluded.add(index);
    else {
      positive = true;
      included.add(index);
    }
  }
  const isUsable = (index: number): boolean =>
    index >= low && index <= high && !excluded.has(index) && (!positive || included.has(index));
  const usable = versions.filter((_, index) => isUsable(index));
  const [minVersion] = usable;
  const maxVersion = usable.at(-1);
  if (minVersion === undefined || maxVersion === undefined) return undefined;
  const between = versions.slice(versions.indexOf(minVersion), versions.indexOf(maxVersion));
  const holes = between.filter((version) => !usable.includes(version));
  return { minVersion, maxVersion, holes: holes.reduce((bits, version) => bits | off[version], 0) };
};
