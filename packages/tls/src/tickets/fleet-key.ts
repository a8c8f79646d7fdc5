/**
 * The fleet's key for secrets at rest: gives each entry a name that tells nothing, and seals its content.
 *
 * Promises: without the key file an entry can neither be read nor made, and one that was moved to another name does not open. Each
 * name has an encryption key of its own, so that no key ever seals many contents. The key is in no message of an error.
 * Changing the file costs full handshakes and nothing else: what was sealed before is not found any more, and runs out.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Hex or Base64 of 16 bytes: less could be guessed. */
const SHORTEST = 22;

export interface FleetKey {
  /** The name of an entry, in hex. */
  nameOf(entry: string): string;
  seal(name: string, content: Buffer): Buffer;
  /** Undefined for what was not sealed under this name, by this key. */
  open(name: string, sealed: Buffer): Buffer | undefined;
}

/** @param use what the entries are: one secret makes another key for each use */
export const makeFleetKey = (secret: string, use = 'tls sessions'): FleetKey => {
  // The number stands for the form of the content: another form is another key.
  const derive = (part: string): Buffer =>
    Buffer.from(hkdfSync('sha256', secret, '', `mailfleet ${use} 1: ${part}`, KEY_BYTES));
  const naming = derive('names');
  const sealing = derive('contents');
  const keyOf = (name: string): Buffer => createHmac('sha256', sealing).update(name).digest();
  return {
    nameOf: (entry) => createHmac('sha256', naming).update(entry).digest('hex'),
    seal: (name, content) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', keyOf(name), nonce);
      const text = Buffer.concat([cipher.update(content), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), text]);
    },
    open: (name, sealed) => {
      if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', keyOf(name), nonce, { authTagLength: TAG_BYTES });
      decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      try {
        const text = decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES));
        return Buffer.concat([text, decipher.final()]);
      } catch {
        // Forged, damaged, or sealed by another key.
        return undefined;
      }
    },
  };
};

/** Throws a sentence when the file cannot be read or holds too little. */
export const readFleetKey = (parameter: string, file: string, use?: string): FleetKey => {
  let secret: string;
  try {
    secret = readFileSync(file, 'utf8').trim();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${parameter}: cannot read ${file}: ${why}`, { cause: error });
  }
  if (secret.length < SHORTEST) {
    throw new Error(
      `${parameter}: ${file} holds fewer than ${SHORTEST} characters; write a random key there: openssl rand -base64 32`,
    );
  }
  return makeFleetKey(secret, use);
};
