/**
 * Who may use the HTTP API. With intake_http_token_file: whoever brings one of its bearer tokens. Without: clients in
 * mynetworks, but no web page that their browsers show: a page can send to us with its own Origin, or point its own name at
 * our address (DNS rebinding). Tokens are kept and compared as hashes, in constant time.
 */
import { timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import type { Intake } from './intake.ts';
import { digest } from './password.ts';

type Access =
  /** `caller` keeps one caller's idempotency keys apart from another's. */
  | { readonly ok: true; readonly caller: string }
  | {
      readonly ok: false;
      readonly statusCode: 401 | 403 | 503;
      readonly error: string;
      readonly message: string;
    };

export type AccessCheck = (
  headers: Pick<IncomingHttpHeaders, 'authorization' | 'host' | 'origin'>,
  address: string,
) => Promise<Access>;

/** Throws a sentence when the token file cannot be read or holds no token. */
export async function createAccessCheck({ config, mynetworks }: Intake): Promise<AccessCheck> {
  const file = config.get('intake_http_token_file');
  if (file === '') {
    const ownName = config.get('myhostname').toLowerCase();
    return async ({ host, origin }, address) =>
      origin !== undefined || !isOurs(host, ownName) ? WEB_PAGE : byNetwork(await mynetworks.match(address));
  }
  const hashes = (await readTokens(file)).map(digest);
  return async ({ authorization }) => {
    const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    const hash = digest(token ?? '');
    // Every hash is looked at, so that time does not tell which line came close.
    const known = hashes.filter((each) => timingSafeEqual(each, hash)).length > 0;
    if (known) return { ok: true, caller: hash.toString('hex') };
    const message =
      token === undefined ? 'send "Authorization: Bearer <token>"' : 'the bearer token is not valid';
    return { ok: false, statusCode: 401, error: 'unauthorized', message };
  };
}

const WEB_PAGE: Access = {
  ok: false,
  statusCode: 403,
  error: 'forbidden',
  message:
    'without intake_http_token_file, send no Origin header and name the host by its address, localhost or myhostname',
};

/** True for names in a Host header that nobody else can point at us. */
function isOurs(header: string | undefined, ownName: string): boolean {
  const host = (header ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  return isIP(host) !== 0 || host === 'localhost' || host === ownName;
}

function byNetwork(result: Awaited<ReturnType<Intake['mynetworks']['match']>>): Access {
  if (result.kind === 'match') return { ok: true, caller: 'mynetworks' };
  if (result.kind === 'error') {
    const message = 'mynetworks cannot be looked up at this moment; try again later';
    return { ok: false, statusCode: 503, error: 'unavailable', message };
  }
  const message = 'only clients in mynetworks may send; set intake_http_token_file to let others in by token';
  return { ok: false, statusCode: 403, error: 'forbidden', message };
}

async function readTokens(file: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`intake_http_token_file: cannot read ${file}: ${why}`, { cause: error });
  }
  const tokens = text
    .split('\n')
    .map((each) => each.trim())
    .filter((each) => each !== '' && !each.startsWith('#'));
  if (tokens.length === 0)
    throw new Error(`intake_http_token_file: ${file} holds no token; write one a line`);
  return tokens;
}
