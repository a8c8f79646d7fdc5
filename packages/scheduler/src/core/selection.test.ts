import { describe, expect, test } from 'vitest';
import { enter, recipientsRead } from './entering.ts';
import { makeMessage, makeSettings } from './fixture.ts';
import type { Entry } from './model.ts';
import type { CoreSettings, PreemptionSettings } from './settings.ts';
import { makeState, type State } from './state.ts';
import { nextPeer, offer, takeEntry } from './transport.ts';

const NOW = 1_000_000_000;

interface Options {
  readonly window?: number;
  readonly preemption?: PreemptionSettings;
  readonly core?: Partial<CoreSettings>;
}

/** One entry for each recipient, all at one destination per letter. */
function stateWith({ window = 1_000_000, preemption, core = {} }: Options): State {
  return makeState({
    shard: 0,
    fence: 1,
    term: '1',
    settings: makeSettings(core, {
      recipientLimit: 1,
      window: { initial: window, limit: window },
      ...(preemption === undefined ? {} : { preemption }),
    }),
  });
}

/** `places`: destination of each entry, e.g. 'xxy'; names differ in their extension only, so they share a queue. */
function arrive(state: State, name: string, places: string, ageSeconds: number, nowMs = NOW): void {
  const recipients = [...places].map(
    (place, index) => `${place}+${String(index).padStart(4, '0')}@example.com`,
  );
  enter(state, makeMessage(name, recipients, { activatedMs: nowMs - ageSeconds * 1000 }), nowMs);
}

function select(state: State, nowMs = NOW): Entry | undefined {
  const transport = state.transports.get('smtp');
  const peer = transport === undefined ? undefined : nextPeer(state, transport, nowMs);
  if (peer === undefined) return undefined;
  const entry = takeEntry(state, peer, nowMs);
  peer.destination.busy += 1;
  offer(peer.destination);
  return entry;
}

const messageOf = (entry: Entry): string => entry.message.active.envelope.queueId;
const placeOf = (entry: Entry): string => entry.peer.destination.name.charAt(0);

function selectAll(state: State, name: (entry: Entry) => string): string[] {
  const order: string[] = [];
  for (let entry = select(state); entry !== undefined; entry = select(state)) order.push(name(entry));
  return order;
}

/** `AAB` as `A2 B1`. */
const runs = (order: readonly string[]): string =>
  (order.join('').match(/(.)\1*/g) ?? []).map((run) => `${run.charAt(0)}${run.length}`).join(' ');

describe('selection', () => {
  test('R1: the destinations of a message take turns', () => {
    const state = stateWith({});
    arrive(state, 'A', 'xxxyyz', 0);
    expect(selectAll(state, placeOf).join(' ')).toBe('x y z x y x');
  });

  test('B1: a freed slot goes to the first job that waits for it', () => {
    const state = stateWith({ window: 2 });
    arrive(state, 'A', 'xxxxx', 3);
    arrive(state, 'B', 'xy', 2);
    arrive(state, 'C', 'yy', 1);
    const name = (entry: Entry): string => `${messageOf(entry)}@${placeOf(entry)}`;
    const started: Entry[] = [];
    for (let entry = select(state); entry !== undefined; entry = select(state)) started.push(entry);
    expect(started.map(name)).toEqual(['A@x', 'A@x', 'B@y', 'C@y']);

    const finish = (which: string): string[] => {
      const entry = started.find((one) => name(one) === which);
      if (entry === undefined) throw new Error(`${which} is not under way`);
      started.splice(started.indexOf(entry), 1);
      entry.peer.destination.busy -= 1;
      offer(entry.peer.destination);
      const next = select(state);
      if (next === undefined) return [];
      started.push(next);
      return [name(next)];
    };
    expect(finish('A@x')).toEqual(['A@x']);
    expect(finish('A@x')).toEqual(['A@x']);
    expect(finish('B@y')).toEqual(['C@y']);
    expect(finish('A@x')).toEqual(['A@x']);
    expect(finish('A@x')).toEqual(['B@x']);
    expect(finish('C@y')).toEqual([]);
  });
});

const availability = (state: State): [string, number][] =>
  [...state.messages].map(([name, { jobs }]) => [name, jobs[0]?.available ?? NaN]);

const preemption = (slotCost: number, slotLoan: number, slotDiscount: number, minimumSlots: number) => ({
  slotCost,
  slotLoan,
  slotDiscount,
  minimumSlots,
});

describe('preemption', () => {
  test.each<[string, PreemptionSettings, string, string]>([
    ['P1', preemption(2, 0, 0, 3), 'A10(30) B2(20) C2(10)', 'A4 B2 A4 C2 A2'],
    ['P2', preemption(2, 0, 50, 3), 'A10(30) B2(20) C2(10)', 'A2 B2 A4 C2 A4'],
    ['P3', preemption(5, 3, 50, 3), 'A1000(30) B1(20) C1(10) D1(5)', 'A1 B1 A5 C1 A5 D1 A989'],
    ['P4', preemption(5, 3, 50, 3), 'A20(30) B2(20) C10(10)', 'A1 B2 A19 C10'],
    ['P5', preemption(5, 3, 50, 3), 'A14(30) B1(20)', 'A14 B1'],
    ['P6', preemption(5, 3, 50, 3), 'A15(30) B1(20)', 'A1 B1 A14'],
    ['P7', preemption(5, 3, 50, 3), 'A100(100) B8(90)', 'A5 B8 A95'],
    ['P8', preemption(5, 3, 50, 3), 'A100(100) B7(90) C6(90)', 'A1 C6'],
    ['P9', preemption(5, 3, 50, 3), 'A100(100) B4(90) C1(20)', 'A1 B4 A20 C1'],
    ['P10 nested', preemption(2, 0, 0, 1), 'A12(30) B4(20) C1(1)', 'A8 B2 C1 B2 A4'],
    ['cost 1 is none', preemption(1, 3, 50, 3), 'A20(30) B1(20)', 'A20 B1'],
  ])('%s', (_id, settings, jobs, expected) => {
    const state = stateWith({ preemption: settings });
    for (const [, name = '', count, age] of jobs.matchAll(/([A-Z])(\d+)\((\d+)\)/g)) {
      arrive(state, name, 'x'.repeat(Number(count)), Number(age));
    }
    const order = runs(selectAll(state, messageOf));
    expect(order.startsWith(expected) ? expected : order).toBe(expected);
  });

  test('P1 and P9: the whole price is charged at once, whatever loan and discount did', () => {
    const availableOfA = (
      settings: PreemptionSettings,
      jobs: readonly [string, number, number][],
      until: string,
    ) => {
      const state = stateWith({ preemption: settings });
      for (const [name, count, age] of jobs) arrive(state, name, 'x'.repeat(count), age);
      const seen: number[] = [];
      const [jobOfA] = state.messages.get('A')?.jobs ?? [];
      for (;;) {
        const before = jobOfA?.available ?? 0;
        const entry = select(state);
        if (entry === undefined) return [];
        seen.push(before, jobOfA?.available ?? 0);
        if (messageOf(entry) === until) return seen.slice(-2);
      }
    };
    expect(
      availableOfA(
        preemption(2, 0, 0, 3),
        [
          ['A', 10, 30],
          ['B', 2, 20],
        ],
        'B',
      ),
    ).toEqual([4, 0]);
    expect(
      availableOfA(
        preemption(5, 3, 50, 3),
        [
          ['A', 100, 100],
          ['B', 4, 90],
        ],
        'B',
      ),
    ).toEqual([1, -19]);
  });

  test('P3: each preemption costs the slots of all entries of the smaller job', () => {
    const state = stateWith({ preemption: preemption(5, 3, 50, 3) });
    arrive(state, 'A', 'x'.repeat(1000), 30);
    for (const [name, age] of [
      ['B', 20],
      ['C', 10],
      ['D', 5],
    ] as const) {
      arrive(state, name, 'x', age);
    }
    const slots: (readonly [string, number | undefined, number | undefined])[] = [];
    for (let index = 0; index < 20; index += 1) {
      const before = new Map(availability(state)).get('A');
      const entry = select(state);
      if (entry === undefined || messageOf(entry) === 'A') continue;
      slots.push([messageOf(entry), before, new Map(availability(state)).get('A')]);
    }
    expect(slots).toEqual([
      ['B', 1, -4],
      ['C', 1, -4],
      ['D', 1, -4],
    ]);
  });

  test('P11: jobs that arrive meanwhile preempt, also one another', () => {
    const state = stateWith({ preemption: preemption(5, 3, 50, 3) });
    arrive(state, 'A', 'x'.repeat(200), 0);
    const arrivals = new Map([
      [4, 'B20'],
      [40, 'C1'],
      [50, 'D3'],
    ]);
    let now = NOW;
    const order: string[] = [];
    /** Of the job that is preempted, before and after. */
    const slots: (readonly [string, number, number])[] = [];
    for (let selection = 1; selection <= 224; selection += 1) {
      const arrival = arrivals.get(selection);
      if (arrival !== undefined) {
        now += 1000;
        arrive(state, arrival.charAt(0), 'x'.repeat(Number(arrival.slice(1))), 0, now);
      }
      const before = new Map(availability(state));
      const entry = select(state, now);
      if (entry === undefined) continue;
      for (const [name, after] of availability(state)) {
        const had = before.get(name) ?? 0;
        if (after < had) slots.push([name, had, after]);
      }
      order.push(messageOf(entry));
    }
    expect(runs(order)).toBe('A35 B4 C1 B9 D3 B7 A165');
    expect(slots).toEqual([
      ['A', 35, -65],
      ['B', 4, -1],
      ['B', 8, -7],
    ]);
  });

  test('P12: slots of recipients that were counted and are not there go back to the preempted job', () => {
    // Room for the 50 of A and three of B, whose other two are counted as entries until they are read.
    const state = stateWith({
      preemption: preemption(5, 3, 50, 3),
      core: { recipientLimit: 53, recipientMinimum: 3 },
    });
    arrive(state, 'A', 'x'.repeat(50), 100);
    arrive(state, 'B', 'x'.repeat(5), 90);
    const [jobOfA] = state.messages.get('A')?.jobs ?? [];
    const order = ['A', 'B', 'B', 'B'];
    expect(order.map(() => messageOf(select(state) as Entry))).toEqual(order);
    expect(jobOfA?.available).toBe(-24);
    expect(state.turn.reads).toMatchObject([{ queueId: 'B', after: 2 }]);
    recipientsRead(
      state,
      'B',
      { recipients: [], after: 4, unread: 0, unreported: [], unreportedSuccess: [] },
      NOW,
    );
    expect(jobOfA?.available).toBe(-14);
    expect(messageOf(select(state) as Entry)).toBe('A');
  });

  test('positions survive more preemptions of one job than a double has bits', () => {
    const state = stateWith({ preemption: preemption(2, 3, 50, 1) });
    arrive(state, 'A', 'x'.repeat(1000), 1000);
    const order: string[] = [];
    for (let index = 0; index < 400; index += 1) {
      if (index % 4 === 0) arrive(state, `B${index}`, 'x', 0);
      const entry = select(state);
      if (entry !== undefined) order.push(messageOf(entry));
    }
    expect(order.filter((name) => name !== 'A')).toHaveLength(100);
  });
});
