/**
 * DIGEST-MD5 (RFC 2831), authentication only: no security layer is negotiated (`qop=auth`), and the server must prove that it knows the
 * password (`rspauth`). Historic since RFC 6331, but what older servers have besides CRAM-MD5.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import {
  EMPTY,
  type Exchange,
  failed,
  type MechanismContext,
  NO_PROOF,
  respond,
  type Step,
} from './mechanism.ts';

/** RFC 2831 section 2.1.1: a digest-challenge of 2048 octets or more is refused. */
const MAX_CHALLENGE_BYTES = 2047;

const md5 = (...parts: readonly (string | Buffer)[]): Buffer => {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** `name=value, name="value"`; a name may come several times. Undefined: that is not what it says. */
const parseDirectives = (text: string): Map<string, string[]> | undefined => {
  const directives = new Map<string, string[]>();
  const directive = /[\s,]*([a-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",=]+))\s*(?=,|$)/giy;
  let end = 0;
  for (const [whole, name = '', quoted, token] of text.matchAll(directive)) {
    end += whole.length;
    const value = quoted?.replace(/\\(.)/gs, '$1') ?? token ?? '';
    const key = name.toLowerCase();
    directives.set(key, [...(directives.get(key) ?? []), value]);
  }
  return /^[\s,]*$/.test(text.slice(end)) ? directives : undefined;
};

const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

/** Text that has a Latin-1 form is digested in that form (section 2.1.2.1). */
const digestForm = (text: string): Buffer => {
  const latin1 = Buffer.from(text, 'latin1');
  return latin1.toString('latin1') === text ? latin1 : Buffer.from(text, 'utf8');
};

/** The realm to log in to: the only one, else that of the user's name or of the host, else the first. */
const chooseRealm = (offered: readonly string[], user: string, host: string): string | undefined => {
  const domain = user.slice(user.lastIndexOf('@') + 1);
  return offered.find((realm) => realm === domain) ?? offered.find((realm) => realm === host) ?? offered[0];
};

export const digestMd5 = (context: MechanismContext): Exchange => {
  const { credentials, authorizationId, service, host } = context;
  let rspauth: string | undefined;
  let proved = false;

  const answer = (challenge: Buffer): Step => {
    if (challenge.length > MAX_CHALLENGE_BYTES) return failed('the challenge is too long');
    const directives = parseDirectives(challenge.toString('utf8'));
    if (directives === undefined) return failed('the challenge is no list of directives');
    const [nonce, ...more] = directives.get('nonce') ?? [];
    if (nonce === undefined || nonce === '' || more.length > 0) return failed('the challenge has no nonce');
    if (directives.get('algorithm')?.[0] !== 'md5-sess') return failed('the algorithm is not md5-sess');
    const qop = directives.get('qop')?.flatMap((list) => list.split(/[\s,]+/)) ?? ['auth'];
    if (!qop.includes('auth')) return failed('the server insists on a security layer');
    const utf8 = directives.get('charset')?.[0]?.toLowerCase() === 'utf-8';
    const { user, secret } = credentials;
    const realm = chooseRealm(directives.get('realm') ?? [], user, host);
    const cnonce = context.nonce ?? randomBytes(24).toString('base64');
    const uri = `${service}/${host}`;

    const a1 = md5(
      md5(digestForm(user), ':', digestForm(realm ?? ''), ':', digestForm(secret)),
      `:${nonce}:${cnonce}`,
      ...(authorizationId === '' ? [] : [`:${authorizationId}`]),
    ).toString('hex');
    const digest = (a2: string): string =>
      md5(`${a1}:${nonce}:00000001:${cnonce}:auth:${md5(a2).toString('hex')}`).toString('hex');
    rspauth = digest(`:${uri}`);

    const fields = [
      ...(utf8 ? ['charset=utf-8'] : []),
      `username=${quote(user)}`,
      ...(realm === undefined ? [] : [`realm=${quote(realm)}`]),
      `nonce=${quote(nonce)}`,
      'nc=00000001',
      `cnonce=${quote(cnonce)}`,
      `digest-uri=${quote(uri)}`,
      `response=${digest(`AUTHENTICATE:${uri}`)}`,
      'qop=auth',
      ...(authorizationId === '' ? [] : [`authzid=${quote(authorizationId)}`]),
    ];
    return respond(Buffer.from(fields.join(','), utf8 ? 'utf8' : 'latin1'));
  };

  const check = (challenge: Buffer, expected: string): Step => {
    const given = parseDirectives(challenge.toString('latin1'))?.get('rspauth')?.[0] ?? '';
    proved =
      given.length === expected.length &&
      timingSafeEqual(Buffer.from(given, 'latin1'), Buffer.from(expected));
    return proved ? respond(EMPTY) : failed(NO_PROOF);
  };

  return {
    initial: undefined,
    respond: (challenge) => {
      if (rspauth === undefined) return answer(challenge);
      return proved ? failed('the server sent a third challenge') : check(challenge, rspauth);
    },
    objection: () => (proved ? undefined : NO_PROOF),
  };
};
