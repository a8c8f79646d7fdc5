import { expect, test } from 'vitest';
import { readCdb, readLmdb } from './compiled-tables.ts';

test('bytes that are no table throw, and never keep us busy', () => {
  for (const read of [readCdb, readLmdb]) {
    expect(() => read(Buffer.alloc(0))).toThrow();
    expect(() => read(Buffer.alloc(1000, 0xff))).toThrow();
  }
  expect(() => readLmdb(Buffer.alloc(8192))).toThrow('it is no LMDB file');
});

test('an LMDB file whose pages form a loop throws', () => {
  const bytes = Buffer.alloc(3 * 4096);
  for (const start of [0, 4096]) {
    bytes.writeUInt32LE(0xbeefc0de, start + 16);
    bytes.writeUInt32LE(1, start + 20);
    bytes.writeUInt32LE(4096, start + 40);
    bytes.writeBigUInt64LE(2n, start + 128);
  }
  // A branch page with two nodes that point to itself.
  bytes.writeUInt16LE(1, 8192 + 10);
  bytes.writeUInt16LE(20, 8192 + 12);
  bytes.writeUInt16LE(100, 8192 + 16);
  bytes.writeUInt16LE(100, 8192 + 18);
  bytes.writeUInt32LE(2, 8192 + 100);
  expect(() => readLmdb(bytes)).toThrow('its pages form a loop');
});
