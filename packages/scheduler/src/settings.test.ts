import { makeConfig } from '@mailfleet/config';
import { expect, test } from 'vitest';
import { settingsFrom } from './settings.ts';

function settingsOf(values: Record<string, string>) {
  return settingsFrom(makeConfig(values));
}

test('defaults are those of Postfix', () => {
  const settings = settingsOf({});
  expect(settings).toMatchObject({
    minimalBackoffMs: 300_000,
    maximalBackoffMs: 4_000_000,
    lifetimeMs: 432_000_000,
    delayWarningMs: 0,
    activeLimit: 20_000,
    batchLimit: 100,
  });
  expect(settings.transport('smtp')).toMatchObject({
    agent: 'smtp',
    window: { initial: 5, limit: 20, failedCohortLimit: 1 },
    recipientLimit: 50,
    preemption: { slotCost: 5, slotLoan: 3, slotDiscount: 50, minimumSlots: 3 },
    processLimit: 100,
  });
});

test('a transport has its own limits where main.cf names it', () => {
  const settings = settingsOf({
    relay_destination_concurrency_limit: '3',
    relay_destination_rate_delay: '2s',
    relay_destination_concurrency_negative_feedback: '1/4',
    relay_initial_destination_concurrency: '2',
  });
  const relay = settings.transport('relay');
  expect(relay).toMatchObject({
    agent: 'smtp',
    destinationRateDelayMs: 2000,
    window: { initial: 2, limit: 3 },
  });
  expect(relay.window.negative(5)).toBe(0.25);
  expect(settings.transport('smtp').window.limit).toBe(20);
});

test('every transport knows who delivers for it', () => {
  const { transport } = settingsOf({});
  const agents = ['smtp', 'relay', 'lmtp', 'error', 'retry', 'discard', 'pigeon'].map(
    (name) => transport(name).agent,
  );
  expect(agents).toEqual(['smtp', 'smtp', 'lmtp', 'error', 'retry', 'discard', 'none']);
});

test('W23: an impossible feedback amount counts as 1', () => {
  const settings = settingsOf({ smtp_destination_concurrency_positive_feedback: '1/sqrt_concurrency' });
  expect(settings.transport('smtp').window.positive(9)).toBe(1);
});
