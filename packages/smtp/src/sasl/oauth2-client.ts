/**
 * The file that tells where access tokens come from. A password table names it as `user:oauth2:/path/file`; its lines are `name = value`:
 *
 *   token_url = https://login.example.com/oauth2/token
 *   client_id = …
 *   client_secret_file = /path        what the file holds is sent as client_secret
 *   refresh_token_file = /path        with it the grant is refresh_token, without it client_credentials (RFC 6749 sections 6 and 4.4)
 *   scope = …
 *
 * Secrets stand in files of their own. All of them are read again whenever a token is asked for, so that a change needs no restart.
 */
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { logicalLines } from '@mailfleet/config';

export interface OAuth2Client {
  readonly tokenUrl: URL;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  readonly refreshToken: string | undefined;
  readonly scope: string | undefined;
}

const NAMES = ['token_url', 'client_id', 'client_secret_file', 'refresh_token_file', 'scope'] as const;
type Name = (typeof NAMES)[number];

/** Larger files are something else. */
const MAX_BYTES = 65_536;

/** Throws a sentence that names the file and what is wrong with it, and no secret. */
export const readOAuth2Client = async (file: string): Promise<OAuth2Client> => {
  const values = new Map<Name, string>();
  for (const { text, line } of logicalLines(await readSmall(file)).lines) {
    const [, name = '', value = ''] = /^([a-z0-9_]+)\s*=\s*(.*?)\s*$/.exec(text) ?? [];
    const known = NAMES.find((each) => each === name);
    if (known === undefined) {
      // The line itself may be a secret that was put in the wrong place.
      throw new Error(`${file}:${line}: write name = value, with one of these names: ${NAMES.join(', ')}`);
    }
    values.set(known, value);
  }
  const need = (name: Name): string => {
    const value = values.get(name);
    if (value === undefined || value === '') throw new Error(`${file}: ${name} is missing`);
    return value;
  };
  const secretFrom = async (name: Name): Promise<string | undefined> => {
    const path = values.get(name);
    if (path === undefined || path === '') return undefined;
    const secret = (await readSmall(resolve(dirname(file), path))).trim();
    if (secret === '') throw new Error(`${file}: the file of ${name} is empty`);
    return secret;
  };
  const client: OAuth2Client = {
    tokenUrl: urlOf(need('token_url'), file),
    clientId: need('client_id'),
    clientSecret: await secretFrom('client_secret_file'),
    refreshToken: await secretFrom('refresh_token_file'),
    scope: values.get('scope'),
  };
  if (client.clientSecret === undefined && client.refreshToken === undefined) {
    throw new Error(`${file}: client_secret_file or refresh_token_file is missing`);
  }
  return client;
};

const LOOPBACK = ['127.0.0.1', '[::1]', 'localhost'];

/** HTTPS, or HTTP within this machine: the request carries secrets. */
const urlOf = (text: string, file: string): URL => {
  const url = URL.parse(text);
  if (url === null) throw new Error(`${file}: token_url is no URL`);
  if (url.username !== '' || url.password !== '') {
    throw new Error(`${file}: token_url must not hold a name or a password`);
  }
  if (url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.includes(url.hostname))) return url;
  throw new Error(`${file}: token_url must begin with https://`);
};

const readSmall = async (path: string): Promise<string> => {
  try {
    await using file = await open(path);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_BYTES + 1));
    if (bytesRead > MAX_BYTES) throw new Error(`is larger than ${MAX_BYTES} bytes`);
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${path} cannot be read: ${why}`, { cause: error });
  }
};
