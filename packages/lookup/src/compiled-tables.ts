/**
 * Reads the files that postmap(1) makes for cdb and lmdb tables, for those who keep no text beside them. Both formats are small; the
 * whole file becomes a map, as the text would.
 *
 * cdb: D. J. Bernstein, "A structure for constant databases". lmdb: format version 1 of the library's lmdb.h, without duplicates.
 * Keys and values may end with a NUL, which does not count. A file that is not what it should be throws.
 */

export type ReadCompiled = (bytes: Buffer) => ReadonlyMap<string, string>;

const text = (bytes: Buffer, start: number, length: number): string => {
  if (start + length > bytes.length) throw new RangeError('it is cut off');
  return bytes.toString('utf8', start, start + length).replace(/\0$/, '');
};

const CDB_TABLES = 256;

/** Records stand between the 256 pointers at the start and the first hash table. */
export const readCdb: ReadCompiled = (bytes) => {
  const entries = new Map<string, string>();
  let end = bytes.length;
  for (let table = 0; table < CDB_TABLES; table += 1) end = Math.min(end, bytes.readUInt32LE(table * 8));
  for (let at = CDB_TABLES * 8; at < end; ) {
    const [keyLength, valueLength] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
    const key = text(bytes, at + 8, keyLength);
    // Of equal keys a search finds the first.
    if (!entries.has(key)) entries.set(key, text(bytes, at + 8 + keyLength, valueLength));
    at += 8 + keyLength + valueLength;
  }
  return entries;
};

const LMDB_MAGIC = 0xbeefc0de;
const LMDB_VERSION = 1;
const PAGE_HEADER = 16;
/** Within the meta page: the second database is the one with the entries. */
const META = { magic: 16, version: 20, pageSize: 40, root: 128, transaction: 144 } as const;
const BRANCH = 1;
const LEAF = 2;
/** Of a node: its value stands on pages of its own. */
const BIG = 1;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

export const readLmdb: ReadCompiled = (bytes) => {
  const entries = new Map<string, string>();
  const meta = newestMeta(bytes);
  let left = bytes.length / meta.pageSize;
  const walk = (page: number): void => {
    left -= 1;
    if (left < 0) throw new RangeError('its pages form a loop');
    const start = page * meta.pageSize;
    const flags = bytes.readUInt16LE(start + 10);
    const nodes = (bytes.readUInt16LE(start + 12) - PAGE_HEADER) / 2;
    for (let index = 0; index < nodes; index += 1) {
      const node = start + bytes.readUInt16LE(start + PAGE_HEADER + index * 2);
      const low = bytes.readUInt32LE(node);
      const nodeFlags = bytes.readUInt16LE(node + 4);
      if ((flags & BRANCH) !== 0) walk(low + nodeFlags * 2 ** 32);
      else if ((flags & LEAF) !== 0) {
        const keyLength = bytes.readUInt16LE(node + 6);
        const value = node + 8 + keyLength;
        const big = (nodeFlags & BIG) !== 0;
        const from = big ? Number(bytes.readBigUInt64LE(value)) * meta.pageSize + PAGE_HEADER : value;
        entries.set(text(bytes, node + 8, keyLength), text(bytes, from, low));
      } else throw new RangeError(`its page ${page} is neither branch nor leaf`);
    }
  };
  if (meta.root !== NO_PAGE) walk(Number(meta.root));
  return entries;
};

/** Two pages take turns; the one of the last transaction counts. */
function newestMeta(bytes: Buffer): { readonly pageSize: number; readonly root: bigint } {
  const read = (start: number): { pageSize: number; root: bigint; transaction: bigint } => {
    if (bytes.readUInt32LE(start + META.magic) !== LMDB_MAGIC) throw new RangeError('it is no LMDB file');
    const version = bytes.readUInt32LE(start + META.version);
    if (version !== LMDB_VERSION) throw new RangeError(`its LMDB format is ${version}, and only 1 is known`);
    return {
      pageSize: bytes.readUInt32LE(start + META.pageSize),
      root: bytes.readBigUInt64LE(start + META.root),
      transaction: bytes.readBigUInt64LE(start + META.transaction),
    };
  };
  const first = read(0);
  const second = read(first.pageSize);
  return second.transaction > first.transaction ? second : first;
}
