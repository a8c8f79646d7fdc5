import { expect, test } from 'vitest';
import { SharedEndpoints } from './shared-endpoints.ts';

test.each<[string, string, boolean]>([
  ['customer.example', 'mx.provider.example', true],
  ['customer.example:2525', 'mx.provider.example', true],
  ['example.com', 'mail.example.com', false],
  ['Example.com', 'mail.EXAMPLE.com', false],
  ['example.com', 'example.com', false],
  ['ample.com', 'mail.example.com', true],
  ['[mx.provider.example]:587', 'mx.provider.example', false],
  ['[192.0.2.1]', '192.0.2.1', false],
  ['unix:/run/lmtp', 'client.test', false],
])('%s at %s: shared %s', (nexthop, host, wanted) => {
  const shared = new SharedEndpoints();
  expect(shared.has('endpoint')).toBe(false);
  shared.note('endpoint', nexthop, host);
  expect(shared.has('endpoint')).toBe(wanted);
  shared.note('endpoint', nexthop, host);
  expect(shared.has('endpoint')).toBe(wanted);
});

test('a second destination makes it shared, for good', () => {
  const shared = new SharedEndpoints();
  shared.note('endpoint', 'example.com', 'mail.example.com');
  shared.note('endpoint', 'example.org', 'mail.example.com');
  shared.note('endpoint', 'example.com', 'mail.example.com');
  expect([shared.has('endpoint'), shared.has('other')]).toEqual([true, false]);
});
