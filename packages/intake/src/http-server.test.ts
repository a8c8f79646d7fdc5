import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningIntake, type Store, startIntake, startStore } from './fixture.ts';

let store: Store;
let intake: RunningIntake;

beforeAll(async () => {
  store = await startStore();
  intake = await startIntake(store, { intake_recipient_limit: '5', message_size_limit: '200000' });
});

afterAll(async () => {
  await intake?.[Symbol.asyncDispose]();
  await store?.[Symbol.asyncDispose]();
});

const json = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const raw = (body: string, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'message/rfc822', ...headers },
  body,
});
const message = { from: 'Ann <ann@example.com>', to: 'bob@example.net', subject: 'hi', text: 'hello\n' };

async function post(
  init: RequestInit,
  query = '',
  server = intake,
): Promise<{ status: number; body: { id: string } & Record<string, unknown> }> {
  const response = await fetch(`${server.http}/v1/messages${query}`, init);
  return {
    status: response.status,
    body: (await response.json()) as { id: string } & Record<string, unknown>,
  };
}

it('takes a JSON message with everything in it', async () => {
  const { status, body } = await post(
    json({
      from: { name: 'Ann Lee', address: 'ann@example.com' },
      to: ['bob@example.net', 'Zoë <zoe@münchen.example>'],
      cc: 'carol@example.net, BOB@example.net',
      bcc: 'secret@example.net',
      subject: 'Grüße',
      text: 'plain',
      html: '<p>rich</p>',
      attachments: [
        { filename: 'a.bin', content: 'AAEC', encoding: 'base64', contentType: 'application/octet-stream' },
        { filename: 'b.txt', content: 'text' },
      ],
      headers: { 'X-Campaign': 'spring', 'List-Id': ['<a.example>'] },
      dsn: { notify: ['SUCCESS', 'FAILURE'], ret: 'HDRS', envid: 'e1' },
    }),
  );
  expect({ status, accepted: body.accepted }).toEqual({
    status: 202,
    accepted: ['bob@example.net', 'zoe@xn--mnchen-3ya.example', 'carol@example.net', 'secret@example.net'],
  });
  const stored = (await intake.stored()).find(({ envelope }) => envelope.queueId === body.id);
  expect(stored?.envelope).toMatchObject({
    sender: 'ann@example.com',
    ret: 'HDRS',
    envid: 'e1',
    client: { address: '127.0.0.1', protocol: 'HTTP' },
  });
  expect(stored?.envelope).not.toHaveProperty('smtputf8');
  const content = await intake.content(body.id);
  expect(content).toMatch(/^Received: from .*\[127\.0\.0\.1\]\)\r\n\tby mx\.test \(.*\) with HTTP id /);
  expect(content).toContain('X-Campaign: spring\r\n');
  expect(content).toContain('multipart/alternative');
  expect(content).toContain('AAEC\r\n');
  expect(content).not.toContain('secret@');
});

it('takes a raw message as it is, with the envelope in the query', async () => {
  const { status, body } = await post(
    raw('Subject: raw\nTo: list@example.com\n\nbody\n', {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    }),
    '?from=ann@example.com&to=bob@example.net&to=carol@example.net&notify=never',
  );
  expect(status).toBe(202);
  expect(body.accepted).toEqual(['bob@example.net', 'carol@example.net']);
  expect(await intake.content(body.id)).toMatch(
    /\r\nSubject: raw\r\nTo: list@example\.com\r\n[\s\S]*\r\n\r\nbody\r\n$/,
  );
});

it("takes a raw message with its header's envelope", async () => {
  const { status, body } = await post(
    raw(
      'From: Ann <ann@example.com>\r\nTo: "b ob" <bob@example.net>\r\nBcc: carol@example.net\r\n\r\nbody\r\n',
    ),
  );
  expect(status).toBe(202);
  expect(body.accepted).toEqual(['bob@example.net', 'carol@example.net']);
  const stored = (await intake.stored()).find(({ envelope }) => envelope.queueId === body.id);
  expect(stored?.envelope.sender).toBe('ann@example.com');
  expect(await intake.content(body.id)).not.toContain('carol');
});

it('answers a repeated Idempotency-Key with the first id and stores nothing', async () => {
  const before = (await intake.stored()).length;
  const init = json(message, { 'idempotency-key': 'order-1' });
  const answers = [await post(init), ...(await Promise.all([post(init), post(init)]))];
  expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
  expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
  expect(await intake.stored()).toHaveLength(before + 1);
  const other = await post(json(message, { 'idempotency-key': 'order-2' }));
  expect(other.body.id).not.toBe(answers[0]?.body.id);
});

describe('bad input is refused with a sentence and nothing stored', () => {
  const big = 'x'.repeat(200_001);
  it.each<[string, RequestInit, number, string, string | undefined, string?]>([
    ['malformed JSON', json('{"from":'), 400, 'bad-json', undefined],
    ['empty body', json(''), 400, 'bad-json', undefined],
    ['a list', json([]), 400, 'bad-request', undefined],
    ['no from', json({ to: 'a@b.example' }), 400, 'bad-request', 'from'],
    ['unknown field', json({ ...message, subjet: 'x' }), 400, 'unknown-field', 'subjet'],
    [
      'a path',
      json({ ...message, attachments: [{ path: '/etc/passwd', content: '' }] }),
      400,
      'unknown-field',
      'attachments[0].path',
    ],
    [
      'a URL',
      json({ ...message, attachments: [{ href: 'http://127.0.0.1/' }] }),
      400,
      'bad-request',
      'attachments[0].content',
    ],
    [
      'bad base64',
      json({ ...message, attachments: [{ content: '*', encoding: 'base64' }] }),
      400,
      'bad-request',
      'attachments[0].content',
    ],
    ['no recipients', json({ from: 'ann@example.com', text: 'x' }), 400, 'no-recipients', 'to'],
    ['empty list', json({ ...message, to: [] }), 400, 'no-recipients', 'to'],
    ['bad address', json({ ...message, to: ['bob@example.net', 'nobody'] }), 400, 'bad-recipient', 'to[1]'],
    ['bad sender', json({ ...message, from: 'a@@b' }), 400, 'bad-sender', 'from'],
    [
      'line break in address',
      json({ ...message, to: 'bob@example.net\r\nBcc: x@y.example' }),
      400,
      'bad-request',
      'to',
    ],
    [
      'line break in address object',
      json({ ...message, to: { address: 'a@b.example\n' } }),
      400,
      'bad-request',
      'to.address',
    ],
    [
      'line break in subject',
      json({ ...message, subject: 'a\r\nBcc: x@y.example' }),
      400,
      'bad-request',
      'subject',
    ],
    [
      'line break in header',
      json({ ...message, headers: { 'X-A': 'a\nb' } }),
      400,
      'bad-request',
      'headers.X-A',
    ],
    ['bad header name', json({ ...message, headers: { 'X A': 'a' } }), 400, 'bad-request', 'headers.X A'],
    [
      'MIME header',
      json({ ...message, headers: { 'Content-Type': 'a/b' } }),
      400,
      'bad-request',
      'headers.Content-Type',
    ],
    [
      'bad notify',
      json({ ...message, dsn: { notify: ['NEVER', 'DELAY'] } }),
      400,
      'bad-parameter',
      'recipients[0].notify',
    ],
    [
      'too many recipients',
      json({ ...message, to: Array.from({ length: 6 }, (_, i) => `r${i}@b.example`) }),
      400,
      'too-many-recipients',
      'recipients',
    ],
    ['message too large', json({ ...message, text: big }), 413, 'too-large', 'content'],
    ['body too large', json({ ...message, text: big.repeat(10) }), 413, 'too-large', undefined],
    ['raw too large', raw(`From: a@b.example\n\n${big}`), 413, 'too-large', 'content', '?to=a@b.example'],
    ['raw without recipients', raw('From: a@b.example\n\nx\n'), 400, 'no-recipients', 'recipients'],
    ['raw without sender', raw('Subject: x\n\nx\n'), 400, 'bad-sender', 'sender', '?to=a@b.example'],
    [
      'raw loop',
      raw(`From: a@b.example\n${'Received: x\n'.repeat(49)}\n`),
      422,
      'too-many-hops',
      'content',
      '?to=a@b.example',
    ],
    ['CR LF in query', raw('x'), 400, 'bad-request', 'querystring.to', '?from=&to=a%0d%0ab@c.example'],
    ['bad address in query', raw('x'), 400, 'bad-recipient', 'recipients[0]', '?from=&to=nobody@'],
    ['unknown query', raw('x'), 400, 'unknown-field', 'querystring.foo', '?foo=1'],
    [
      'text/plain',
      { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' },
      415,
      'unsupported-media-type',
      undefined,
    ],
  ])('%s', async (_what, init, status, error, path, query = '') => {
    const before = (await intake.stored()).length;
    const answer = await post(init, query);
    expect(answer).toEqual({
      status,
      body: { error, message: expect.stringMatching(/\w{3}/), ...(path === undefined ? {} : { path }) },
    });
    expect(await intake.stored()).toHaveLength(before);
    expect(await intake.contentFiles()).toEqual([]);
  });
});

it('lets in bearers of a token only, when there is a token file', async () => {
  const file = join(store.directory, 'tokens');
  await writeFile(file, '# ours\nfirst-token\nsecond-token\n');
  await using other = await startIntake(store, { intake_http_token_file: file, mynetworks: '192.0.2.0/24' });
  const before = (await other.stored()).length;
  for (const authorization of [undefined, 'Bearer wrong', 'Bearer # ours', 'Basic first-token', 'Bearer ']) {
    const answer = await post(json(message, authorization === undefined ? {} : { authorization }), '', other);
    expect(answer).toMatchObject({ status: 401, body: { error: 'unauthorized' } });
  }
  expect(await other.stored()).toHaveLength(before);
  const taken = await post(json(message, { authorization: 'Bearer second-token' }), '', other);
  expect(taken.status).toBe(202);
});

/** `fetch` does not let the caller name the host. */
async function statusFor(server: RunningIntake, headers: Record<string, string>): Promise<number> {
  const asked = request(`${server.http}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
  });
  asked.end(JSON.stringify(message));
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode ?? 0;
}

it('takes nothing that a web page sends without a token, by its origin or by a name of its own', async () => {
  expect(await statusFor(intake, { origin: 'http://evil.example' })).toBe(403);
  expect(await statusFor(intake, { host: 'evil.example:8025' })).toBe(403);
  for (const host of ['localhost:8025', 'MX.test', '127.0.0.1', '[::1]:8025']) {
    expect(await statusFor(intake, { host })).toBe(202);
  }
});

it('lets whoever has a token in by any name', async () => {
  const file = join(store.directory, 'token-for-any-name');
  await writeFile(file, 'secret-one\n');
  await using other = await startIntake(store, { intake_http_token_file: file });
  const authorization = 'Bearer secret-one';
  expect(await statusFor(other, { host: 'mail.example', origin: 'http://a.example', authorization })).toBe(
    202,
  );
});

it('lets nobody in from outside mynetworks without a token file', async () => {
  await using other = await startIntake(store, { mynetworks: '192.0.2.0/24' });
  expect(await post(json(message), '', other)).toMatchObject({ status: 403, body: { error: 'forbidden' } });
});

it('describes itself at /openapi.json', async () => {
  const document = (await (await fetch(`${intake.http}/openapi.json`)).json()) as {
    openapi: string;
    paths: Record<
      string,
      { post?: { requestBody: { content: Record<string, unknown> }; responses: object } }
    >;
  };
  expect(document.openapi).toMatch(/^3\./);
  const operation = document.paths['/v1/messages']?.post;
  expect(Object.keys(operation?.requestBody.content ?? {})).toEqual(['application/json', 'message/rfc822']);
  expect(Object.keys(operation?.responses ?? {})).toContain('202');
  expect(JSON.stringify(operation)).toContain('attachments');
});

it('says 503 and not ready while Redis is away', async () => {
  await using away = await startStore();
  await using other = await startIntake(away, {}, { queueDeadlineMs: 300 });
  expect((await fetch(`${other.http}/readyz`)).status).toBe(200);
  await away.stopRedis();
  const answer = await fetch(`${other.http}/v1/messages`, json(message));
  expect(answer.status).toBe(503);
  expect(answer.headers.get('retry-after')).toBe('30');
  expect((await fetch(`${other.http}/readyz`)).status).toBe(503);
  expect((await fetch(`${other.http}/healthz`)).status).toBe(200);
});
