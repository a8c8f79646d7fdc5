import { describe, expect, test } from 'vitest';
import { type DestinationSyntax, parseDestination, parseNexthop, splitDestinations } from './nexthop.ts';
import { makeServicePorts, parseServices } from './service-port.ts';

const servicePorts = {
  ...makeServicePorts(['lmtp=24', 'smtp=25', 'smtps=submissions=465', 'submission=587']),
  system: () => parseServices('# services\nqmtp 209/tcp mail-qmtp # quick\ntime 37/udp\n'),
};
const syntax: DestinationSyntax = { defaultService: 'smtp', servicePorts, utf8Names: true };

describe('one destination', () => {
  test.each([
    ['[127.0.1.1]:', '127.0.1.1', 25, true],
    ['127.0.1.1', '127.0.1.1', 25, false],
    ['[127.0.1.1]:2525', '127.0.1.1', 2525, true],
    ['m1.t:smtp', 'm1.t', 25, false],
    ['m1.t:', 'm1.t', 25, false],
    ['m1.t:submissions', 'm1.t', 465, false],
    ['[m1.t]:qmtp', 'm1.t', 209, true],
    ['m1.t:mail-qmtp', 'm1.t', 209, false],
    ['a_b.t', 'a_b.t', 25, false],
    ['[IPv6:fd00::1]:26', 'fd00::1', 26, true],
    ['[fd00::1]', 'fd00::1', 25, true],
    ['[::ffff:1.2.3.4]', '::ffff:1.2.3.4', 25, true],
    ['bücher.example', 'bücher.example', 25, false],
    ['0.0.0.0', '0.0.0.0', 25, false],
  ])('%s', (text, host, port, bracketed) => {
    expect(parseDestination(text, syntax)).toMatchObject({
      ok: true,
      destination: { text, host, port, bracketed },
    });
  });

  test.each([
    ['[127.0.1.1]x', 'garbage after "]" in server description: [127.0.1.1]x'],
    ['127.0.1.1:99999', 'bad network port: 99999 for destination: 127.0.1.1:99999'],
    ['127.0.1.1:0', 'bad network port: 0 for destination: 127.0.1.1:0'],
    ['127.0.1.1:25x', 'garbage after numerical service in server description: 127.0.1.1:25x'],
    ['[m1.t]:2626:1', 'garbage after numerical service in server description: [m1.t]:2626:1'],
    [':25', 'missing host information in server description: :25'],
    ['[]:25', 'valid hostname or network address required in server description: []:25'],
    ['-bad.t', 'valid hostname or network address required in server description: -bad.t'],
    ['bad-.t', 'valid hostname or network address required in server description: bad-.t'],
    ['a..t', 'valid hostname or network address required in server description: a..t'],
    ['a.t.', 'valid hostname or network address required in server description: a.t.'],
    ['12345', 'valid hostname or network address required in server description: 12345'],
    ['1.2.3.456', 'valid hostname or network address required in server description: 1.2.3.456'],
    ['0.1.2.3', 'valid hostname or network address required in server description: 0.1.2.3'],
    ['fd00::1', 'valid hostname or network address required in server description: fd00::1'],
    ['[fe80::1%eth0]', 'valid hostname or network address required in server description: [fe80::1%eth0]'],
    ['[exa', 'missing "]" in server description: [exa'],
    ['[ipv6:fd00::g]', 'malformed IPv6 address in server description: [ipv6:fd00::g]'],
    ['[ipv6:1.2.3.4]', 'malformed IPv6 address in server description: [ipv6:1.2.3.4]'],
    ['m1.t:nosuch', 'unknown service: nosuch/tcp'],
    ['m1.t:time', 'unknown service: time/tcp'],
    ['inet:1.2.3.4', 'garbage after numerical service in server description: inet:1.2.3.4'],
  ])('%s: %s', (text, reason) => {
    expect(parseDestination(text, syntax)).toEqual({ ok: false, reason });
  });

  test('a label of 64 bytes or a name of 256 is no name', () => {
    expect(parseDestination(`${'a'.repeat(64)}.t`, syntax).ok).toBe(false);
    expect(parseDestination(`${'a'.repeat(63)}.t`, syntax).ok).toBe(true);
    expect(parseDestination(`${'a.'.repeat(127)}ab`, syntax).ok).toBe(false);
    expect(parseDestination(`${'a.'.repeat(127)}b`, syntax).ok).toBe(true);
  });

  test('without smtputf8_enable a non-ASCII name is no name', () => {
    expect(parseDestination('bücher.example', { ...syntax, utf8Names: false }).ok).toBe(false);
  });
});

describe('a nexthop', () => {
  test.each([
    ['smtp', 'exa mple.com', { kind: 'tcp', destinations: ['exa', 'mple.com'] }],
    ['smtp', 'a.t, [b.t]:26,c.t', { kind: 'tcp', destinations: ['a.t', '[b.t]:26', 'c.t'] }],
    ['smtp', 'unix:/s', { kind: 'tcp', destinations: ['unix:/s'] }],
    ['lmtp', 'unix:/var/run/a, b', { kind: 'unix', path: '/var/run/a, b' }],
    ['lmtp', 'inet:a.t b.t', { kind: 'tcp', destinations: ['a.t', 'b.t'] }],
    ['lmtp', 'inet:inet:a.t', { kind: 'tcp', destinations: ['inet:a.t'] }],
    ['lmtp', 'UNIX:/s', { kind: 'tcp', destinations: ['UNIX:/s'] }],
    ['lmtp', 'a.t:24', { kind: 'tcp', destinations: ['a.t:24'] }],
  ] as const)('%s %s', (protocol, text, nexthop) => {
    expect(parseNexthop(text, protocol)).toEqual(nexthop);
  });

  test('a list of blanks and commas is empty', () => {
    expect(splitDestinations(' , ')).toEqual([]);
  });
});
