/**
 * SCRAM-SHA-1 (RFC 5802), SCRAM-SHA-256 (RFC 7677), SCRAM-SHA-512 (as Cyrus SASL has it) and their -PLUS forms, which bind the login to its TLS session.
 *
 * Both sides prove themselves: without the server's right signature the login has failed, whatever the server says. The server names the
 * iteration count, so it is held within limits: few would give the password away to whoever listens, many would keep us busy.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import {
  EMPTY,
  type Exchange,
  type FailedStep,
  failed,
  type MechanismContext,
  NO_PROOF,
  respond,
  type Step,
} from './mechanism.ts';
import { saslprep } from './prepare.ts';

const derive = promisify(pbkdf2);

const hashBytes = { sha1: 20, sha256: 32, sha512: 64 } as const;

/** RFC 7677 section 4. */
const MIN_ITERATIONS = 4096;
/** About half a second of one thread. */
const MAX_ITERATIONS = 1_000_000;

/** A name within a list of attributes (RFC 5802 section 5.1). */
const saslName = (name: string): string => name.replaceAll('=', '=3D').replaceAll(',', '=2C');

const SERVER_FIRST = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9/+]+={0,2}),i=([1-9]\d{0,9})(?:,|$)/;
const SERVER_FINAL = /^v=([A-Za-z0-9/+]+={0,2})(?:,|$)/;

export const scram =
  (hash: keyof typeof hashBytes, plus: boolean) =>
  async (context: MechanismContext): Promise<Exchange | FailedStep> => {
    const { credentials, authorizationId, channelBinding, plusMissing } = context;
    const user = await saslprep(credentials.user);
    const password = await saslprep(credentials.secret);
    if (user === undefined || password === undefined) {
      return failed(
        `the ${user === undefined ? 'user name' : 'password'} has characters that SASLprep forbids`,
      );
    }
    const nonce = context.nonce ?? randomBytes(24).toString('base64');
    const bound = plus ? channelBinding : undefined;
    const flag = bound !== undefined ? `p=${bound.type}` : plusMissing === true ? 'y' : 'n';
    const gs2 = `${flag},${authorizationId === '' ? '' : `a=${saslName(authorizationId)}`},`;
    const bare = `n=${saslName(user)},r=${nonce}`;
    const binding = Buffer.concat([Buffer.from(gs2), bound?.data ?? EMPTY]).toString('base64');
    const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
    let state: 'first' | 'final' | 'proved' | 'refused' = 'first';
    let signature: Buffer = EMPTY;

    const prove = async (challenge: string): Promise<Step> => {
      const [, serverNonce = '', salt = '', count = ''] = SERVER_FIRST.exec(challenge) ?? [];
      if (serverNonce === '') return failed('the server sent a challenge that is not understood');
      if (!serverNonce.startsWith(nonce) || serverNonce.length === nonce.length) {
        return failed('the server does not answer to our nonce');
      }
      const iterations = Number(count);
      if (iterations < MIN_ITERATIONS || iterations > MAX_ITERATIONS) {
        return failed(
          `the server wants ${iterations} iterations; ${MIN_ITERATIONS} to ${MAX_ITERATIONS} are accepted`,
        );
      }
      const salted = await derive(password, Buffer.from(salt, 'base64'), iterations, hashBytes[hash], hash);
      const clientKey = hmac(salted, 'Client Key');
      const storedKey = createHash(hash).update(clientKey).digest();
      const withoutProof = `c=${binding},r=${serverNonce}`;
      const authMessage = `${bare},${challenge},${withoutProof}`;
      const clientSignature = hmac(storedKey, authMessage);
      const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (clientSignature[index] ?? 0)));
      signature = hmac(hmac(salted, 'Server Key'), authMessage);
      state = 'final';
      return respond(`${withoutProof},p=${proof.toString('base64')}`);
    };

    const check = (challenge: string): Step => {
      if (challenge.startsWith('e=')) {
        // Its reply to AUTH is to follow, and says more.
        state = 'refused';
        return respond(EMPTY);
      }
      const given = Buffer.from(SERVER_FINAL.exec(challenge)?.[1] ?? '', 'base64');
      if (given.length !== signature.length || !timingSafeEqual(given, signature)) {
        return failed(NO_PROOF);
      }
      state = 'proved';
      return respond(EMPTY);
    };

    return {
      initial: Buffer.from(`${gs2}${bare}`),
      respond: (challenge) => {
        const text = challenge.toString('utf8');
        if (state === 'first') return prove(text);
        return state === 'final' ? check(text) : failed('the server goes on after the end of the exchange');
      },
      objection: () => (state === 'proved' ? undefined : NO_PROOF),
    };
  };
