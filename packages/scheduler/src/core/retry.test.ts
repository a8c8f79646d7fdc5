import { expect, test } from 'vitest';
import { isExpired, isWarningDue, nextAttemptMs, type RetrySettings } from './retry.ts';

const DAY = 86_400;
const settings = (
  seconds: Partial<Record<'minimal' | 'maximal' | 'lifetime' | 'bounce' | 'warning', number>> = {},
): RetrySettings => ({
  minimalBackoffMs: (seconds.minimal ?? 300) * 1000,
  maximalBackoffMs: (seconds.maximal ?? 4000) * 1000,
  lifetimeMs: (seconds.lifetime ?? 5 * DAY) * 1000,
  bounceLifetimeMs: (seconds.bounce ?? 5 * DAY) * 1000,
  delayWarningMs: (seconds.warning ?? 0) * 1000,
});
const envelope = { sender: 'a@example.org', arrivalMs: 0, createdMs: 0 };

/** Attempts in seconds after creation until the message expires; each takes `seconds`. */
function attempts(of: RetrySettings, seconds = 0): number[] {
  const at: number[] = [];
  for (let now = 0; ; ) {
    at.push(now / 1000);
    const done = now + seconds * 1000;
    if (isExpired(of, envelope, done)) return at;
    now = nextAttemptMs(of, envelope.createdMs, done);
  }
}

test('the age doubles up to the maximum, and the 113th attempt of five days is the last', () => {
  const all = attempts(settings());
  expect(all.slice(0, 9)).toEqual([0, 300, 600, 1200, 2400, 4800, 8800, 12800, 16800]);
  expect(all).toHaveLength(113);
  expect(all.at(-1)).toBe(432_800);
});

test.each<[string, RetrySettings, number, number[]]>([
  ['a lifetime of one hour', settings({ lifetime: 3600 }), 0, [0, 300, 600, 1200, 2400, 4800]],
  ['no lifetime', settings({ lifetime: 0 }), 0, [0]],
  ['a minimum of 1000 s', settings({ minimal: 1000, lifetime: 3600 }), 0, [0, 1000, 2000, 4000]],
  ['attempts of 35 s', settings({ lifetime: 3600 }), 35, [0, 335, 740, 1550, 3170, 6410]],
  [
    'a minimum above the maximum',
    settings({ minimal: 2000, maximal: 1000, lifetime: 5000 }),
    0,
    [0, 2000, 4000, 6000],
  ],
])('attempts with %s', (_what, of, seconds, expected) => {
  expect(attempts(of, seconds)).toEqual(expected);
});

test('bounce_queue_lifetime: mail with a null sender has its own lifetime, never a longer one', () => {
  const bounce = { ...envelope, sender: '' };
  expect(isExpired(settings({ bounce: 60 }), bounce, 60_000)).toBe(true);
  expect(isExpired(settings({ bounce: 60 }), envelope, 60_000)).toBe(false);
  expect(isExpired(settings({ lifetime: 30, bounce: 60 }), bounce, 30_000)).toBe(true);
});

test('delay_warning_time: a warning is due once the mail is that old, and never to the null sender', () => {
  const of = settings({ warning: 3600 });
  expect(isWarningDue(of, envelope, 3_598_999)).toBe(false);
  expect(isWarningDue(of, envelope, 3_599_000)).toBe(true);
  expect(isWarningDue(of, { ...envelope, sender: '' }, 9_999_999)).toBe(false);
  expect(isWarningDue(settings(), envelope, 9_999_999)).toBe(false);
});
