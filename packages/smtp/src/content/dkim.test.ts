/**
 * DKIM signatures on what servers really get, looked at by mailauth's verifier with keys from a name server: after rewriting, checks,
 * conversion, long lines and dots.
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { Resolver } from 'node:dns/promises';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DnsServer, type SmtpServerOptions, startDnsServer, startSmtpServer } from '@mailfleet/test-kit';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deliver, type Server, type TestDelivery, type TestResult } from '../test-agent.ts';

let directory = '';
let dns: DnsServer;
let resolve: (name: string, type: string) => Promise<unknown>;

const pem = (key: KeyObject): string => key.export({ format: 'pem', type: 'pkcs8' }).toString();
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed25519 = generateKeyPairSync('ed25519');
const inDns = (type: string, der: Buffer): string => `v=DKIM1; k=${type}; p=${der.toString('base64')}`;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dkim-'));
  await writeFile(join(directory, 'rsa.pem'), pem(rsa.privateKey));
  await writeFile(join(directory, 'ed.pem'), pem(ed25519.privateKey));
  await writeFile(join(directory, 'broken.pem'), 'SECRET-LOOKING-TEXT');
  const rsaRecord = inDns('rsa', rsa.publicKey.export({ format: 'der', type: 'spki' }));
  const edRecord = inDns('ed25519', ed25519.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32));
  dns = await startDnsServer({
    zones: {
      's1._domainkey.example.com': { TXT: rsaRecord },
      's2._domainkey.example.com': { TXT: edRecord },
      's1._domainkey.out.example': { TXT: rsaRecord },
    },
  });
  const resolver = new Resolver();
  resolver.setServers([dns.address]);
  resolve = (name, type) => resolver.resolve(name, type);
});

afterAll(async () => {
  await dns.close();
  await rm(directory, { recursive: true });
});

const file = (name: string): string => join(directory, name);
const signing = (entries: string): Record<string, string> => ({
  smtp_dkim_signing_maps: `inline:{${entries}}`,
});
const rsaFor = (domain: string): Record<string, string> => signing(`{${domain} = s1:${file('rsa.pem')}}`);

interface Seen {
  readonly result: TestResult;
  readonly raw: readonly Buffer[];
  readonly commands: readonly string[];
}

const send = async (delivery: TestDelivery, server: SmtpServerOptions = {}): Promise<Seen> => {
  await using sink = await startSmtpServer(server);
  const result = await deliver({ ...delivery, servers: [sink] });
  return {
    result,
    raw: sink.messages.map(({ raw }) => raw),
    commands: sink.sessions.flatMap(({ commands }) => commands),
  };
};

/** `domain selector algorithm verdict` of each signature. */
const verdicts = async (raw: Buffer): Promise<string[]> => {
  const { results } = await dkimVerify(raw, { resolver: resolve as never });
  return results.map(
    ({ signingDomain, selector, algo, status }) => `${signingDomain} ${selector} ${algo} ${status.result}`,
  );
};
const GOOD = ['example.com s1 rsa-sha256 pass'];

const message = (body: string, from = 'Ann <ann@example.com>'): string =>
  `From: ${from}\r\nTo: bob@b.example\r\nSubject: a  message\r\n\tfolded\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n${body}`;

describe('smtp_dkim_signing_maps', () => {
  it('RSA and Ed25519 on one message, in front of it', async () => {
    const config = signing(`{example.com = s1:${file('rsa.pem')}, s2:${file('ed.pem')}}`);
    const { raw } = await send({ content: message('hello\r\n.dot\r\n'), config });
    const [first = Buffer.alloc(0)] = raw;
    expect(await verdicts(first)).toEqual([...GOOD, 'example.com s2 ed25519-sha256 pass']);
    expect(first.toString()).toMatch(/^DKIM-Signature: /);
    expect(first.toString().endsWith(message('hello\r\n.dot\r\n'))).toBe(true);
    for (const line of first.toString().split('\r\n')) expect(line.length).toBeLessThanOrEqual(78);
  });

  it('what is signed is what goes out: generic maps, checks, 7-bit conversion, long lines', async () => {
    const content = Buffer.from(
      message(
        `${'long '.repeat(400)}\r\n.\r\ncaf\xe9 \r\nreplace me\r\n\r\n\r\n`,
        'Ann <ann@in.test>',
      ).replace('\r\n\r\n', '\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'),
      'latin1',
    );
    const config = {
      ...rsaFor('out.example'),
      smtp_generic_maps: 'inline:{@in.test=@out.example}',
      smtp_header_checks: 'pcre:{{/^Subject:/ REPLACE Subject: another}}',
      smtp_body_checks: 'pcre:{{/^replace/ REPLACE replaced}}',
      smtp_line_length_limit: '100',
    };
    const { raw } = await send({ content, config }, { keywords: ['PIPELINING'] });
    const [first = Buffer.alloc(0)] = raw;
    const text = first.toString('latin1');
    expect(await verdicts(first)).toEqual(['out.example s1 rsa-sha256 pass']);
    expect(text).toContain('Subject: another\r\n');
    expect(text).toContain('caf=E9=20\r\nreplaced\r\n');
    expect(text.split('\r\n').some((line) => line.length > 100)).toBe(false);
  });

  it.each([
    ['a stream', async () => streamOf(message(`${'text \r\n'.repeat(3)}`), 1000)],
    ['a stream of 3 MB', async () => streamOf(message('x'.repeat(3_000_000)), 65_536)],
    ['a large buffer', async () => Buffer.from(message('some text\r\n'.repeat(20_000)))],
  ])('%s, read twice', async (_, content) => {
    const { raw, result } = await send({ content, config: rsaFor('example.com') });
    expect(result.verdicts[0]).toContain('delivered');
    expect(await verdicts(raw[0] ?? Buffer.alloc(0))).toEqual(GOOD);
  });

  it('several messages on one session, their commands ahead', async () => {
    const { raw } = await send({
      content: message('hello\r\n'),
      config: rsaFor('example.com'),
      requests: [['a@b'], ['c@d'], ['e@f']],
    });
    for (const each of raw) expect(await verdicts(each)).toEqual(GOOD);
    expect(raw).toHaveLength(3);
  });

  it('with BDAT too', async () => {
    await using server = await chunkingServer();
    await deliver({
      servers: [server],
      content: message('hello\r\n.dot\r\n'),
      config: rsaFor('example.com'),
    });
    expect(server.chunks).toHaveLength(1);
    expect(await verdicts(server.chunks[0] ?? Buffer.alloc(0))).toEqual(GOOD);
  });

  it.each([
    ['a domain that nobody signs for', message('x\r\n', 'a@other.test')],
    ['no From', 'Subject: a\r\n\r\nx\r\n'],
    ['a From without an address', message('x\r\n', '()')],
  ])('%s goes out unsigned', async (_, content) => {
    const { raw } = await send({ content, config: rsaFor('example.com') });
    expect(raw.map(String)).toEqual([content]);
  });

  it('a subdomain is signed for by its parent with a dot, and a domain may sign for another', async () => {
    const config = signing(
      `{.example.com = s1:${file('rsa.pem')}}, {third.test = example.com:s2:${file('ed.pem')}}`,
    );
    const sub = await send({ content: message('x\r\n', 'a@news.example.com'), config });
    expect(await verdicts(sub.raw[0] ?? Buffer.alloc(0))).toEqual(GOOD);
    const third = await send({ content: message('x\r\n', 'a@third.test'), config });
    expect(await verdicts(third.raw[0] ?? Buffer.alloc(0))).toEqual(['example.com s2 ed25519-sha256 pass']);
  });

  it.each([
    ['a key file that is not there', () => `s1:${file('none.pem')}`, /none\.pem cannot be read: ENOENT/],
    ['a key file without a key', () => `s1:${file('broken.pem')}`, /broken\.pem holds no RSA or Ed25519/],
    ['an entry that says nothing', () => 'hello', /"hello" for example\.com is not selector:/],
  ])('%s defers, with the reason in the log and no secret', async (_, entry, why) => {
    const { raw, result } = await send({
      content: message('x\r\n'),
      config: signing(`{example.com = ${entry()}}`),
    });
    expect(raw).toEqual([]);
    expect(result.verdicts).toEqual(['deferred 4.3.0 local data error while talking to mx1.test[127.0.0.1]']);
    expect(result.remarks.join('\n')).toMatch(why);
    expect(JSON.stringify(result)).not.toMatch(/SECRET|PRIVATE/);
  });

  it('a table that cannot be asked defers; a large message is not even offered', async () => {
    const config = { smtp_dkim_signing_maps: 'fail:x' };
    const { commands, result } = await send({ content: message('x\r\n'.repeat(40_000)), config });
    expect(result.verdicts[0]).toContain('deferred 4.3.0');
    expect(commands.some((line) => line.startsWith('MAIL'))).toBe(false);
  });

  it('a content that changes between the readings is not ended', async () => {
    let reading = 0;
    const { raw, result } = await send({
      content: async () => {
        reading += 1;
        return streamOf(message(`${reading}${'x'.repeat(100_000)}\r\n`), 50_000);
      },
      config: rsaFor('example.com'),
    });
    expect(raw).toEqual([]);
    expect(result.verdicts[0]).toContain('deferred 4.3.0');
    expect(result.remarks.at(-1)).toContain('the content changed while it was signed');
  });

  it('a changed key file is read again', async () => {
    const path = file('changing.pem');
    await writeFile(path, pem(ed25519.privateKey));
    const config = signing(`{example.com = s1:${path}}`);
    await utimes(path, 1, 1);
    const algorithms: string[] = [];
    for (const key of [ed25519, rsa]) {
      await writeFile(path, pem(key.privateKey));
      const { raw } = await send({ content: message('x\r\n'), config });
      algorithms.push(/a=([a-z0-9-]+)/.exec(String(raw[0]))?.[1] ?? '');
    }
    expect(algorithms).toEqual(['ed25519-sha256', 'rsa-sha256']);
  });

  it('lmtp_dkim_signing_maps for LMTP', async () => {
    const { raw } = await send(
      {
        protocol: 'lmtp',
        content: message('x\r\n'),
        config: {
          lmtp_dkim_signing_maps: rsaFor('example.com').smtp_dkim_signing_maps ?? '',
          lmtp_tls_security_level: 'none',
        },
      },
      { protocol: 'lmtp' },
    );
    expect(await verdicts(raw[0] ?? Buffer.alloc(0))).toEqual(GOOD);
  });
});

it('smtp_dkim_signed_headers: those, where they are there; the others may change on the way', async () => {
  const config = { ...rsaFor('example.com'), smtp_dkim_signed_headers: 'from, subject, x-none' };
  const { raw } = await send({ content: message('x\r\n'), config });
  const text = String(raw[0]);
  const signed = /[ \t]h=([^;]+);/
    .exec(text)?.[1]
    ?.toLowerCase()
    .split(/[:\s]+/);
  expect(signed?.toSorted()).toEqual(['from', 'subject']);
  expect(await verdicts(Buffer.from(text.replace('To: bob', 'To: rob')))).toEqual(GOOD);
  expect(await verdicts(Buffer.from(text.replace('a  message', 'another')))).not.toEqual(GOOD);
});

async function* streamOf(text: string, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Takes one message by BDAT. */
async function chunkingServer(): Promise<Server & AsyncDisposable & { readonly chunks: Buffer[] }> {
  const chunks: Buffer[] = [];
  const serve = (socket: Socket): void => {
    let heard = Buffer.alloc(0);
    socket.write('220 x ESMTP\r\n');
    socket.on('data', (data) => {
      heard = Buffer.concat([heard, data]);
      const text = heard.toString('latin1');
      const [command = '', length = ''] = /BDAT (\d+) LAST\r\n/.exec(text) ?? [];
      if (/^EHLO .*\r\n$/.test(text)) {
        heard = Buffer.alloc(0);
        socket.write('250-x\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n');
      } else if (command !== '' && heard.length >= text.indexOf(command) + command.length + Number(length)) {
        const from = text.indexOf(command) + command.length;
        chunks.push(heard.subarray(from, from + Number(length)));
        heard = Buffer.alloc(0);
        socket.write('250 ok\r\n250 ok\r\n250 2.0.0 taken\r\n');
      } else if (/^QUIT/.test(text)) socket.end('221 bye\r\n');
    });
    socket.on('error', () => undefined);
  };
  const server = createServer(serve);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    host: '127.0.0.1',
    port: address.port,
    chunks,
    [Symbol.asyncDispose]: () => new Promise<void>((done) => server.close(() => done())),
  };
}
