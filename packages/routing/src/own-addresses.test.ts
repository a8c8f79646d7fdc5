import { networkInterfaces } from 'node:os';
import { makeConfig } from '@mailfleet/config';
import { describe, expect, test } from 'vitest';
import { findOwnAddresses, findSourceAddresses } from './own-addresses.ts';

test('all interfaces, and what stands before them', async () => {
  const own = await findOwnAddresses(makeConfig({ proxy_interfaces: '192.0.2.1, [2001:DB8::0:1]' }));
  expect(own.has('127.0.0.1')).toBe(true);
  expect(own.has('192.0.2.1')).toBe(true);
  expect(own.has('2001:db8::1')).toBe(true);
  expect(own.size).toBeGreaterThanOrEqual(2 + Object.keys(networkInterfaces()).length);
});

test('chosen interfaces by address and by name; an unknown name is a warning', async () => {
  const warnings: string[] = [];
  const own = await findOwnAddresses(makeConfig({ inet_interfaces: '192.0.2.7, h.test, gone.test' }), {
    lookupNative: (name) =>
      name === 'h.test'
        ? Promise.resolve([{ address: '192.0.2.8', family: 4 }])
        : Promise.reject(new Error('unknown')),
    warn: (sentence) => warnings.push(sentence),
  });
  expect([...own]).toEqual(['192.0.2.7', '192.0.2.8']);
  expect(warnings).toEqual(['inet_interfaces: no address found for gone.test: Error: unknown']);
});

test('loopback-only', async () => {
  expect([...(await findOwnAddresses(makeConfig({ inet_interfaces: 'loopback-only' })))]).toEqual([
    '127.0.0.1',
    '::1',
  ]);
});

describe('the address to connect from', () => {
  const outside = Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter(({ internal, family }) => !internal && family === 'IPv4'),
  )[0]?.address;
  const source = (inet_interfaces: string) => findSourceAddresses(makeConfig({ inet_interfaces }));

  test('a machine of these tests has an address besides loopback', () => {
    expect(outside).toBeDefined();
  });

  test.each<[string, string, object]>([
    ['all interfaces', 'all', {}],
    ['loopback', '127.0.0.1, ::1', {}],
    ['loopback-only', 'loopback-only', {}],
    ['one of this machine', `${outside}, ::1`, { ipv4: outside }],
    ['the same twice', `${outside}, [${outside}]`, { ipv4: outside }],
    ['two of one family', `${outside}, 127.0.0.1`, {}],
    ['one of another machine', '192.0.2.1', {}],
  ])('%s', async (_, interfaces, expected) => {
    expect(await source(interfaces)).toEqual(expected);
  });
});
