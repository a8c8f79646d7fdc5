/** Access tokens from a token endpoint: grants, caching, renewal, and what is refused. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '@mailfleet/test-kit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AccessTokens } from './access-tokens.ts';

type Answer = {
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
};

let directory: string;
let server: Server;
let asked: Record<string, string>[];
let answers: (Answer | undefined)[];
let hold: Promise<void> | undefined;
let now: number;
let warnings: string[];
let tokens: AccessTokens;
let file: string;
let url: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-oauth2-'));
  asked = [];
  answers = [];
  hold = undefined;
  now = 1_000_000;
  warnings = [];
  tokens = new AccessTokens({ now: () => now, warn: (sentence) => warnings.push(sentence) });
  server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    asked.push(Object.fromEntries(new URLSearchParams(text)));
    const count = asked.length;
    await hold;
    const { status = 200, body, headers = {} } = answers.shift() ?? {};
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(
      JSON.stringify(body ?? { access_token: `token${count}`, expires_in: 3600, token_type: 'Bearer' }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  writeFileSync(join(directory, 'secret'), 'hush hush\n');
  file = write({});
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true });
});

const write = (values: Record<string, string | undefined>): string => {
  const path = join(directory, 'client');
  const all = { token_url: url, client_id: 'me', client_secret_file: 'secret', ...values };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : `${name} = ${value}\n`,
  );
  writeFileSync(path, `# comment\n${lines.join('')}`);
  return path;
};

const get = async (): Promise<string> => {
  const answer = await tokens.get(file);
  return answer.kind === 'token' ? answer.token : `! ${answer.reason}`;
};

describe('grants', () => {
  it('client credentials', async () => {
    write({ scope: 'https://outlook.office365.com/.default' });
    expect(await get()).toBe('token1');
    expect(asked).toEqual([
      {
        grant_type: 'client_credentials',
        client_id: 'me',
        client_secret: 'hush hush',
        scope: 'https://outlook.office365.com/.default',
      },
    ]);
  });

  it('refresh token, and the one that takes its place', async () => {
    writeFileSync(join(directory, 'refresh'), 'first\n');
    write({ refresh_token_file: join(directory, 'refresh'), client_secret_file: undefined });
    answers = [{ body: { access_token: 'a', expires_in: 60, refresh_token: 'second' } }];
    expect(await get()).toBe('a');
    now += 60_000;
    expect(await get()).toBe('token2');
    expect(asked).toEqual([
      { grant_type: 'refresh_token', client_id: 'me', refresh_token: 'first' },
      { grant_type: 'refresh_token', client_id: 'me', refresh_token: 'second' },
    ]);
    expect(warnings).toEqual([expect.stringContaining('gave out a new refresh token')]);
    // A new one in the file counts.
    writeFileSync(join(directory, 'refresh'), 'third');
    now += 3_600_000;
    await get();
    expect(asked.at(-1)?.refresh_token).toBe('third');
  });
});

describe('caching', () => {
  it('one request for all who wait, and none while the token holds', async () => {
    expect(await Promise.all([get(), get(), get()])).toEqual(['token1', 'token1', 'token1']);
    now += 3_000_000;
    expect(await get()).toBe('token1');
    expect(asked).toHaveLength(1);
  });

  it('renews ahead of time, in the background', async () => {
    await get();
    now += 3_300_000;
    let release = (): void => undefined;
    hold = new Promise((resolve) => {
      release = resolve;
    });
    expect(await get()).toBe('token1');
    expect(await get()).toBe('token1');
    await waitFor(() => asked.length === 2, 5_000, 'the second request');
    release();
    await waitFor(async () => (await get()) === 'token2', 5_000, 'the new token');
    expect(asked).toHaveLength(2);
  });

  it('a token near its end is not handed out, nor one that a server refused', async () => {
    await get();
    now += 3_571_000;
    expect(await get()).toBe('token2');
    tokens.discard(file, 'token2');
    expect(await get()).toBe('token3');
    tokens.discard(file, 'token2');
    expect(await get()).toBe('token3');
  });

  it('a failing endpoint is left alone for a while, and its failure not remembered longer', async () => {
    answers = [{ status: 503, body: {} }];
    expect(await get()).toBe(`! ${new URL(url).origin} gave no access token: HTTP status 503`);
    expect(await get()).toMatch(/503/);
    expect(asked).toHaveLength(1);
    now += 5_000;
    expect(await get()).toBe('token2');
  });
});

describe('refusals, without secrets', () => {
  it.each<[string, Answer, RegExp]>([
    [
      'the error of the endpoint',
      { status: 401, body: { error: 'invalid_client', error_description: 'bad "hush hush"\r\n' } },
      /gave no access token: HTTP status 401, invalid_client: bad "\*\*\*"\?\?$/,
    ],
    ['a token that could end the response', { body: { access_token: 'a\x01b' } }, /HTTP status 200$/],
    ['another type of token', { body: { access_token: 'a', token_type: 'mac' } }, /HTTP status 200$/],
    ['a redirect', { status: 307, headers: { location: 'http://other.test/' } }, /HTTP status 307$/],
    ['an answer without end', { body: { access_token: 'x'.repeat(70_000) } }, /larger than 65536 bytes$/],
  ])('%s', async (_, answer, reason) => {
    answers = [answer];
    expect(await get()).toMatch(reason);
  });

  it.each<[string, Record<string, string | undefined>, string]>([
    ['http to others', { token_url: 'http://id.test/token' }, 'token_url must begin with https://'],
    ['no URL', { token_url: 'x' }, 'token_url is no URL'],
    [
      'a password in the URL',
      { token_url: 'https://u:p@id.test/' },
      'token_url must not hold a name or a password',
    ],
    ['no client', { client_id: undefined }, 'client_id is missing'],
    ['no secret', { client_secret_file: undefined }, 'client_secret_file or refresh_token_file is missing'],
  ])('%s', async (_, values, reason) => {
    write(values);
    expect(await get()).toBe(`! ${file}: ${reason}`);
    expect(asked).toEqual([]);
  });

  it('a line that is none of it is named by its number alone', async () => {
    write({});
    writeFileSync(file, 'token_url = x\nhush hush\n');
    expect(await get()).toBe(
      `! ${file}:2: write name = value, with one of these names: token_url, client_id, client_secret_file, refresh_token_file, scope`,
    );
  });

  it('a file that is not there', async () => {
    write({ client_secret_file: '/nonexistent/secret' });
    expect(await get()).toMatch(/^! \/nonexistent\/secret cannot be read: ENOENT/);
  });
});
