/**
 * The extensions of a certificate that node:crypto does not show: basic constraints with their path length, and which ones are
 * critical (RFC 5280 section 4.2). Reads DER just far enough for that; anything unexpected throws.
 */
import type { X509Certificate } from 'node:crypto';

interface Node {
  readonly tag: number;
  readonly content: Buffer;
}

/** The elements that stand in a constructed value, one behind the other. */
const elementsIn = (bytes: Buffer): Node[] => {
  const nodes: Node[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes.readUInt8(at);
    let length = bytes.readUInt8(at + 1);
    at += 2;
    if (length >= 0x80) {
      const size = length & 0x7f;
      if (size < 1 || size > 4) throw new Error('DER length is malformed');
      length = bytes.readUIntBE(at, size);
      at += size;
    }
    if (at + length > bytes.length) throw new Error('DER value is cut off');
    nodes.push({ tag, content: bytes.subarray(at, at + length) });
    at += length;
  }
  return nodes;
};

const TAG = { boolean: 0x01, integer: 0x02, extensions: 0xa3 } as const;

export interface Extension {
  /** DER content of the object identifier, in hex. */
  readonly id: string;
  readonly critical: boolean;
  readonly value: Buffer;
}

/** Identifiers as `Extension.id` has them. */
export const extensionId = {
  subjectAltName: '551d11',
  keyUsage: '551d0f',
  basicConstraints: '551d13',
  nameConstraints: '551d1e',
  certificatePolicies: '551d20',
  extendedKeyUsage: '551d25',
} as const;

export const extensionsOf = (certificate: X509Certificate): Extension[] => {
  const [outer] = elementsIn(certificate.raw);
  const [body] = elementsIn(outer?.content ?? Buffer.alloc(0));
  const wrapped = elementsIn(body?.content ?? Buffer.alloc(0)).find(({ tag }) => tag === TAG.extensions);
  if (wrapped === undefined) return [];
  const [list] = elementsIn(wrapped.content);
  return elementsIn(list?.content ?? Buffer.alloc(0)).map(({ content }) => {
    const parts = elementsIn(content);
    const [id, second] = parts;
    const value = parts.at(-1);
    if (id === undefined || value === undefined || parts.length < 2)
      throw new Error('extension is malformed');
    return {
      id: id.content.toString('hex'),
      critical: second?.tag === TAG.boolean && second.content[0] !== 0,
      value: value.content,
    };
  });
};

/** Most certificate authorities that may stand below this one; undefined: any number. */
export const pathLengthOf = (extensions: readonly Extension[]): number | undefined => {
  const constraints = extensions.find(({ id }) => id === extensionId.basicConstraints);
  if (constraints === undefined) return undefined;
  const [sequence] = elementsIn(constraints.value);
  const length = elementsIn(sequence?.content ?? Buffer.alloc(0)).find(({ tag }) => tag === TAG.integer);
  return length === undefined ? undefined : length.content.readUIntBE(0, length.content.length);
};
