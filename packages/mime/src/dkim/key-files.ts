/**
 * Private keys from PEM files, read again when a file changes, at most once a second. Keys stay in this process' memory; nothing here puts
 * them, or what a file holds, into a message.
 */
import { createPrivateKey } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';

interface KnownKey {
  readonly pem: Buffer;
  readonly changedMs: number;
  checkedMs: number;
}

/** How long a file is taken to be the same. */
const TRUST_MS = 1000;

export class KeyFiles {
  readonly #known = new Map<string, KnownKey>();
  readonly #steadyNow: () => number;

  constructor(steadyNow: () => number) {
    this.#steadyNow = steadyNow;
  }

  /** An RSA or Ed25519 key; the error says which file and what to do. */
  async read(path: string): Promise<{ readonly pem: Buffer } | { readonly error: string }> {
    const now = this.#steadyNow();
    const known = this.#known.get(path);
    if (known !== undefined && now - known.checkedMs < TRUST_MS) return known;
    try {
      const changedMs = (await stat(path)).mtimeMs;
      if (known?.changedMs === changedMs) {
        known.checkedMs = now;
        return known;
      }
      const pem = await readFile(path);
      const type = keyType(pem);
      if (type !== 'rsa' && type !== 'ed25519') {
        return { error: `${path} holds no RSA or Ed25519 private key in PEM form without a passphrase` };
      }
      const key = { pem, changedMs, checkedMs: now };
      this.#known.set(path, key);
      return key;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'an unknown error';
      return { error: `the key file ${path} cannot be read: ${code}` };
    }
  }
}

function keyType(pem: Buffer): string | undefined {
  try {
    return createPrivateKey(pem).asymmetricKeyType;
  } catch {
    return undefined;
  }
}
