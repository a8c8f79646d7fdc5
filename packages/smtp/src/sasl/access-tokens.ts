/**
 * Access tokens from a token endpoint (RFC 6749), one at a time for each file that describes a client (oauth2-client.ts).
 *
 * A token is used until shortly before its end; a new one is fetched in the background while the old one still holds, and whoever
 * needs one meanwhile shares that request. An endpoint that failed is left alone for some seconds. Neither secrets nor tokens
 * get into a reason.
 */
import { printable } from '@mailfleet/telemetry';
import { type OAuth2Client, readOAuth2Client } from './oauth2-client.ts';
import { redact } from './redact.ts';

export type TokenAnswer =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'failed'; readonly reason: string };

export interface AccessTokensOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Takes a sentence that an operator should know. */
  readonly warn: (sentence: string) => void;
}

/** A session that logs in now must not run into the end of its token. */
const MARGIN_MS = 30_000;
/** Fetched anew when this much is left, or a quarter of a short life. */
const AHEAD_MS = 300_000;
/** Life of a token whose endpoint does not tell. */
const UNTOLD_MS = 300_000;
const PAUSE_MS = 5_000;
const TIMEOUT_MS = 10_000;
const MAX_BYTES = 65_536;

interface Held {
  token: { readonly text: string; readonly renewMs: number; readonly endMs: number } | undefined;
  pending: Promise<TokenAnswer> | undefined;
  failure: { readonly reason: string; readonly untilMs: number } | undefined;
  /** The endpoint gave out a new refresh token in place of the one in the file. */
  rotated: { readonly from: string; readonly to: string } | undefined;
}

export class AccessTokens {
  readonly #options: AccessTokensOptions;
  readonly #held = new Map<string, Held>();

  constructor(options: AccessTokensOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async get(file: string): Promise<TokenAnswer> {
    const held = this.#heldFor(file);
    const now = this.#options.now();
    const { token, failure } = held;
    const holds = token !== undefined && now < token.endMs - MARGIN_MS;
    if (holds && now < token.renewMs) return { kind: 'token', token: token.text };
    if (failure === undefined || now >= failure.untilMs) held.pending ??= this.#fetch(file, held);
    if (holds) return { kind: 'token', token: token.text };
    return (await held.pending) ?? { kind: 'failed', reason: failure?.reason ?? '' };
  }

  /** A server did not take this token: it is not handed out again. */
  discard(file: string, token: string): void {
    const held = this.#heldFor(file);
    if (held.token?.text === token) held.token = undefined;
  }

  #heldFor(file: string): Held {
    let held = this.#held.get(file);
    if (held === undefined) {
      held = { token: undefined, pending: undefined, failure: undefined, rotated: undefined };
      this.#held.set(file, held);
    }
    return held;
  }

  async #fetch(file: string, held: Held): Promise<TokenAnswer> {
    try {
      const client = await readOAuth2Client(file);
      const token = await this.#request(client, file, held);
      held.failure = undefined;
      return { kind: 'token', token };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      held.failure = { reason, untilMs: this.#options.now() + PAUSE_MS };
      return { kind: 'failed', reason };
    } finally {
      held.pending = undefined;
    }
  }

  /** Throws a sentence without secrets. */
  async #request(client: OAuth2Client, file: string, held: Held): Promise<string> {
    const { tokenUrl, clientId, clientSecret, scope } = client;
    const written = client.refreshToken;
    const refreshToken = held.rotated?.from === written ? held.rotated?.to : written;
    const form = new URLSearchParams({
      grant_type: refreshToken === undefined ? 'client_credentials' : 'refresh_token',
      client_id: clientId,
      ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
      ...(scope === undefined ? {} : { scope }),
    });
    const secrets = [clientSecret, refreshToken, written].filter((each) => each !== undefined);
    const askedMs = this.#options.now();
    const { status, body } = await post(tokenUrl, form);
    if (status !== 200 || !isToken(body)) {
      const why = `${tokenUrl.origin} gave no access token: HTTP status ${status}${errorOf(body)}`;
      throw new Error(redact(why, secrets));
    }
    const lifeMs = body.expires_in === undefined ? UNTOLD_MS : Number(body.expires_in) * 1000;
    held.token = {
      text: body.access_token,
      renewMs: askedMs + Math.max(lifeMs - AHEAD_MS, (lifeMs * 3) / 4),
      endMs: askedMs + lifeMs,
    };
    const renewed = body.refresh_token;
    if (written !== undefined && renewed !== undefined && renewed !== refreshToken) {
      if (held.rotated === undefined) {
        this.#options.warn(
          `${file}: the token endpoint gave out a new refresh token; this process uses it until it ends, but refresh_token_file holds the old one`,
        );
      }
      held.rotated = { from: written, to: renewed };
    }
    return body.access_token;
  }
}

interface TokenBody {
  readonly access_token: string;
  readonly expires_in?: number | string;
  readonly refresh_token?: string;
}

const isToken = (body: unknown): body is TokenBody => {
  if (typeof body !== 'object' || body === null) return false;
  const {
    access_token,
    expires_in = 0,
    refresh_token = '',
    token_type = 'Bearer',
  } = body as Record<string, unknown>;
  return (
    typeof access_token === 'string' &&
    // RFC 6750 section 2.1, and nothing that could end the response it is sent in.
    /^[\x21-\x7e]+$/.test(access_token) &&
    typeof refresh_token === 'string' &&
    Number(expires_in) >= 0 &&
    String(token_type).toLowerCase() === 'bearer'
  );
};

/** RFC 6749 section 5.2. */
const errorOf = (body: unknown): string => {
  if (typeof body !== 'object' || body === null) return '';
  const { error, error_description } = body as Record<string, unknown>;
  if (typeof error !== 'string') return '';
  const more = typeof error_description === 'string' ? `: ${error_description}` : '';
  return `, ${printable(`${error}${more}`).slice(0, 200)}`;
};

const post = async (
  url: URL,
  body: URLSearchParams,
): Promise<{ readonly status: number; readonly body: unknown }> => {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body,
      headers: { accept: 'application/json' },
      // A redirect would take the secrets along.
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: response.status, body: parse(await read(response)) };
  } catch (error) {
    throw new Error(`${url.origin} cannot be asked for an access token: ${reasonOf(error)}`, {
      cause: error,
    });
  }
};

const read = async (response: Response): Promise<string> => {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new Error(`the answer is larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** `fetch failed` says nothing; its cause does. */
const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${TIMEOUT_MS / 1000} s`;
  return error.cause instanceof Error ? error.cause.message : error.message;
};
