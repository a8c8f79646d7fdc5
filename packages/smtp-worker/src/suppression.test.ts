/** What the worker does with the suppression list, by its three parameters. */
import { makeConfig } from '@mailfleet/config';
import type { Suppression, SuppressionPort } from '@mailfleet/queue';
import type { Batch, Outcome } from '@mailfleet/smtp';
import { expect, test } from 'vitest';
import { openSuppressionList, type SuppressionList } from './suppression.ts';

const NOW = 1_000_000;

function port(...listed: readonly Suppression[]): SuppressionPort & { readonly added: Suppression[] } {
  const added: Suppression[] = [];
  return {
    added,
    suppressed: async (addresses) =>
      listed.filter(({ address }) => addresses.some((each) => each.toLowerCase() === address)),
    suppress: async (entries) => void added.push(...entries),
    unsuppress: async () => false,
    suppressionsPage: async () => ({ entries: [] }),
  };
}

function open(queue: SuppressionPort, values: Record<string, string> = {}): SuppressionList {
  const config = makeConfig({ suppression_list_enable: 'yes', ...values });
  const list = openSuppressionList(config, queue, () => NOW);
  if (list === undefined) throw new Error('the list is not used');
  return list;
}

const request = (queueId: string, ...addresses: string[]): Batch['requests'][number] => ({
  envelope: { queueId, sender: 'a@b', sizeBytes: 1, arrivalMs: 0, createdMs: 0 },
  recipients: addresses.map((address, index) => ({ index, address })),
  contentShard: 0,
  activatedMs: 0,
});
const batch = (...requests: Batch['requests']): Batch => ({
  id: 'b1',
  shard: 0,
  fence: 1,
  transport: 'smtp',
  protocol: 'smtp',
  nexthop: 'x.example',
  batchedMs: 0,
  requests,
});
const bob: Suppression = { address: 'bob@x.example', class: 'unknown-user', reason: 'no', sinceMs: 0 };

test('suppression_list_enable = no asks nothing', () => {
  expect(openSuppressionList(makeConfig(), port(bob))).toBeUndefined();
});

test('suppression_list_enable = yes: recipients on the list bounce without an attempt, the others go on', async () => {
  const { batch: left, results } = await open(port(bob)).sift(
    batch(
      request('Q1', 'Bob@x.example', 'carol@x.example'),
      request('Q2', 'bob@x.example'),
      request('Q3', 'd@x.example'),
    ),
  );
  expect(
    left.requests.map(({ envelope, recipients }) => [envelope.queueId, recipients.map((r) => r.address)]),
  ).toEqual([
    ['Q1', ['carol@x.example']],
    ['Q3', ['d@x.example']],
  ]);
  expect(
    results.map(({ queueId, outcomes }) => [
      queueId,
      outcomes.map((o) => `${o.kind} ${o.status} ${o.class} ${o.reason}`),
    ]),
  ).toEqual([
    ['Q1', ['bounced 5.7.1 suppressed recipient is on the suppression list (unknown-user)']],
    ['Q2', ['bounced 5.7.1 suppressed recipient is on the suppression list (unknown-user)']],
  ]);
});

const outcome = (more: Partial<Outcome>): Outcome => ({
  recipient: 0,
  address: 'eve@x.example',
  kind: 'bounced',
  status: '5.1.1',
  reason: 'host said: 550 5.1.1 no',
  reply: '550 5.1.1 no',
  relay: 'mx',
  action: 'failed',
  class: 'unknown-user',
  times: { arrivalMs: 0, activatedMs: 0, handedOffMs: 0, setUpMs: 0, doneMs: 0 },
  ...more,
});

test.each([
  ['unknown-user', {}, 1],
  ['', {}, 0],
  ['mailbox-full', {}, 0],
  ['unknown-user', { kind: 'deferred' as const }, 0],
  ['unknown-user, mailbox-disabled', { class: 'mailbox-disabled' as const }, 1],
])('suppression_classes = %s and %j: %d added', async (classes, more, count) => {
  const queue = port();
  await open(queue, { suppression_classes: classes }).learn({
    queueId: 'Q',
    steps: [],
    outcomes: [outcome(more)],
  });
  expect(queue.added).toHaveLength(count);
});

test('suppression_classes counts what servers say only', async () => {
  const queue = port();
  const { reply: _, ...ours } = outcome({});
  await open(queue, { suppression_classes: 'unknown-user' }).learn({
    queueId: 'Q',
    steps: [],
    outcomes: [ours],
  });
  expect(queue.added).toEqual([]);
});

test.each([
  ['1h', NOW + 3_600_000],
  ['0', undefined],
])('suppression_time = %s ends it at %s', async (time, untilMs) => {
  const queue = port();
  const values = { suppression_classes: 'unknown-user', suppression_time: time };
  await open(queue, values).learn({ queueId: 'Q', steps: [], outcomes: [outcome({})] });
  expect(queue.added.map((each) => each.untilMs)).toEqual([untilMs]);
});
