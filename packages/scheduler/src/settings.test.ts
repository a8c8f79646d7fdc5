import { makeConfig } from '@mailfleet/config';
import { expect, test } from 'vitest';
import { cutBatches } from './core/batching.ts';
import { enter } from './core/entering.ts';
import { makeMessage } from './core/fixture.ts';
import { makeState } from './core/state.ts';
import { contradictions, settingsFrom } from './settings.ts';

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
    confirmDelayCleared: false,
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

test('smtp_destination_recipient_limit: no delivery request has more recipients', () => {
  const settings = settingsOf({ smtp_destination_recipient_limit: '2' });
  const state = makeState({ settings, shard: 0, fence: 1, term: '1' });
  enter(state, makeMessage('m1', ['a@x.example', 'b@x.example', 'c@x.example']), 0);
  cutBatches(state, 0);
  const requests = state.turn.batches.flatMap((batch) => batch.requests);
  expect(requests.map(({ recipients }) => recipients.length)).toEqual([2, 1]);
});

test('maxproc of master.cf is the process limit of its transport, 0 is none', () => {
  const master = 'one unix - - n - 3 smtp\nall unix - - n - 0 lmtp\nsmtp unix - - n - - smtp\n';
  const { transport } = settingsFrom(makeConfig({ default_process_limit: '7' }, master));
  const limits = ['one', 'all', 'smtp', 'relay'].map((name) => transport(name).processLimit);
  expect(limits).toEqual([3, Number.MAX_SAFE_INTEGER, 7, 7]);
  expect(transport('one').agent).toBe('smtp');
});

test('<transport>_destination_… holds for a transport of master.cf, also one with a hyphen', () => {
  const master = 'big-mail unix - - n - - smtp\n';
  const config = makeConfig(
    { 'big-mail_destination_concurrency_limit': '2', default_destination_concurrency_limit: '9' },
    master,
  );
  expect(settingsFrom(config).transport('big-mail').window.limit).toBe(2);
  expect(settingsFrom(config).transport('smtp').window.limit).toBe(9);
});

test('shards share the processes of a transport, at least one each', () => {
  const limits = (shards: number, limit: number): number[] =>
    Array.from({ length: shards }, (_, shard) => {
      const config = makeConfig({ scheduler_shards: String(shards), default_process_limit: String(limit) });
      return settingsFrom(config, shard).transport('smtp').processLimit;
    });
  expect(limits(1, 100)).toEqual([100]);
  expect(limits(3, 100)).toEqual([34, 33, 33]);
  expect(limits(3, 2)).toEqual([1, 1, 1]);
});

test('recipient slots are those of Postfix, and of a transport where main.cf names it', () => {
  const settings = settingsOf({ relay_recipient_limit: '7', relay_recipient_refill_delay: '1s' });
  expect(settings).toMatchObject({ recipientLimit: 20_000, recipientMinimum: 10 });
  expect(settings.transport('smtp').slots).toEqual({
    limit: 20_000,
    extra: 1_000,
    refillLimit: 100,
    refillDelayMs: 5_000,
  });
  expect(settings.transport('relay').slots).toMatchObject({ limit: 7, refillDelayMs: 1_000 });
});

test('values that contradict each other give way, and the operator is told', () => {
  const values = {
    qmgr_message_recipient_limit: '19999',
    bounce_queue_lifetime: '2d',
    maximal_queue_lifetime: '1d',
    default_process_limit: '3',
    scheduler_shards: '4',
  };
  expect(contradictions(makeConfig({}))).toEqual([]);
  expect(contradictions(makeConfig(values)).map((text) => text.slice(0, text.indexOf(';')))).toEqual([
    'qmgr_message_recipient_limit is below qmgr_message_active_limit',
    'bounce_queue_lifetime is above maximal_queue_lifetime',
    'default_process_limit is below scheduler_shards',
  ]);
  expect(settingsOf(values).recipientLimit).toBe(20_000);
});

test('W23: an impossible feedback amount counts as 1', () => {
  const settings = settingsOf({ smtp_destination_concurrency_positive_feedback: '1/sqrt_concurrency' });
  expect(settings.transport('smtp').window.positive(9)).toBe(1);
});
