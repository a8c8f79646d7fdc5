import { describe, expect, test } from 'vitest';
import { orderAddresses } from './address-order.ts';
import type { AddressFamily, HostAddress } from './host-search.ts';
import { orderSrvRecords } from './srv-order.ts';

function address(name: string, preference = 0): HostAddress {
  const family: AddressFamily = name.startsWith('v6') ? 6 : 4;
  return { host: 'h.t', canonicalName: 'h.t', address: name, port: 25, preference, family, validated: false };
}

const settings = {
  families: [4, 6] as const,
  randomizeAddresses: false,
  addressPreference: 'any' as const,
  balanceProtocols: true,
  addressLimit: 5,
};
const names = (list: readonly HostAddress[]): string[] => list.map((item) => item.address);
const v4 = [1, 2, 3].map((n) => address(`v4-${n}`));
const v6 = [1, 2, 3, 4, 5, 6, 7].map((n) => address(`v6-${n}`));

/** A small linear congruential generator: the same sequence every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

describe('order', () => {
  test('by preference, stable otherwise', () => {
    const list = [address('a', 20), address('b', 10), address('c', 20), address('d', 10)];
    expect(names(orderAddresses(list, settings, Math.random))).toEqual(['b', 'd', 'a', 'c']);
  });

  test('the shuffle gives each equal address about the same share of first places', () => {
    const random = seeded(7);
    const first = new Map<string, number>();
    for (let i = 0; i < 3000; i++) {
      const [winner] = orderAddresses(v4, { ...settings, randomizeAddresses: true }, random);
      first.set(winner?.address ?? '', (first.get(winner?.address ?? '') ?? 0) + 1);
    }
    for (const count of first.values()) expect(count).toBeGreaterThan(850);
    expect(first.size).toBe(3);
  });

  test('a family is preferred within one preference only, and only where both are on', () => {
    const list = [address('v4-a', 1), address('v6-b', 1), address('v6-c', 2), address('v4-d', 2)];
    const prefer = { ...settings, addressPreference: 'ipv6' as const };
    expect(names(orderAddresses(list, prefer, Math.random))).toEqual(['v6-b', 'v4-a', 'v6-c', 'v4-d']);
    const prefer4 = { ...settings, addressPreference: 'ipv4' as const };
    expect(names(orderAddresses(list, prefer4, Math.random))).toEqual(['v4-a', 'v6-b', 'v4-d', 'v6-c']);
    const oneFamily = { ...prefer, families: [4] as const };
    expect(names(orderAddresses(list, oneFamily, Math.random))[0]).toBe('v4-a');
  });
});

describe('balance of families', () => {
  test.each([
    ['ipv6 preferred', [...v4, ...v6], 'ipv6', 5, ['v6-1', 'v6-2', 'v6-3', 'v4-1', 'v4-2']],
    ['ipv4 preferred', [...v6, ...v4], 'ipv4', 5, ['v4-1', 'v4-2', 'v4-3', 'v6-1', 'v6-2']],
    [
      'few IPv6',
      [...v4, address('v4-4'), address('v4-5'), address('v6-1')],
      'any',
      5,
      ['v4-1', 'v4-2', 'v4-3', 'v4-4', 'v6-1'],
    ],
    ['few IPv4', [...v6, address('v4-1')], 'any', 4, ['v6-1', 'v6-2', 'v6-3', 'v4-1']],
    ['few enough', [...v4, address('v6-1')], 'any', 5, ['v4-1', 'v4-2', 'v4-3', 'v6-1']],
    ['limit of one, IPv6 first', [address('v6-1'), address('v4-1')], 'any', 1, ['v6-1']],
  ] as const)('%s', (_, list, addressPreference, addressLimit, expected) => {
    const result = orderAddresses(list, { ...settings, addressPreference, addressLimit }, Math.random);
    expect(names(result)).toEqual(expected);
  });

  test.each([
    ['no limit', { addressLimit: 0 }],
    ['turned off', { balanceProtocols: false }],
  ])('%s keeps all', (_, change) => {
    expect(orderAddresses([...v4, ...v6], { ...settings, ...change }, Math.random)).toHaveLength(10);
  });
});

test('SRV weights are odds within one priority', () => {
  const record = (target: string, priority: number, weight: number) => ({
    target,
    priority,
    weight,
    port: 1,
  });
  const records = [
    record('last', 2, 100),
    record('heavy', 1, 90),
    record('light', 1, 10),
    record('zero', 1, 0),
  ];
  const random = seeded(3);
  let heavyFirst = 0;
  for (let i = 0; i < 1000; i++) {
    const order = orderSrvRecords(records, random).map((item) => item.target);
    expect(order).toHaveLength(4);
    expect(order[3]).toBe('last');
    if (order[0] === 'heavy') heavyFirst += 1;
  }
  expect(heavyFirst).toBeGreaterThan(850);
  expect(heavyFirst).toBeLessThan(950);
});
