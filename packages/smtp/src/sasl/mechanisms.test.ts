/** Known answers of the RFCs, what each machine refuses, and which mechanism is chosen. */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { randomFrom, testSeeds } from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import type { Exchange, MechanismContext, Step } from './mechanism.ts';
import { chooseMechanism, type Mechanism, mechanisms, type SecurityOption } from './mechanisms.ts';

const start = async (name: string, context: Partial<MechanismContext>): Promise<Exchange> => {
  const mechanism = mechanisms.find((each) => each.name === name);
  if (mechanism === undefined) throw new Error(`no mechanism ${name}`);
  const exchange = await mechanism.start({
    credentials: { user: 'user', secret: 'pencil' },
    authorizationId: '',
    service: 'smtp',
    host: 'mx.test',
    ...context,
  });
  if ('kind' in exchange) throw new Error(exchange.reason);
  return exchange;
};

const answer = async (exchange: Exchange, challenge: string): Promise<string> => {
  const step: Step = await exchange.respond(Buffer.from(challenge));
  return step.kind === 'respond' ? step.data.toString() : `! ${step.reason}`;
};

const NO_PROOF = 'the server did not prove that it knows the password';

describe('PLAIN, LOGIN, EXTERNAL, ANONYMOUS', () => {
  it('PLAIN sends authorization id, name and password (RFC 4616 section 4)', async () => {
    const tim = { credentials: { user: 'tim', secret: 'tanstaaftanstaaf' } };
    expect((await start('PLAIN', tim)).initial?.toString()).toBe('\0tim\0tanstaaftanstaaf');
    const kurt = { credentials: { user: 'Kurt', secret: 'xipj3plmq' }, authorizationId: 'Ursel' };
    expect((await start('PLAIN', kurt)).initial?.toString()).toBe('Ursel\0Kurt\0xipj3plmq');
  });

  it('LOGIN answers two prompts, whatever they say, and no third', async () => {
    const exchange = await start('LOGIN', {});
    expect(exchange.initial).toBeUndefined();
    expect(await answer(exchange, 'User Name\0')).toBe('user');
    expect(await answer(exchange, 'Password:')).toBe('pencil');
    expect(await answer(exchange, 'More:')).toBe('! the server asks for more than name and password');
  });

  it('EXTERNAL is empty without authorization id; ANONYMOUS names who it was (RFC 4505)', async () => {
    expect((await start('EXTERNAL', {})).initial?.length).toBe(0);
    expect((await start('EXTERNAL', { authorizationId: 'fred' })).initial?.toString()).toBe('fred');
    const sirhc = { credentials: { user: 'sirhc', secret: '' } };
    expect((await start('ANONYMOUS', sirhc)).initial?.toString('base64')).toBe('c2lyaGM=');
  });
});

describe('CRAM-MD5', () => {
  it('digests the challenge (RFC 2195 section 2)', async () => {
    const exchange = await start('CRAM-MD5', { credentials: { user: 'tim', secret: 'tanstaaftanstaaf' } });
    expect(await answer(exchange, '<1896.697170952@postoffice.reston.mci.net>')).toBe(
      'tim b913a602c7eda7a495b4e6e7334d3890',
    );
    expect(await answer(exchange, '<2@x>')).toBe('! the server sent a second challenge');
  });

  it('does not answer an empty challenge', async () => {
    expect(await answer(await start('CRAM-MD5', {}), '')).toBe('! the server sent an empty challenge');
  });
});

describe('DIGEST-MD5', () => {
  const chris = { user: 'chris', secret: 'secret' };

  it('of RFC 2831 section 4, IMAP', async () => {
    const exchange = await start('DIGEST-MD5', {
      credentials: chris,
      service: 'imap',
      host: 'elwood.innosoft.com',
      nonce: 'OA6MHXh6VqTrRk',
    });
    expect(
      await answer(
        exchange,
        'realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8',
      ),
    ).toBe(
      'charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,' +
        'cnonce="OA6MHXh6VqTrRk",digest-uri="imap/elwood.innosoft.com",' +
        'response=d388dad90d4bbd760a152321f2143af7,qop=auth',
    );
    expect(exchange.objection()).toBe(NO_PROOF);
    expect(await answer(exchange, 'rspauth=ea40f60335c427b5527b84dbabcdfffd')).toBe('');
    expect(exchange.objection()).toBeUndefined();
  });

  it('of RFC 2831 section 4, ACAP, and a server that cannot prove itself', async () => {
    const exchange = await start('DIGEST-MD5', {
      credentials: chris,
      service: 'acap',
      host: 'elwood.innosoft.com',
      nonce: 'OA9BSuZWMSpW8m',
    });
    expect(
      await answer(
        exchange,
        'realm="elwood.innosoft.com",nonce="OA9BSXrbuRhWay",qop="auth",algorithm=md5-sess,charset=utf-8',
      ),
    ).toContain('response=6084c6db3fede7352c551284490fd0fc');
    expect(await answer(exchange, 'rspauth=2f0b3d7c3c2e486600ef710726aa2eaf')).toBe(`! ${NO_PROOF}`);
    expect(exchange.objection()).toBe(NO_PROOF);
  });

  it('quotes what has to be quoted, and takes the realm of the user', async () => {
    const credentials = { user: 'a"b@two.test', secret: 'x' };
    const exchange = await start('DIGEST-MD5', { credentials, authorizationId: 'c\\d' });
    const response = await answer(
      exchange,
      'realm="one.test", realm="two.test", nonce="n\\"1", algorithm=md5-sess',
    );
    expect(response).toContain('username="a\\"b@two.test",realm="two.test",nonce="n\\"1",nc=00000001');
    expect(response).toContain('authzid="c\\\\d"');
  });

  it.each([
    ['qop="auth-conf",nonce="n",algorithm=md5-sess', 'the server insists on a security layer'],
    ['nonce="n"', 'the algorithm is not md5-sess'],
    ['algorithm=md5-sess', 'the challenge has no nonce'],
    ['nonce="a",nonce="b",algorithm=md5-sess', 'the challenge has no nonce'],
    ['nonce=', 'the challenge is no list of directives'],
    [`nonce="${'x'.repeat(2050)}"`, 'the challenge is too long'],
  ])('refuses %.50s', async (challenge, reason) => {
    expect(await answer(await start('DIGEST-MD5', {}), challenge)).toBe(`! ${reason}`);
  });
});

describe('SCRAM', () => {
  const sha1 = { nonce: 'fyko+d2lbbFgONRv9qkxdawL' };
  const first = 'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096';

  it('SCRAM-SHA-1 of RFC 5802 section 5', async () => {
    const exchange = await start('SCRAM-SHA-1', sha1);
    expect(exchange.initial?.toString()).toBe('n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL');
    expect(await answer(exchange, first)).toBe(
      'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
    );
    expect(exchange.objection()).toBe(NO_PROOF);
    expect(await answer(exchange, 'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=')).toBe('');
    expect(exchange.objection()).toBeUndefined();
    expect(await answer(exchange, 'x')).toBe('! the server goes on after the end of the exchange');
  });

  it('SCRAM-SHA-256 of RFC 7677 section 3', async () => {
    const exchange = await start('SCRAM-SHA-256', { nonce: 'rOprNGfwEbeRWgbNEkqO' });
    expect(
      await answer(
        exchange,
        'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
      ),
    ).toBe(
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    );
    expect(await answer(exchange, 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')).toBe('');
    expect(exchange.objection()).toBeUndefined();
  });

  it('a wrong server signature fails, and success without one is not believed', async () => {
    const exchange = await start('SCRAM-SHA-1', sha1);
    await answer(exchange, first);
    expect(await answer(exchange, 'v=rmF9pqV8S7suAoZWja4dJRkFsaQ=')).toBe(`! ${NO_PROOF}`);
    expect(exchange.objection()).toBe(NO_PROOF);
  });

  it('an error attribute is acknowledged, so that the server can give its verdict', async () => {
    const exchange = await start('SCRAM-SHA-1', sha1);
    await answer(exchange, first);
    expect(await answer(exchange, 'e=invalid-proof')).toBe('');
    expect(exchange.objection()).toBe(NO_PROOF);
  });

  it.each([
    ['r=other,s=QSXCR+Q6sek8bf92,i=4096', 'the server does not answer to our nonce'],
    ['r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096', 'the server does not answer to our nonce'],
    ['m=x,r=fyko+d2lbbFgONRv9qkxdawLx,s=aa==,i=4096', 'the server sent a challenge that is not understood'],
    [
      'r=fyko+d2lbbFgONRv9qkxdawLx,s=aaaa,i=4095',
      'the server wants 4095 iterations; 4096 to 1000000 are accepted',
    ],
    [
      'r=fyko+d2lbbFgONRv9qkxdawLx,s=aaaa,i=1000001',
      'the server wants 1000001 iterations; 4096 to 1000000 are accepted',
    ],
  ])('refuses %s', async (challenge, reason) => {
    expect(await answer(await start('SCRAM-SHA-1', sha1), challenge)).toBe(`! ${reason}`);
  });

  it('prepares name and password (RFC 4013), escapes the name, and says whom to act as', async () => {
    const credentials = { user: 'a=b,\u00aa', secret: 'I\u00adX' };
    const exchange = await start('SCRAM-SHA-1', { ...sha1, credentials, authorizationId: 'x,y' });
    expect(exchange.initial?.toString()).toBe('n,a=x=2Cy,n=a=3Db=2Ca,r=fyko+d2lbbFgONRv9qkxdawL');
    const soft = await answer(exchange, first);
    const plain = await start('SCRAM-SHA-1', {
      ...sha1,
      credentials: { user: 'a=b,a', secret: 'IX' },
      authorizationId: 'x,y',
    });
    expect(await answer(plain, first)).toBe(soft);
    await expect(
      start('SCRAM-SHA-1', { credentials: { user: 'u', secret: '\u0007\u00e4' } }),
    ).rejects.toThrow('the password has characters that SASLprep forbids');
  });

  it('notes that it could have bound the login to its TLS session, had the server offered it', async () => {
    const exchange = await start('SCRAM-SHA-256', { ...sha1, plusMissing: true });
    expect(exchange.initial?.toString()).toMatch(/^y,,n=user/);
    expect(await answer(exchange, first)).toMatch(/^c=eSws,/);
  });

  it.each(['sha1', 'sha256'])('-PLUS with %s covers the channel binding', async (hash) => {
    const data = Buffer.from('binding \0\xff', 'latin1');
    const channelBinding = { type: 'tls-exporter', data } as const;
    const name = hash === 'sha1' ? 'SCRAM-SHA-1-PLUS' : 'SCRAM-SHA-256-PLUS';
    const exchange = await start(name, { ...sha1, channelBinding });
    expect(exchange.initial?.toString()).toBe('p=tls-exporter,,n=user,r=fyko+d2lbbFgONRv9qkxdawL');
    const final = await answer(exchange, first);
    const c = Buffer.concat([Buffer.from('p=tls-exporter,,'), data]).toString('base64');
    expect(final.startsWith(`c=${c},r=`)).toBe(true);
    // What a server computes of it, by RFC 5802 section 3.
    const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
    const salt = Buffer.from('QSXCR+Q6sek8bf92', 'base64');
    const salted = pbkdf2Sync('pencil', salt, 4096, hash === 'sha1' ? 20 : 32, hash);
    const stored = createHash(hash).update(hmac(salted, 'Client Key')).digest();
    const [withoutProof = '', proof = ''] = final.split(',p=');
    const message = `n=user,r=fyko+d2lbbFgONRv9qkxdawL,${first},${withoutProof}`;
    const signature = hmac(stored, message);
    const key = Buffer.from(proof, 'base64').map((byte, index) => byte ^ (signature[index] ?? 0));
    expect(createHash(hash).update(key).digest()).toEqual(stored);
    const verifier = hmac(hmac(salted, 'Server Key'), message).toString('base64');
    expect(await answer(exchange, `v=${verifier}`)).toBe('');
    expect(exchange.objection()).toBeUndefined();
  });
});

describe('OAuth', () => {
  const token = 'vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==';

  it('OAUTHBEARER (RFC 7628 section 4.1)', async () => {
    const exchange = await start('OAUTHBEARER', { credentials: { user: 'user@example.com', secret: token } });
    expect(exchange.initial?.toString()).toBe(`n,a=user@example.com,\x01auth=Bearer ${token}\x01\x01`);
    expect(await answer(exchange, '{"status":"invalid_token"}')).toBe('\x01');
    expect(await answer(exchange, 'x')).toBe('! the server goes on after it refused the access token');
  });

  it('XOAUTH2', async () => {
    const exchange = await start('XOAUTH2', {
      credentials: { user: 'someuser@example.com', secret: 'ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg' },
    });
    expect(exchange.initial?.toString('base64')).toBe(
      'dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==',
    );
    expect(await answer(exchange, '{"status":"401"}')).toBe('');
  });
});

it.each(testSeeds)(
  'whatever a server sends, a mechanism answers or refuses, and ends: seed %d',
  async (seed) => {
    const random = randomFrom(seed);
    const words = [
      'r=n',
      'r=nx',
      ',',
      's=',
      'QUFB',
      '=',
      'i=4096',
      'i=1e9',
      'e=x',
      'v=',
      'nonce="',
      'x"',
      'qop=auth',
      'algorithm=md5-sess',
      'realm=',
      'rspauth=',
      '\\',
      '\0',
      '\xff',
    ] as const;
    for (let round = 0; round < 300; round++) {
      const exchange = await start(random.pick(mechanisms as [Mechanism, ...Mechanism[]]).name, {
        nonce: 'n',
      });
      let steps = 0;
      for (; steps < 5; steps++) {
        const challenge =
          random.below(3) === 0 ? random.bytes(40) : Buffer.from(random.text(words, 12), 'latin1');
        if ((await exchange.respond(challenge)).kind === 'failed') break;
      }
      expect(steps).toBeLessThan(5);
    }
  },
);

describe('choice', () => {
  const all = mechanisms.map(({ name }) => name);
  const tls = { tokenOnly: false, channelBinding: true, clientCertificate: true };
  const chosenBy = (
    options: readonly SecurityOption[],
    offered: readonly string[] = all,
  ): string | undefined => chooseMechanism(offered, { ...tls, options })?.name;

  /** With these options, all that is left of the full offer, strongest first. */
  const left = (options: readonly SecurityOption[]): string[] => {
    const names: string[] = [];
    for (;;) {
      const next = chosenBy(
        options,
        all.filter((name) => !names.includes(name)),
      );
      if (next === undefined) return names;
      names.push(next);
    }
  };
  const scramNames = [
    'SCRAM-SHA-512-PLUS',
    'SCRAM-SHA-256-PLUS',
    'SCRAM-SHA-1-PLUS',
    'SCRAM-SHA-512',
    'SCRAM-SHA-256',
    'SCRAM-SHA-1',
  ];

  it.each<[string, readonly SecurityOption[], readonly string[]]>([
    ['nothing', [], all],
    ['noanonymous', ['noanonymous'], all.filter((name) => name !== 'ANONYMOUS')],
    ['noplaintext', ['noplaintext'], [...scramNames, 'DIGEST-MD5', 'CRAM-MD5', 'EXTERNAL', 'ANONYMOUS']],
    ['noactive', ['noactive'], scramNames],
    ['mutual_auth', ['mutual_auth'], [...scramNames, 'DIGEST-MD5']],
    ['nodictionary', ['nodictionary'], ['EXTERNAL']],
    ['forward_secrecy', ['forward_secrecy'], []],
    [
      'all that main.cf has by default',
      ['noplaintext', 'noanonymous'],
      [...scramNames, 'DIGEST-MD5', 'CRAM-MD5', 'EXTERNAL'],
    ],
  ])('demanding %s leaves', (_, options, names) => {
    expect(left(options)).toEqual(names);
  });

  it('-PLUS and EXTERNAL need TLS, and a token goes to no mechanism that takes a password', () => {
    const clear = { options: [], tokenOnly: false, channelBinding: false, clientCertificate: false };
    expect(chooseMechanism(['scram-sha-256-plus', 'scram-sha-1'], clear)?.name).toBe('SCRAM-SHA-1');
    expect(chooseMechanism(['EXTERNAL'], clear)).toBeUndefined();
    expect(chooseMechanism(all, { ...clear, tokenOnly: true })?.name).toBe('OAUTHBEARER');
    expect(chooseMechanism(['PLAIN', 'LOGIN'], { ...clear, tokenOnly: true })).toBeUndefined();
  });
});
