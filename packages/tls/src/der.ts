/**
 * Reads DER (ITU-T X.690) as far as certificates need it: tag, length, content, one level at a time. Lengths are checked against what is
 * there; anything else than definite lengths and one-byte tags throws.
 */

export interface Der {
  readonly tag: number;
  readonly content: Buffer;
}

/** The values that follow each other in `bytes`. Throws when they do not fit. */
export const readDer = (bytes: Buffer): Der[] => {
  const values: Der[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = byteAt(bytes, at);
    let length = byteAt(bytes, at + 1);
    let from = at + 2;
    if ((tag & 0x1f) === 0x1f) throw new Error('DER: a long tag');
    if (length >= 0x80) {
      const digits = length & 0x7f;
      if (digits === 0 || digits > 4) throw new Error('DER: a bad length');
      length = 0;
      for (let digit = 0; digit < digits; digit++) length = length * 256 + byteAt(bytes, from++);
    }
    if (from + length > bytes.length) throw new Error('DER: content is cut short');
    values.push({ tag, content: bytes.subarray(from, from + length) });
    at = from + length;
  }
  return values;
};

/** The only value in `bytes`, which must have this tag. */
export const readOne = (bytes: Buffer, tag: number): Buffer => {
  const [value, ...more] = readDer(bytes);
  if (value?.tag !== tag || more.length > 0) throw new Error(`DER: no single value of tag ${tag}`);
  return value.content;
};

/** An OBJECT IDENTIFIER in dotted form. */
export const objectIdOf = (content: Buffer): string => {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    if (arcs.length > 0) arcs.push(arc);
    else arcs.push(Math.min(Math.floor(arc / 40), 2), arc - 40 * Math.min(Math.floor(arc / 40), 2));
    arc = 0;
  }
  return arcs.join('.');
};

const byteAt = (bytes: Buffer, at: number): number => {
  const byte = bytes[at];
  if (byte === undefined) throw new Error('DER: content is cut short');
  return byte;
};
