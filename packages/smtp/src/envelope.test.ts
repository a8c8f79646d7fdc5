/** Command lines: quoting, MAIL and RCPT parameters, XFORWARD. */
import { describe, expect, it } from 'vitest';
import type { Envelope, Recipient } from './delivery.ts';
import { type Features, noFeatures } from './ehlo.ts';
import { mailCommand, rcptCommand, xforwardCommands } from './envelope.ts';
import { isSafe, quoteAddress, utf8Xtext, xtext } from './quote.ts';

const envelope = (fields: Partial<Envelope> = {}): Envelope => ({
  queueId: 'Q1',
  sender: 's@e.com',
  sizeBytes: 123,
  arrivalMs: 0,
  createdMs: 0,
  ...fields,
});
const offers = (fields: Partial<Features>): Features => ({ ...noFeatures, ...fields });
const quoted = { quoteEnvelope: true, neverConvert: true };

it.each([
  ['', ''],
  ['user@e.com', 'user@e.com'],
  ['a b@e.com', '"a b"@e.com'],
  ['a"b@e.com', '"a\\"b"@e.com'],
  ['a\\b@e.com', '"a\\\\b"@e.com'],
  ['.a@e.com', '".a"@e.com'],
  ['a.@e.com', '"a."@e.com'],
  ['a..b@e.com', '"a..b"@e.com'],
  ['a@b@e.com', '"a@b"@e.com'],
  ['@e.com', '""@e.com'],
  ['nodomain', 'nodomain'],
  ["it's+x@e.com", "it's+x@e.com"],
  ['a,b@e.com', '"a,b"@e.com'],
  ['a\x7fb@e.com', '"a\x7fb"@e.com'],
  ['jörg@e.com', 'jörg@e.com'],
])('quotes %j as %j', (internal, wire) => {
  expect(quoteAddress(internal)).toBe(wire);
});

it('a quoted address can be read back', () => {
  for (let code = 33; code < 127; code++) {
    const internal = `a${String.fromCharCode(code)}b c@e.com`;
    const wire = quoteAddress(internal);
    const local = /^"((?:[^"\\]|\\.)*)"@e\.com$/.exec(wire)?.[1]?.replace(/\\(.)/g, '$1');
    expect(`${local}@e.com`).toBe(internal);
  }
});

it('encodes xtext and its UTF-8 form', () => {
  expect(xtext('a+b=c d\x7f')).toBe('a+2Bb+3Dc+20d+7F');
  expect(xtext('ü')).toBe('+C3+BC');
  expect(utf8Xtext('ü+=\\ x')).toBe('\\x{FC}\\x{2B}\\x{3D}\\x{5C}\\x{20}x');
  expect(utf8Xtext('\ud800')).toBeUndefined();
  expect(['a@b', 'a\r@b', 'a\n@b', 'a\0@b'].map(isSafe)).toEqual([true, false, false, false]);
});

describe('MAIL', () => {
  it.each<[string, Partial<Envelope>, Partial<Features>, string]>([
    ['nothing offered', { encoding: '8bit', envid: 'x', ret: 'FULL', smtputf8: true }, {}, '<s@e.com>'],
    ['null sender', { sender: '' }, {}, '<>'],
    ['SIZE', {}, { size: true }, '<s@e.com> SIZE=123'],
    ['8bit', { encoding: '8bit' }, { eightBitMime: true }, '<s@e.com> BODY=8BITMIME'],
    ['7bit', { encoding: '7bit' }, { eightBitMime: true }, '<s@e.com> BODY=7BIT'],
    ['unknown encoding', {}, { eightBitMime: true }, '<s@e.com>'],
    ['DSN', { envid: 'a+b', ret: 'HDRS' }, { dsn: true }, '<s@e.com> ENVID=a+2Bb RET=HDRS'],
    ['SMTPUTF8', { smtputf8: true }, { smtputf8: true }, '<s@e.com> SMTPUTF8'],
    ['SMTPUTF8 not asked for', {}, { smtputf8: true }, '<s@e.com>'],
    [
      'all, in order',
      { encoding: '8bit', envid: 'x', ret: 'FULL', smtputf8: true },
      { size: true, eightBitMime: true, dsn: true, smtputf8: true },
      '<s@e.com> SIZE=123 BODY=8BITMIME ENVID=x RET=FULL SMTPUTF8',
    ],
  ])('%s', (_, fields, features, rest) => {
    expect(mailCommand(envelope(fields), offers(features), quoted)).toBe(`MAIL FROM:${rest}`);
  });

  it('leaves an address unquoted when main.cf says so', () => {
    expect(mailCommand(envelope({ sender: 'a b@e' }), noFeatures, { ...quoted, quoteEnvelope: false })).toBe(
      'MAIL FROM:<a b@e>',
    );
  });
});

describe('RCPT', () => {
  it.each<[string, Partial<Recipient>, string]>([
    ['nothing known', {}, ''],
    ['ORCPT as given', { orcpt: 'rfc822;Joe+x@E.com' }, ' ORCPT=rfc822;Joe+2Bx@E.com'],
    ['original address', { originalAddress: 'a b@e.com' }, ' ORCPT=rfc822;"a+20b"@e.com'],
    ['ORCPT wins', { orcpt: 'x;y', originalAddress: 'z@e' }, ' ORCPT=x;y'],
    ['UTF-8 original', { originalAddress: 'jörg@e.com' }, ' ORCPT=utf-8;j\\x{F6}rg@e.com'],
    ['UTF-8 type in any case', { orcpt: 'UTF-8;jörg@e' }, ' ORCPT=UTF-8;j\\x{F6}rg@e'],
    ['NOTIFY in fixed order', { notify: ['DELAY', 'SUCCESS', 'FAILURE'] }, ' NOTIFY=SUCCESS,FAILURE,DELAY'],
    ['NEVER', { notify: ['NEVER'] }, ' NOTIFY=NEVER'],
    ['an empty list is none', { notify: [] }, ''],
  ])('%s', (_, fields, rest) => {
    const recipient = { index: 0, address: 'r@e.com', ...fields };
    const message = envelope({ smtputf8: true });
    expect(rcptCommand(recipient, message, offers({ dsn: true }), quoted)).toBe(`RCPT TO:<r@e.com>${rest}`);
    expect(rcptCommand(recipient, message, noFeatures, quoted)).toBe('RCPT TO:<r@e.com>');
  });
});

it('builds XFORWARD from what the server offers and the message knows', () => {
  const xforward = new Set(['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'IDENT', 'SOURCE']);
  const client = { name: 'unknown', address: '192.0.2.1', port: 4321, protocol: 'ESMTP', helo: 'a b' };
  expect(xforwardCommands(envelope({ client }), offers({ xforward }))).toEqual({
    nameAddress: 'XFORWARD ADDR=192.0.2.1 PORT=4321',
    protocolHelo: 'XFORWARD PROTO=ESMTP HELO=a+20b IDENT=Q1 SOURCE=REMOTE',
  });
  expect(xforwardCommands(envelope(), offers({ xforward: new Set(['NAME', 'SOURCE']) }))).toEqual({
    protocolHelo: 'XFORWARD SOURCE=LOCAL',
  });
});
