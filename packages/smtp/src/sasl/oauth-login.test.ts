/** Logins with access tokens, from a token endpoint to a mail server that takes OAUTHBEARER or XOAUTH2. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ServerMechanism, type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deliver, type TestResult } from '../test-agent.ts';
import { shareLogins } from './shared-logins.ts';

let directory: string;
let endpoint: Server;
let server: SmtpServer;
let status: number;
/** Tokens handed out, and those that the mail server takes. */
let given: string[];
let valid: (token: string) => boolean;

const mechanism =
  (acknowledgement: string): ServerMechanism =>
  async ({ initial, ask }) => {
    const text = (initial ?? (await ask(Buffer.alloc(0)))).toString();
    const [head = '', bearer = ''] = text.split('\x01');
    const user = head.replace(/^(?:n,a=|user=)/, '').replace(/,$/, '');
    const token = bearer.replace('auth=Bearer ', '');
    if (!text.endsWith('\x01\x01')) throw new Error(`the client sent: ${text}`);
    if (valid(token)) return user;
    const response = await ask(Buffer.from('{"status":"401","schemes":"bearer"}'));
    if (response.toString() !== acknowledgement) throw new Error(`the client sent: ${response}`);
    return undefined;
  };

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-oauth2-'));
  given = [];
  status = 200;
  valid = (token) => given.includes(token);
  endpoint = createServer((_, response) => {
    given.push(`tok-${given.length + 1}`);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(
        status === 200 ? { access_token: given.at(-1), expires_in: 3600 } : { error: 'invalid_client' },
      ),
    );
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/`;
  writeFileSync(join(directory, 'secret'), 'hush hush');
  writeFileSync(
    join(directory, 'client'),
    `token_url = ${url}\nclient_id = me\nclient_secret_file = secret\n`,
  );
  server = await startSmtpServer({
    users: { 'me@corp.test': '' },
    keywords: ['AUTH PLAIN LOGIN XOAUTH2'],
    mechanisms: { XOAUTH2: mechanism(''), OAUTHBEARER: mechanism('\x01') },
  });
});

afterEach(async () => {
  await server.close();
  endpoint.closeAllConnections();
  await new Promise((resolve) => endpoint.close(resolve));
  rmSync(directory, { recursive: true });
});

const logins = () => shareLogins({ warn: () => undefined });

const send = (config: Record<string, string> = {}, shared = logins()): Promise<TestResult> =>
  deliver({
    servers: [server],
    logins: shared,
    config: {
      smtp_sasl_auth_enable: 'yes',
      smtp_sasl_security_options: 'noanonymous',
      smtp_sasl_password_maps: `inline:{mx1.test=me@corp.test:oauth2:${directory}/client}`,
      ...config,
    },
  });

const auth = (): string[] =>
  server.sessions.map(({ commands }) =>
    commands
      .filter((line) => line.startsWith('AUTH'))
      .map((line) => line.split(' ')[1])
      .join(' '),
  );

it('one token serves many sessions', async () => {
  const shared = logins();
  for (let count = 0; count < 3; count++) {
    expect((await send({}, shared)).outcomes).toMatchObject([{ kind: 'delivered' }]);
  }
  expect(given).toHaveLength(1);
  expect(auth()).toEqual(['XOAUTH2', 'XOAUTH2', 'XOAUTH2']);
  expect(server.messages[0]?.user).toBe('me@corp.test');
});

describe.each(['XOAUTH2', 'OAUTHBEARER'])('%s', (name) => {
  beforeEach(async () => {
    await server.close();
    server = await startSmtpServer({
      users: { 'me@corp.test': '' },
      keywords: [`AUTH ${name}`],
      mechanisms: { XOAUTH2: mechanism(''), OAUTHBEARER: mechanism('\x01') },
    });
  });

  it('a token that the server refuses is replaced once, in the same session', async () => {
    valid = (token) => token === 'tok-2';
    expect((await send()).outcomes).toMatchObject([{ kind: 'delivered' }]);
    expect(auth()).toEqual([`${name} ${name}`]);
  });

  it('and not twice', async () => {
    valid = () => false;
    const { verdicts } = await send();
    expect(verdicts).toEqual([
      'deferred 4.7.8 SASL authentication failed; server mx1.test[127.0.0.1] said: 535 5.7.8 Authentication failed',
    ]);
    expect(auth()).toEqual([`${name} ${name}`]);
    expect(given).toHaveLength(2);
  });
});

it('without a token nothing is sent, and the log says why, without the secret', async () => {
  status = 401;
  const { verdicts } = await send();
  expect(verdicts[0]).toMatch(
    /^deferred 4\.7\.0 SASL authentication failed; cannot authenticate to server mx1\.test\[127\.0\.0\.1\]: http:\/\/127\.0\.0\.1:\d+ gave no access token: HTTP status 401, invalid_client$/,
  );
  expect(auth()).toEqual(['']);
});

it('a refused token is not remembered as a wrong password (smtp_sasl_auth_cache_name)', async () => {
  const cache = { smtp_sasl_auth_cache_name: 'proxy:x' };
  const shared = logins();
  valid = () => false;
  await send(cache, shared);
  valid = () => true;
  expect((await send(cache, shared)).outcomes).toMatchObject([{ kind: 'delivered' }]);
});

it('no token goes where a password is wanted, nor in clear where that is forbidden', async () => {
  expect((await send({ smtp_sasl_mechanism_filter: 'plain, login' })).verdicts[0]).toMatch(
    /: no mechanism available$/,
  );
  expect((await send({ smtp_sasl_security_options: 'noplaintext' })).verdicts[0]).toMatch(
    /: no mechanism available$/,
  );
});

it('a password may be a token, as plug-ins for Postfix have it', async () => {
  valid = (token) => token === 'abc';
  const { outcomes } = await send({
    smtp_sasl_password_maps: 'inline:{mx1.test=me@corp.test:abc}',
    smtp_sasl_mechanism_filter: 'xoauth2',
  });
  expect(outcomes).toMatchObject([{ kind: 'delivered' }]);
});
