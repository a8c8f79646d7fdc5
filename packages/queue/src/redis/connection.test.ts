import { expect, test } from 'vitest';
import { parseRedisUrl } from './connection.ts';

test('one server: host, port, database, credentials, TLS', () => {
  expect(parseRedisUrl('redis://h.example')).toMatchObject({
    kind: 'single',
    options: { host: 'h.example', port: 6379 },
  });
  expect(parseRedisUrl('rediss://u:p%40ss:w@[::1]:7000/3')).toMatchObject({
    kind: 'single',
    options: { host: '::1', port: 7000, db: 3, username: 'u', password: 'p@ss:w', tls: {} },
  });
  expect(parseRedisUrl('redis://:secret@h').options).toEqual({ host: 'h', port: 6379, password: 'secret' });
});

test('a Unix socket, as URL or as path', () => {
  expect(parseRedisUrl('unix:///run/redis.sock').options).toEqual({ path: '/run/redis.sock' });
  expect(parseRedisUrl('/run/redis.sock').options).toEqual({ path: '/run/redis.sock' });
});

test('a cluster: several hosts, or a scheme that says so', () => {
  expect(parseRedisUrl('redis://a:1,b:2')).toMatchObject({
    kind: 'cluster',
    nodes: [
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ],
  });
  expect(parseRedisUrl('rediss-cluster://:pw@a')).toMatchObject({
    kind: 'cluster',
    nodes: [{ host: 'a', port: 6379 }],
    options: { password: 'pw', tls: {} },
  });
});

test.each(['http://x', 'redis://', 'localhost:6379', '', 'redis://u:hunter2@/1', 'redis://u:hunter2@h/mail'])(
  '%s is refused in words, without its password',
  (url) => {
    expect(() => parseRedisUrl(url)).toThrow(/^redis_url (?!.*hunter2)/);
  },
);
