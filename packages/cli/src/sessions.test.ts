import { expect, test } from 'vitest';
import { type ShownSession, sessionJson, sessionLine } from './sessions.ts';

const session: ShownSession = {
  state: 'parked',
  transport: 'smtp',
  nexthop: 'example.org',
  worker: 'smtp-worker@a.test[7]',
  relay: 'mx.example.org[192.0.2.1]:25',
  tls: 'TLSv1.3',
  sinceMs: 1_000,
  uses: 12,
  leftMs: 1_450,
};

test('a session as a line for people', () => {
  expect(sessionLine(session, 13_500)).toBe(
    'parked   12.5s     12    1.4s TLSv1.3 smtp:example.org         mx.example.org[192.0.2.1]:25       smtp-worker@a.test[7]\n',
  );
  const { tls: _, leftMs: _left, ...busy } = session;
  expect(sessionLine({ ...busy, state: 'busy' }, 500)).toMatch(/^busy {6}0\.0s {5}12 {7}- - {7}smtp/);
});

test('and for programs', () => {
  expect(JSON.parse(sessionJson(session))).toEqual({
    transport: 'smtp',
    nexthop: 'example.org',
    relay: 'mx.example.org[192.0.2.1]:25',
    state: 'parked',
    tls: 'TLSv1.3',
    sinceMs: 1_000,
    uses: 12,
    leftMs: 1_450,
    worker: 'smtp-worker@a.test[7]',
  });
});
