/**
 * MTA-STS (RFC 8461): what counts as a policy, over a real HTTPS server; what is remembered when DNS and web server fail, change or lie.
 */

import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type CertificateAuthority, makeCertificates } from '@mailfleet/test-kit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isPublic } from '../outside-request.ts';
import { fetchPolicy, StsFetchError, stsFailureType } from './fetch-policy.ts';
import { openMtaSts, type StsEntry } from './mta-sts.ts';
import { readPolicyFile, type StsPolicy } from './policy-file.ts';

let authority: CertificateAuthority;
const servers: Server[] = [];
beforeAll(() => {
  authority = makeCertificates();
});
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});
afterAll(() => authority.remove());

const text = 'version: STSv1\nmode: enforce\nmx: mx.test\nmx: *.mail.test\nmax_age: 86400\n';

const serve = async (listener: RequestListener, names = ['mta-sts.example.test']): Promise<number> => {
  const { cert, key } = authority.issue(names);
  const server = createServer({ cert, key }, listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};

const get = (port: number, options: object = {}) =>
  fetchPolicy('example.test', {
    addresses: async () => ['127.0.0.1'],
    port,
    ca: authority.ca.cert,
    allowLocal: true,
    ...options,
  });

const answer =
  (status: number, body: string, type = 'text/plain; charset=utf-8', more: Record<string, string> = {}) =>
  (...[request, response]: Parameters<RequestListener>): void => {
    expect(request.url).toBe('/.well-known/mta-sts.txt');
    expect(request.headers.host).toMatch(/^mta-sts\.example\.test(:\d+)?$/);
    response.writeHead(status, { 'content-type': type, ...more }).end(body);
  };

describe('fetching', () => {
  it('a good file', async () => {
    expect(await get(await serve(answer(200, text)))).toEqual({
      mode: 'enforce',
      mx: ['mx.test', '*.mail.test'],
      maxAgeSeconds: 86_400,
    });
  });

  it.each<[string, RequestListener, RegExp]>([
    [
      'a redirect',
      answer(301, '', 'text/plain', { location: 'https://mta-sts.example.test/other' }),
      /status 301/,
    ],
    ['another status', answer(204, ''), /status 204/],
    ['another type', answer(200, text, 'text/html'), /no text\/plain/],
    ['a large file', answer(200, `${text}${'x: y\n'.repeat(20_000)}`), /more than 65536 bytes/],
    ['nonsense', answer(200, 'hello'), /version/],
    ['no max_age', answer(200, 'version: STSv1\nmode: enforce\nmx: a.test\n'), /max_age/],
    ['a broken max_age', answer(200, 'version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 1.5\n'), /max_age/],
    [
      'a pattern that is no name',
      answer(200, 'version: STSv1\nmode: enforce\nmx: a*.test\nmax_age: 9\n'),
      /mx line/,
    ],
    ['no mx', answer(200, 'version: STSv1\nmode: enforce\nmax_age: 9\n'), /mx/],
    ['silence', () => undefined, /timeout|aborted/i],
    [
      'half an answer',
      (_, response) =>
        response
          .writeHead(200, { 'content-type': 'text/plain', 'content-length': '999' })
          .write('version', () => response.destroy()),
      /cut off|aborted|hang up/,
    ],
  ])('%s is no policy', async (_, listener, reason) => {
    await expect(get(await serve(listener), { timeoutMs: 1000 })).rejects.toThrow(reason);
  });

  it('the certificate must be for that very host, by an authority that is known', async () => {
    const wrong = await serve(answer(200, text), ['example.test']);
    await expect(get(wrong)).rejects.toThrow(/altnames/);
    const good = await serve(answer(200, text));
    await expect(get(good, { ca: authority.issue(['x']).cert })).rejects.toThrow(/certificate/);
  });

  it('no address inside is asked', async () => {
    const port = await serve(answer(200, text));
    await expect(get(port, { allowLocal: false })).rejects.toThrow(/no public address/);
    const inside = [
      '127.0.0.1',
      '10.1.2.3',
      '192.168.0.1',
      '169.254.169.254',
      '::1',
      'fd00::1',
      'fe80::1',
      '::ffff:10.0.0.1',
      '2002:7f00:1::',
      '224.0.0.1',
    ];
    expect(inside.filter(isPublic)).toEqual([]);
    expect(['192.0.3.1', '8.8.8.8', '2a00:1450::1'].filter(isPublic)).toHaveLength(3);
  });
});

it.each([
  ['version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n', { mode: 'none', mx: [], maxAgeSeconds: 86_400 }],
  [
    'version: STSv1\nmode: testing\nmx: A.Test\nextra: x\nmax_age: 0',
    { mode: 'testing', mx: ['a.test'], maxAgeSeconds: 0 },
  ],
])('%j is read as %j', (file, policy) => {
  expect(readPolicyFile(Buffer.from(file))).toEqual(policy);
});

describe('for the report (smtp_tlsrpt_enable)', () => {
  it.each<[string, RequestListener, string]>([
    ['another status', answer(404, ''), 'sts-policy-fetch-error'],
    ['another type', answer(200, text, 'text/html'), 'sts-policy-fetch-error'],
    ['nonsense', answer(200, 'hello'), 'sts-policy-invalid'],
  ])('%s', async (_, listener, code) => {
    await expect(get(await serve(listener))).rejects.toMatchObject({ code });
  });

  it('no server, no address, and certificates that do not do', async () => {
    const gone = await serve(answer(200, text));
    await new Promise((resolve) => servers.splice(0)[0]?.close(resolve));
    await expect(get(gone)).rejects.toMatchObject({ code: 'sts-policy-fetch-error' });
    const good = await serve(answer(200, text));
    const bad = { code: 'sts-webpki-invalid' };
    await expect(get(good, { allowLocal: false })).rejects.toMatchObject({ code: 'sts-policy-fetch-error' });
    await expect(get(good, { ca: authority.issue(['x']).cert })).rejects.toMatchObject(bad);
    await expect(get(await serve(answer(200, text), ['example.test']))).rejects.toMatchObject(bad);
  });

  it.each(['EMFILE', 'ENOBUFS', 'ENETUNREACH'])('%s is our own trouble', (code) => {
    expect(stsFailureType(Object.assign(new Error('x'), { code }))).toBeUndefined();
  });
});

describe('remembering', () => {
  const enforce = (mx = 'mx.test', maxAgeSeconds = 86_400 * 7): StsPolicy => ({
    mode: 'enforce',
    mx: [mx],
    maxAgeSeconds,
  });
  const DAY = 86_400_000;

  const world = (cache = new Map<string, StsEntry>()) => {
    const state = {
      nowMs: 1_000_000,
      txt: ['v=STSv1; id=1;'] as readonly string[] | Error,
      policy: enforce() as StsPolicy | Error,
      fetches: 0,
      notes: [] as string[],
    };
    const sts = openMtaSts({
      txt: async () => {
        if (state.txt instanceof Error) throw state.txt;
        return state.txt;
      },
      fetch: async () => {
        state.fetches++;
        if (state.policy instanceof Error) throw state.policy;
        return state.policy;
      },
      cache: {
        get: async (domain) => cache.get(domain),
        put: async (domain, entry) => {
          cache.set(domain, entry);
        },
      },
      note: (sentence) => state.notes.push(sentence),
      now: () => state.nowMs,
    });
    return { state, cache, ask: () => sts.policyFor('example.test') };
  };

  it.each<[string, readonly string[]]>([
    ['no record', []],
    ['other records', ['v=spf1 -all']],
    ['two records', ['v=STSv1; id=1;', 'v=STSv1; id=2;']],
    ['no id', ['v=STSv1; x=1;']],
    ['a later version', ['v=STSv12; id=1;']],
  ])('%s: no policy, and nothing is fetched', async (_, txt) => {
    const { state, ask } = world();
    state.txt = txt;
    expect(await ask()).toBeUndefined();
    expect(state.fetches).toBe(0);
  });

  it('one fetch for all who ask, and for all workers', async () => {
    const one = world();
    expect(await Promise.all([one.ask(), one.ask(), one.ask()])).toEqual([enforce(), enforce(), enforce()]);
    expect(one.state.fetches).toBe(1);
    const two = world(one.cache);
    expect(await two.ask()).toEqual(enforce());
    expect(two.state.fetches).toBe(0);
  });

  it('a new id brings a new policy', async () => {
    const { state, ask } = world();
    await ask();
    state.nowMs += 61_000;
    Object.assign(state, { txt: ['v=STSv1; id=2;'], policy: enforce('new.test') });
    expect(await ask()).toEqual(enforce('new.test'));
  });

  it.each<[string, (state: ReturnType<typeof world>['state']) => void]>([
    ['DNS is silent', (state) => Object.assign(state, { txt: new Error('SERVFAIL') })],
    ['the record is gone', (state) => Object.assign(state, { txt: [] })],
    [
      'the web server is down',
      (state) => Object.assign(state, { txt: ['v=STSv1; id=2;'], policy: new Error('down') }),
    ],
  ])('%s: the policy that is known holds until its end', async (_, happen) => {
    const { state, ask, cache } = world();
    await ask();
    happen(state);
    for (const day of [1, 3, 6.9]) {
      state.nowMs = 1_000_000 + day * DAY;
      expect(await ask()).toEqual(enforce());
    }
    const other = world(cache);
    happen(other.state);
    other.state.nowMs = state.nowMs;
    expect(await other.ask()).toEqual(enforce());
    state.nowMs = 1_000_000 + 7.1 * DAY;
    expect(await ask()).toBeUndefined();
  });

  it('a fetch that failed is not repeated for five minutes', async () => {
    const { state, ask } = world();
    state.policy = new Error('down');
    expect(await ask()).toBeUndefined();
    for (let minute = 1; minute < 5; minute++) {
      state.nowMs += 60_000;
      await ask();
    }
    expect(state.fetches).toBe(1);
    state.nowMs += 61_000;
    state.policy = enforce();
    expect(await ask()).toEqual(enforce());
    expect(state.notes).toEqual([expect.stringContaining('example.test could be fetched: down')]);
  });

  it('a failure that is up to the domain is known to all workers, for five minutes, and only without a policy', async () => {
    const failure = { type: 'sts-policy-fetch-error', reason: 'status 404' };
    const none = new StsFetchError('sts-policy-fetch-error', 'status 404');
    const one = world();
    one.state.policy = none;
    expect(await one.ask()).toEqual({ failure });
    expect(await one.ask()).toEqual({ failure });
    expect(await world(one.cache).ask()).toEqual({ failure });
    const known = world();
    await known.ask();
    Object.assign(known.state, { nowMs: 1_061_000, txt: ['v=STSv1; id=2;'], policy: none });
    expect(await known.ask()).toEqual(enforce());
  });

  it('a policy is fetched anew before it ends, behind the mail', async () => {
    const { state, ask } = world();
    await ask();
    state.nowMs += DAY + 1;
    state.policy = enforce('later.test');
    expect(await ask()).toEqual(enforce());
    expect(await ask()).toEqual(enforce('later.test'));
    expect(state.fetches).toBe(2);
  });
});
