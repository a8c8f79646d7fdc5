import { describe, expect, it } from 'vitest';
import { type Address, domainOf, parseAddress } from './address.ts';
import { removeDuplicates } from './recipients.ts';
import { decodeXtext, parseMail, parseRcpt } from './smtp-command.ts';

describe('parseAddress', () => {
  it.each([
    ['ann@example.com', 'ann@example.com'],
    ['a.b+c@Example.COM', 'a.b+c@Example.COM'],
    ['a..b.@docomo.example', 'a..b.@docomo.example'],
    ['"a b@c"@example.com', 'a b@c@example.com'],
    ['"a\\"b"@example.com', 'a"b@example.com'],
    ['ann@[192.0.2.1]', 'ann@[192.0.2.1]'],
    ['ann@[IPv6:2001:db8::1]', 'ann@[IPv6:2001:db8::1]'],
    ['under_score@a_b.example', 'under_score@a_b.example'],
    [`${'a'.repeat(64)}@example.com`, `${'a'.repeat(64)}@example.com`],
  ])('%s', (text, address) => {
    expect(parseAddress(text, { smtputf8: false })).toEqual({ ok: true, address, needsSmtputf8: false });
  });

  it('takes non-ASCII addresses when asked to', () => {
    expect(parseAddress('grüße@münchen.example', { smtputf8: true })).toMatchObject({
      ok: true,
      needsSmtputf8: true,
    });
    expect(parseAddress('grüße@example.com', { smtputf8: false })).toMatchObject({ ok: false });
  });

  it('completes a bare name where there is an origin', () => {
    expect(parseAddress('ann', { smtputf8: false, origin: 'o.example' })).toMatchObject({
      address: 'ann@o.example',
    });
    expect(parseAddress('ann', { smtputf8: false })).toMatchObject({ ok: false });
  });

  it.each([
    '',
    '@',
    'ann@',
    '@example.com',
    'a@b@c',
    'a b@example.com',
    'a,b@example.com',
    '<a@example.com>',
    'a@exa mple',
    'a@-x.example',
    'a@x..example',
    'a@.example',
    'a@example.',
    'a@[300.1.1.1]',
    'a@[IPv6:zz]',
    '"a@example.com',
    '"a\rb"@example.com',
    'a\nb@example.com',
    'a\0@example.com',
    'a\u0085b@example.com',
    'a@ex\u2028ample',
    'a\ud800@example.com',
    `${'a'.repeat(65)}@example.com`,
    `a@${'b'.repeat(64)}.example`,
    `a@${'b.'.repeat(126)}example`,
  ])('refuses %j', (text) => {
    expect(parseAddress(text, { smtputf8: true })).toMatchObject({ ok: false, reason: expect.any(String) });
  });
});

it('domainOf is the part behind the last @', () => {
  expect(domainOf('a@b@EXAMPLE.com')).toBe('example.com');
});

it('commands: source routes, quoted strings with > and parameters in any case', () => {
  expect(
    parseMail('mail from: <@a.example,@b.example:ann@example.com> body=8bitmime size=12 smtputf8', {
      smtputf8: true,
      rules: (asked) => ({ smtputf8: asked }),
      requireTls: false,
      verpRules: undefined,
    }),
  ).toEqual({
    ok: true,
    command: { sender: 'ann@example.com', encoding: '8bit', sizeBytes: 12, smtputf8: true },
  });
  expect(parseRcpt('RCPT TO:<"a>b"@example.com> notify=success', { smtputf8: false }, 'o.example')).toEqual({
    ok: true,
    command: { recipient: 'a>b@example.com', notify: ['SUCCESS'] },
  });
  expect(
    parseMail('MAIL FROM:<>', {
      smtputf8: false,
      rules: () => ({ smtputf8: false }),
      requireTls: false,
      verpRules: undefined,
    }),
  ).toMatchObject({ ok: true, command: { sender: '' } });
});

it.each([
  ['a+2Bb', 'a+b'],
  ['a+20b', 'a b'],
  ['a+0Ab', undefined],
  ['a+2b', undefined],
  ['a=b', undefined],
  ['a+', undefined],
])('decodeXtext %j -> %j', (xtext, text) => {
  expect(decodeXtext(xtext)).toBe(text);
});

describe('removeDuplicates', () => {
  const to = (address: string, orcpt?: string) => ({
    address: address as Address,
    ...(orcpt ? { orcpt } : {}),
  });
  it('keeps the first of those that agree in address and DSN attributes, case folded', () => {
    const all = [to('a@x', 'rfc822;A'), to('A@X', 'rfc822;a'), to('a@x'), to('b@x'), to('B@x')];
    expect(removeDuplicates(all, { limit: 1000, addressOnly: false })).toEqual([all[0], all[2], all[3]]);
    expect(removeDuplicates(all, { limit: 1000, addressOnly: true })).toEqual([all[0], all[3]]);
  });
  it('remembers no more than the limit', () => {
    const all = [to('a@x'), to('b@x'), to('a@x'), to('b@x')];
    expect(removeDuplicates(all, { limit: 1, addressOnly: false })).toEqual([all[0], all[1], all[3]]);
    expect(removeDuplicates(all, { limit: 0, addressOnly: false })).toEqual([all[0], all[1]]);
  });
});
