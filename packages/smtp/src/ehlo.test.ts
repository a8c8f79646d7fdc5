/** What EHLO replies and greetings mean. */
import { describe, expect, it } from 'vitest';
import { parseDiscard, parseEhlo, parseGreeting } from './ehlo.ts';

const nothing = parseDiscard([]);
const features = (text: string, discard = nothing) => parseEhlo(text, discard, 2048).features;

describe('EHLO', () => {
  it.each<[string, string[] | undefined]>([
    ['250 SIZE', undefined],
    ['250 AUTH', []],
    ['250 AUTH PLAIN LOGIN', ['PLAIN', 'LOGIN']],
    ['250-AUTH PLAIN LOGIN\n250 AUTH=plain login', ['PLAIN', 'LOGIN']],
    ['250-AUTH=PLAIN\n250-auth CRAM-MD5\n250 AUTH GSSAPI PLAIN', ['PLAIN', 'CRAM-MD5', 'GSSAPI', 'PLAIN']],
    [`250-AUTH PLAIN\n250-AUTH ${'X'.repeat(2040)}\n250 AUTH LOGIN`, ['PLAIN', 'X'.repeat(2040)]],
    ['250 AUTHENTICATE PLAIN', undefined],
  ])('announces AUTH: %.60s', (lines, auth) => {
    expect(features(`250-srv.test\n${lines}`).auth).toEqual(auth);
    expect(features(`250-srv.test\n${lines}`, parseDiscard(['auth'])).auth).toBeUndefined();
  });

  it('knows every keyword in any case, with blank or = before the parameter', () => {
    const text =
      '250-srv.test hello\n250-8bitmime\n250-Pipelining\n250-SIZE=1000\n250-STARTTLS\n250-DSN\n250-RequireTLS\n250-SMTPUTF8\n250 XFORWARD name addr BOGUS';
    expect(parseEhlo(text, nothing, 2048)).toEqual({
      serverName: 'srv.test',
      features: {
        eightBitMime: true,
        pipelining: true,
        size: true,
        sizeLimit: 1000,
        startTls: true,
        requireTls: true,
        chunking: false,
        dsn: true,
        smtputf8: true,
        xforward: new Set(['NAME', 'ADDR', 'BOGUS']),
      },
    });
  });

  it('takes the first line with text for the server name, keyword or not', () => {
    expect(features('250-PIPELINING\n250 SIZE')).toMatchObject({ pipelining: false, size: true });
    expect(features('250-\n250-PIPELINING\n250 SIZE')).toMatchObject({ pipelining: false, size: true });
  });

  it.each([
    ['SIZE', 0, undefined],
    ['SIZE 0', 0, undefined],
    ['SIZE 5000', 5000, undefined],
    ['SIZE lots', 0, 'lots'],
  ])('%s', (keyword, sizeLimit, badSize) => {
    const reply = parseEhlo(`250-x\n250 ${keyword}`, nothing, 2048);
    expect(reply.features).toMatchObject({ size: true, sizeLimit });
    expect(reply.badSize).toBe(badSize);
  });

  it('discards keywords, and says so in a fixed order unless told not to', () => {
    const discard = parseDiscard(['Pipelining', 'dsn', '8bitmime', 'nonsense']);
    expect(discard.note).toBe('discarding EHLO keywords: 8BITMIME, PIPELINING, DSN');
    expect(features('250-x\n250-PIPELINING\n250-8BITMIME\n250 SIZE', discard)).toMatchObject({
      pipelining: false,
      eightBitMime: false,
      size: true,
    });
    expect(parseDiscard(['silent-discard', 'dsn']).note).toBeUndefined();
  });
});

it.each([
  ['220 srv.test ESMTP ready', { serverName: 'srv.test', esmtp: true, pix: false }],
  ['220-srv.test\n220 esmtp', { serverName: 'srv.test', esmtp: true, pix: false }],
  ['220 srv.test SMTP', { serverName: 'srv.test', esmtp: false, pix: false }],
  ['220', { serverName: '', esmtp: false, pix: true }],
  ['220 ****2******0***', { serverName: '****2******0***', esmtp: false, pix: true }],
])('greeting %j', (text, expected) => {
  expect(parseGreeting(text)).toEqual(expected);
});
