import type { RecipientPage } from '@mailfleet/queue';
import type { Batch } from '@mailfleet/smtp';
import { describe, expect, test } from 'vitest';
import { cutBatches } from './batching.ts';
import { enter, recipientsRead } from './entering.ts';
import { makeMessage, makeSettings, recipientOf, resultOf } from './fixture.ts';
import type { Message } from './model.ts';
import { applyResult, endBatch } from './results.ts';
import { createCore, type SchedulerCore } from './scheduler.ts';
import type { CoreSettings, RecipientSlotSettings } from './settings.ts';
import { makeState, type State } from './state.ts';

const slots = (limit: number, more: Partial<RecipientSlotSettings> = {}): RecipientSlotSettings => ({
  limit,
  extra: 0,
  refillLimit: 100,
  refillDelayMs: 5000,
  ...more,
});
const readToTheEnd = (after: number): RecipientPage => ({
  recipients: [],
  after,
  unread: 0,
  unreported: [],
  unreportedSuccess: [],
});
const to = (domain: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `u${index}@${domain}`);

function stateWith(settings: CoreSettings): State {
  return makeState({ settings, shard: 0, fence: 1, term: '1' });
}

/** A message in memory of which `unread` recipients are not. */
function arrive(state: State, queueId: string, recipients: readonly string[], unread: number): Message {
  enter(state, makeMessage(queueId, recipients, { unread }), 0);
  const message = state.messages.get(queueId);
  if (message === undefined) throw new Error(`${queueId} left`);
  return message;
}

const capsOf = (message: Message): number[] => [message.jobs[0]?.slots ?? NaN, message.slots];

describe('recipient slots', () => {
  test('S1 and S2: the first that has more to read gets the pool, and passes on what it does not use', () => {
    const state = stateWith(makeSettings({}, { slots: slots(20) }));
    const a = arrive(state, 'A', to('a.example', 3), 50);
    const b = arrive(state, 'B', to('b.example', 2), 50);
    expect([capsOf(a), capsOf(b)]).toEqual([
      [20, 30],
      [0, 10],
    ]);
    expect(state.transports.get('smtp')?.unusedSlots).toBe(0);
    recipientsRead(state, 'A', readToTheEnd(52), 0);
    expect([capsOf(a), capsOf(b)]).toEqual([
      [3, 13],
      [17, 27],
    ]);
    expect(state.transports.get('smtp')?.unusedSlots).toBe(0);
  });

  test('S3: a message may read what its own minimum and its jobs leave free', () => {
    const base = makeSettings();
    const limits: Readonly<Record<string, number>> = { smtp: 4, lmtp: 5, relay: 0 };
    const transport: CoreSettings['transport'] = (name) => ({
      ...base.transport(name),
      slots: slots(limits[name] ?? 0, { refillLimit: 11 }),
    });
    const state = stateWith(makeSettings({ transport }));
    const lmtp = to('b.example', 5).map((address) => `lmtp:b.example ${address}`);
    const relay = to('c.example', 2).map((address) => `relay:c.example ${address}`);
    const message = arrive(state, 'm', [...to('a.example', 1), ...lmtp, ...relay], 100);
    expect(message.jobs.map((job) => [job.recipients, job.slots])).toEqual([
      [5, 5],
      [2, 0],
      [1, 4],
    ]);
    cutBatches(state, 0);
    expect(state.turn.reads).toEqual([{ queueId: 'm', after: -1, count: 11 }]);
  });

  test('a job that goes before another gets half of the reserve', () => {
    const preemption = { slotCost: 2, slotLoan: 100, slotDiscount: 0, minimumSlots: 1 };
    const limits = { slots: slots(10, { extra: 7 }), preemption, processLimit: 2 };
    const state = stateWith(makeSettings({}, limits));
    const a = arrive(state, 'A', to('a.example', 2000), 0);
    const b = arrive(state, 'B', to('b.example', 2), 3);
    expect(capsOf(b)).toEqual([0, 10]);
    cutBatches(state, 0);
    expect(b.jobs[0]?.parent).toBe(a.jobs[0]);
    expect(capsOf(b)).toEqual([4, 14]);
    expect(state.transports.get('smtp')?.unusedSlots).toBe(-4);
  });

  test('a list of any length leaves nothing behind but what is under way', () => {
    const list = Array.from({ length: 3_000 }, (_, index) => `u@d${index}.example`);
    const settings = makeSettings(
      { recipientLimit: 30 },
      { slots: slots(20, { refillLimit: 5 }), processLimit: 9 },
    );
    const state = stateWith(settings);
    const message = arrive(state, 'm', [], list.length);
    for (let turn = 0; state.messages.size > 0; turn += 1) {
      cutBatches(state, turn);
      for (const { queueId, after, count } of state.turn.reads.splice(0)) {
        recipientsRead(state, queueId, pageOf(list, after, count), turn);
      }
      const held = message.jobs.reduce((sum, job) => sum + job.peers.length, 0);
      expect(held).toBeLessThanOrEqual(state.recipients);
      expect(state.recipients).toBeLessThanOrEqual(30);
      expect(state.destinations).toBeLessThanOrEqual(30);
      for (const { id } of state.turn.batches.splice(0)) {
        const entry = state.flights.get(id)?.entries[0];
        const [recipient] = entry?.recipients ?? [];
        const result = resultOf(id, 'm', [[recipient?.index ?? -1, 'delivered']]);
        applyResult(state, result as Parameters<typeof applyResult>[1], turn);
        endBatch(state, id, turn);
      }
    }
    expect(state.recipients).toBe(0);
  });

  test('every slot is free again when all messages left', () => {
    const settings = makeSettings({ recipientLimit: 30 }, { slots: slots(20), processLimit: 3 });
    const state = stateWith(settings);
    const lists = new Map(['A', 'B', 'C'].map((id) => [id, to(`${id}.example`, 60)]));
    for (const [id, recipients] of lists) arrive(state, id, recipients, 0);
    for (let turn = 0; state.messages.size > 0; turn += 1) {
      cutBatches(state, turn);
      for (const { queueId, after, count } of state.turn.reads.splice(0)) {
        recipientsRead(state, queueId, pageOf(lists.get(queueId) ?? [], after, count), turn);
      }
      for (const { id, requests } of state.turn.batches.splice(0)) {
        for (const { envelope, recipients } of requests) {
          const kinds = recipients.map(({ index }) => [index, 'delivered'] as const);
          applyResult(
            state,
            resultOf(id, envelope.queueId, kinds) as Parameters<typeof applyResult>[1],
            turn,
          );
        }
        endBatch(state, id, turn);
      }
      if (turn > 1000) throw new Error('it does not end');
    }
    expect([state.recipients, state.transports.get('smtp')?.unusedSlots]).toEqual([0, 20]);
  });
});

/** What the queue answers when all of them are open. */
function pageOf(list: readonly string[], after: number, count: number): RecipientPage {
  const behind = list.map(recipientOf).filter(({ index }) => index > after);
  const recipients = behind.slice(0, count);
  const last = recipients.at(-1)?.index ?? after;
  return { ...readToTheEnd(last), recipients, unread: behind.length - recipients.length };
}

describe('reading', () => {
  const recipients = to('a.example', 60);
  const longList = makeMessage('m', [], { unread: 60, recipientCount: 60 });
  const coreWith = (more: Partial<RecipientSlotSettings> = {}): SchedulerCore => {
    const settings = makeSettings(
      { recipientLimit: 8, recipientMinimum: 4 },
      { slots: slots(4, more), recipientLimit: 2 },
    );
    return createCore({ settings, shard: 0, fence: 1, term: '1' });
  };
  const admit = (core: SchedulerCore, nowMs: number, ...messages: Parameters<typeof core.pulled>[1]) => {
    core.pulled({ source: 'incoming', count: messages.length }, messages, nowMs);
    return core.takeTurn(nowMs);
  };

  test('a long list starts with what the first read may take, and goes on when its recipients are done', () => {
    const core = coreWith();
    const { reads, conclusions } = admit(core, 0, longList);
    expect(reads).toEqual([{ queueId: 'm', after: -1, count: 8 }]);
    expect(conclusions).toEqual([]);
    core.recipientsRead('m', pageOf(recipients, -1, 8), 0);
    const { batches, ...turn } = core.takeTurn(0);
    expect(batches.map(({ requests }) => requests.map((each) => each.recipients.length))).toEqual([
      [2],
      [2],
      [2],
      [2],
    ]);
    expect(turn.reads).toEqual([]);
    for (const { id, requests } of batches) {
      const kinds = (requests[0]?.recipients ?? []).map(({ index }) => [index, 'delivered'] as const);
      core.apply(resultOf(id, 'm', kinds), 1);
      core.apply({ id: '0-1', kind: 'batch-end', batchId: id, returned: [] }, 1);
    }
    expect(core.takeTurn(1)).toMatchObject({ reads: [{ after: 7, count: 8 }], conclusions: [] });
    expect(core.takeTurn(2).reads).toEqual([]);
  });

  test.each<[string, Partial<RecipientSlotSettings>, number, number[]]>([
    ['when many slots are free', { refillLimit: 2 }, 1, [2]],
    ['not while few are', { refillLimit: 3 }, 1, []],
    ['when the last read was a while ago', { refillLimit: 3 }, 5000, [2]],
  ])('more is read %s', (_when, more, doneMs, counts) => {
    const core = coreWith(more);
    admit(core, 0, longList);
    core.recipientsRead('m', pageOf(recipients, -1, 8), 0);
    const [batch] = core.takeTurn(0).batches;
    const kinds = (batch?.requests[0]?.recipients ?? []).map(({ index }) => [index, 'delivered'] as const);
    core.apply(resultOf(batch?.id ?? '', 'm', kinds), doneMs);
    expect(core.takeTurn(doneMs).reads.map(({ count }) => count)).toEqual(counts);
  });

  test('recipients that need no worker need no slots either', () => {
    const settings = makeSettings({
      recipientLimit: 8,
      recipientMinimum: 4,
      deferTransports: new Set(['smtp']),
    });
    const core = createCore({ settings, shard: 0, fence: 1, term: '1' });
    let turn = admit(core, 0, longList);
    const counts: number[] = [];
    for (let [read] = turn.reads; read !== undefined; [read] = turn.reads) {
      counts.push(read.count);
      core.recipientsRead('m', pageOf(recipients, read.after, read.count), 0);
      turn = core.takeTurn(0);
    }
    expect(counts).toEqual([8, 8, 8, 8, 8, 8, 8, 8]);
    expect(turn.conclusions).toMatchObject([{ kind: 'defer' }]);
  });

  test('a page without an open recipient leads to the next, and a message that is gone ends', () => {
    const core = coreWith();
    admit(core, 0, longList);
    core.recipientsRead('m', { ...readToTheEnd(29), unread: 30 }, 0);
    expect(core.takeTurn(0).reads).toMatchObject([{ after: 29 }]);
    core.recipientsRead('m', readToTheEnd(59), 0);
    expect(core.takeTurn(0).conclusions).toEqual([{ kind: 'retire', queueId: 'm' }]);
  });

  test('bounces of a former leader that no notice told yet are told at the end of the pass', () => {
    const core = coreWith();
    admit(core, 0, longList);
    core.recipientsRead('m', { ...readToTheEnd(29), unread: 30, unreported: [3] }, 0);
    core.recipientsRead('m', readToTheEnd(59), 0);
    expect(core.takeTurn(0).conclusions).toMatchObject([{ kind: 'notice', request: { notice: 'failure' } }]);
  });

  test('what a former leader handed out of a long list is waited for before the list is read', () => {
    const core = coreWith();
    core.restore([longList], [batchOf('b0-1', [0])], 0);
    expect(core.takeTurn(0)).toMatchObject({ reads: [], conclusions: [] });
    core.apply(resultOf('b0-1', 'm', [[0, 'delivered']]), 1);
    expect(core.takeTurn(1)).toMatchObject({ reads: [], conclusions: [] });
    core.apply({ id: '0-1', kind: 'batch-end', batchId: 'b0-1', returned: [] }, 1);
    expect(core.takeTurn(1).reads).toEqual([{ queueId: 'm', after: -1, count: 8 }]);
  });

  test('what a former leader handed out of a list that was cut short is not read again', () => {
    const twenty = recipients.slice(0, 20);
    const core = coreWith({ refillLimit: 1 });
    core.restore([makeMessage('m', twenty)], [batchOf('b0-1', [15, 16])], 0);
    const seen: number[] = [];
    const deliver = (id: string, indexes: readonly number[], nowMs: number): void => {
      seen.push(...indexes);
      for (const index of indexes) core.apply(resultOf(id, 'm', [[index, 'delivered']]), nowMs);
      core.apply({ id: '0-1', kind: 'batch-end', batchId: id, returned: [] }, nowMs);
    };
    for (let turns = 0; seen.length < 18; turns += 1) {
      const turn = core.takeTurn(turns);
      for (const { queueId, after, count } of turn.reads) {
        core.recipientsRead(queueId, pageOf(twenty, after, count), turns);
      }
      for (const { id, requests } of turn.batches) {
        const asked = requests.flatMap((each) => each.recipients);
        deliver(
          id,
          asked.map(({ index }) => index),
          turns,
        );
      }
      if (turns > 100) throw new Error(`only ${seen.length} were handed out`);
    }
    deliver('b0-1', [15, 16], 200);
    expect(seen.toSorted((a, b) => a - b)).toEqual(twenty.map((_, index) => index));
    expect(core.takeTurn(200).conclusions).toEqual([{ kind: 'retire', queueId: 'm' }]);
  });
});

/** A batch of a former leader. */
function batchOf(id: string, indexes: readonly number[]): Batch {
  const { envelope } = makeMessage('m', []);
  const recipients = indexes.map((index) => recipientOf(`u${index}@a.example`, index));
  return {
    id,
    shard: 0,
    fence: 1,
    transport: 'smtp',
    protocol: 'smtp',
    nexthop: 'a.example',
    batchedMs: 0,
    requests: [{ envelope, recipients, contentShard: 0, activatedMs: 0 }],
  };
}
