/** For the tests beside it: the server's side of SCRAM (RFC 5802), with channel binding, written from the RFC and not from the client. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import type { ServerMechanism } from '@mailfleet/test-kit';

export interface ScramServerOptions {
  readonly password: string;
  readonly hash: 'sha1' | 'sha256';
  /** The value that this side sees; undefined: the form without -PLUS. */
  readonly binding?: (tls: Parameters<ServerMechanism>[0]['tls'], type: string) => Buffer;
  /** It offers -PLUS elsewhere: a client that says it saw no such offer was deceived. */
  readonly offersPlus?: boolean;
  /** Signs with another key, as an impostor would. */
  readonly impostor?: boolean;
  readonly iterations?: number;
}

/** What the client said in front of its name, for each exchange. */
export const scramServer = (options: ScramServerOptions, seen: string[] = []): ServerMechanism => {
  const { password, hash, binding, impostor = false, iterations = 4096 } = options;
  return async ({ initial, ask, tls }) => {
    const first = initial ?? (await ask(Buffer.alloc(0)));
    const [, gs2 = '', bare = '', user = '', nonce = ''] =
      /^([^,]*,[^,]*,)(n=([^,]*),r=([^,]*))$/.exec(first.toString()) ?? [];
    seen.push(gs2);
    const [, type = ''] = /^p=([^,]*)/.exec(gs2) ?? [];
    if (gs2.startsWith('y') && options.offersPlus === true) return undefined;
    if ((binding === undefined) !== (type === '')) return undefined;
    const salt = randomBytes(12);
    const serverFirst = `r=${nonce}${randomBytes(9).toString('hex')},s=${salt.toString('base64')},i=${iterations}`;
    const final = (await ask(Buffer.from(serverFirst))).toString();
    const [withoutProof = '', proof = ''] = final.split(',p=');
    const [, c = ''] = /^c=([^,]*),/.exec(withoutProof) ?? [];
    const expected = Buffer.concat([Buffer.from(gs2), binding?.(tls, type) ?? Buffer.alloc(0)]);
    if (c !== expected.toString('base64')) return undefined;
    const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
    const salted = pbkdf2Sync(password, salt, iterations, hash === 'sha1' ? 20 : 32, hash);
    const storedKey = createHash(hash).update(hmac(salted, 'Client Key')).digest();
    const message = `${bare},${serverFirst},${withoutProof}`;
    const signature = hmac(storedKey, message);
    const clientKey = Buffer.from(
      Buffer.from(proof, 'base64').map((byte, index) => byte ^ (signature[index] ?? 0)),
    );
    if (!createHash(hash).update(clientKey).digest().equals(storedKey)) return undefined;
    const key = impostor ? randomBytes(32) : hmac(salted, 'Server Key');
    await ask(Buffer.from(`v=${hmac(key, message).toString('base64')}`));
    return user;
  };
};
