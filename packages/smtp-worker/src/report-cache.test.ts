import { SessionPool } from '@mailfleet/smtp';
import type { MailEvent } from '@mailfleet/telemetry';
import { afterEach, expect, test, vi } from 'vitest';
import { reportCache } from './report-cache.ts';

afterEach(() => vi.useRealTimers());

test('connection_cache_status_update_time: the cache reports at that interval and at the end, when it has something to say', () => {
  vi.useFakeTimers();
  const sessions = new SessionPool({ sessionLimit: 1, endpointLimit: 1 });
  const lines: string[] = [];
  const emit = (event: MailEvent): void => void (event.kind === 'remark' && lines.push(event.text));
  const stop = reportCache(sessions, 600_000, { emit });
  sessions.statistics.lookedUp('domain', true);
  vi.advanceTimersByTime(599_000);
  expect(lines).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(lines.splice(0)).toEqual([
    expect.stringMatching(/^statistics: start interval /),
    'statistics: domain lookup hits=1 miss=0 success=100%',
  ]);
  vi.advanceTimersByTime(600_000);
  expect(lines).toEqual([]);
  sessions.statistics.lookedUp('address', false);
  stop();
  expect(lines.at(-1)).toBe('statistics: address lookup hits=0 miss=1 success=0%');
  vi.advanceTimersByTime(6_000_000);
  expect(lines).toHaveLength(2);
});
