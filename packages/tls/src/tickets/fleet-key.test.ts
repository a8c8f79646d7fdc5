import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFleetKey, readFleetKey } from './fleet-key.ts';

const key = makeFleetKey('a secret of the whole fleet');
const content = Buffer.from('session');

test('what is sealed under a name opens under that name only, and tells neither name nor content', () => {
  const name = key.nameOf('mx.test');
  const sealed = key.seal(name, content);
  expect(key.open(name, sealed)).toEqual(content);
  expect(makeFleetKey('a secret of the whole fleet').open(name, sealed)).toEqual(content);
  expect(key.open(key.nameOf('other.test'), sealed)).toBeUndefined();
  expect(name).toMatch(/^[0-9a-f]{64}$/);
  expect(sealed.includes(content)).toBe(false);
  expect(key.seal(name, content)).not.toEqual(sealed);
});

test('with another key nothing is found or opened', () => {
  const other = makeFleetKey('a secret of another fleet');
  expect(other.nameOf('mx.test')).not.toBe(key.nameOf('mx.test'));
  expect(other.open('name', key.seal('name', content))).toBeUndefined();
});

test('what was changed, cut or never sealed does not open', () => {
  const sealed = key.seal('name', content);
  for (let index = 0; index < sealed.length; index += 1) {
    const changed = Buffer.from(sealed);
    changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
    expect(key.open('name', changed)).toBeUndefined();
    expect(key.open('name', sealed.subarray(0, index))).toBeUndefined();
  }
});

test('tls_session_cache_key_file: a file that is missing or holds too little is told, without what it holds', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fleet-key-'));
  const file = join(folder, 'key');
  try {
    expect(() => readFleetKey('tls_session_cache_key_file', file)).toThrow(
      /^tls_session_cache_key_file: cannot read .*ENOENT/,
    );
    writeFileSync(file, 'hunter2\n');
    expect(() => readFleetKey('tls_session_cache_key_file', file)).toThrow(
      /^tls_session_cache_key_file: (?!.*hunter2).* holds fewer than 22 characters; write a random key/,
    );
    writeFileSync(file, 'a secret of the whole fleet\n');
    const read = readFleetKey('tls_session_cache_key_file', file);
    expect(read.open('name', key.seal('name', content))).toEqual(content);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
