import { describe, expect, it } from 'vitest';
import { quoteAddress, quotePhrase } from './addressing.ts';
import { mailDate } from './date.ts';
import { protocolName, receivedHeader } from './received.ts';

describe('receivedHeader', () => {
  const base = { by: 'mx.example', software: 'Mailfleet', queueId: '4XYZ', timeMs: 0 };
  it('names client, TLS, protocol and the only recipient', () => {
    const header = receivedHeader({
      ...base,
      helo: 'client.example',
      clientName: 'pc.example',
      clientAddress: '2001:db8::1',
      tls: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' },
      protocol: protocolName({ extended: true, tls: true, authenticated: true, smtputf8: false }),
      recipient: 'ann@example.com',
    });
    expect(header.toString()).toBe(
      'Received: from client.example (pc.example [IPv6:2001:db8::1])\r\n' +
        '\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n' +
        '\tby mx.example (Mailfleet) with ESMTPSA id 4XYZ\r\n' +
        `\tfor <ann@example.com>; ${mailDate(0)}\r\n`,
    );
  });

  it('says only the host for a local submission', () => {
    expect(receivedHeader({ ...base, origin: 'from userid 1000' }).toString()).toBe(
      `Received: by mx.example (Mailfleet, from userid 1000)\r\n\tid 4XYZ; ${mailDate(0)}\r\n`,
    );
  });
});

it.each([
  [{ extended: false, tls: true, authenticated: false, smtputf8: false }, 'SMTP'],
  [{ extended: true, tls: false, authenticated: true, smtputf8: false }, 'ESMTPA'],
  [{ extended: true, tls: true, authenticated: false, smtputf8: true }, 'UTF8SMTPS'],
])('protocolName %j -> %s', (session, name) => {
  expect(protocolName(session)).toBe(name);
});

it('mailDate is an RFC 5322 date of that instant', () => {
  const text = mailDate(Date.UTC(2026, 0, 2, 3, 4, 5));
  expect(text).toMatch(/^\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:05 [+-]\d{4} \(.+\)$/);
  expect(Date.parse(text.replace(/ \(.*/, ''))).toBe(Date.UTC(2026, 0, 2, 3, 4, 5));
});

it.each([
  ['a.b@example.com', 'a.b@example.com'],
  ['a b@example.com', '"a b"@example.com'],
  ['a"b@c@example.com', '"a\\"b@c"@example.com'],
  ['a..b@example.com', '"a..b"@example.com'],
  ['grüße@example.com', 'grüße@example.com'],
  ['', ''],
])('quoteAddress %j -> %j', (address, quoted) => {
  expect(quoteAddress(address)).toBe(quoted);
});

it.each([
  ['Ann Lee', 'Ann Lee'],
  ['Lee, Ann "x"', '"Lee, Ann \\"x\\""'],
  ['Ünal', '=?utf-8?B?w5xuYWw=?='],
])('quotePhrase %j -> %j', (name, phrase) => {
  expect(quotePhrase(name)).toBe(phrase);
});
