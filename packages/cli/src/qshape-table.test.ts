import { expect, test } from 'vitest';
import { bucketOf, Shape, type ShapeOptions } from './qshape-table.ts';

const options: ShapeOptions = { buckets: 10, bucketMinutes: 5, linear: false, width: 80 };
const MINUTE_MS = 60_000;

test.each([
  [0, 0],
  [4.99, 0],
  [5, 1],
  [9.99, 1],
  [10, 2],
  [20, 3],
  [39, 3],
  [40, 4],
  [1279, 8],
  [1280, 9],
  [1e6, 9],
  [-3, 0],
])('an age of %d minutes is in group %d', (minutes, bucket) => {
  expect(bucketOf(minutes * MINUTE_MS, options)).toBe(bucket);
});

test.each([
  [4, 0],
  [5, 1],
  [14, 2],
  [15, 3],
  [500, 3],
])('linear: an age of %d minutes is in group %d', (minutes, bucket) => {
  expect(bucketOf(minutes * MINUTE_MS, { ...options, linear: true, buckets: 4 })).toBe(bucket);
});

test('columns are headed by the limits of their groups', () => {
  expect(new Shape(options).heads().join(' ')).toBe('T 5 10 20 40 80 160 320 640 1280 1280+');
  expect(new Shape({ ...options, linear: true, buckets: 4 }).heads().join(' ')).toBe('T 5 10 15 15+');
  expect(new Shape({ ...options, buckets: 1 }).heads().join(' ')).toBe('T 0+');
});

test('rows by falling count, the total first, the null sender by its name', () => {
  const shape = new Shape({ ...options, top: 2 });
  for (const address of ['u@b.example', 'u@B.Example.', '', '', 'v@b.example', 'u@c.example']) {
    shape.add(address, address === '' ? 7 * MINUTE_MS : 0);
  }
  expect(shape.rows().map(({ domain, counts }) => [domain, ...counts.slice(0, 3)])).toEqual([
    ['TOTAL', 6, 4, 2],
    ['b.example', 3, 3, 0],
    ['MAILER-DAEMON', 2, 0, 2],
  ]);
});

test('parent domains with enough subdomains have rows, the top level has none', () => {
  const shape = new Shape({ ...options, minSubdomains: 2 });
  for (const domain of ['a.x.example', 'b.x.example', 'b.x.example', 'a.y.example', 'x.example'])
    shape.add(`u@${domain}`, 0);
  const parents = shape.rows().filter(({ domain }) => domain.startsWith('.'));
  expect(parents.map(({ domain, counts }) => [domain, counts[0]])).toEqual([['.x.example', 3]]);
});
