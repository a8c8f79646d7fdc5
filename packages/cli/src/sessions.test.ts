import type { ListedSession } from '@mailfleet/scache';
import { expect, test } from 'vitest';
import { sessionJson, sessionLine } from './sessions.ts';

const session: ListedSession = {
  id: 'x-1',
  destination: { shard: 0, transport: 'smtp', nexthop: 'example.org' },
  worker: 'smtp-worker@a.test[7]',
  relay: 'mx.example.org[192.0.2.1]:25',
  tls: 'TLSv1.3',
  sinceMs: 1_000,
  uses: 12,
};

test('a parked session as a line for people', () => {
  expect(sessionLine(session, 1_450, 13_500)).toBe(
    '  12.5s     12    1.4s TLSv1.3 smtp:example.org         mx.example.org[192.0.2.1]:25       smtp-worker@a.test[7]\n',
  );
  const { tls: _, ...clear } = session;
  expect(sessionLine(clear, -5, 1_000)).toMatch(/^ {3}0\.0s {5}12 {4}0\.0s - {7}smtp/);
});

test('and for programs', () => {
  expect(JSON.parse(sessionJson(session, 1_450))).toEqual({
    transport: 'smtp',
    nexthop: 'example.org',
    relay: 'mx.example.org[192.0.2.1]:25',
    tls: 'TLSv1.3',
    sinceMs: 1_000,
    uses: 12,
    leftMs: 1_450,
    worker: 'smtp-worker@a.test[7]',
  });
});
