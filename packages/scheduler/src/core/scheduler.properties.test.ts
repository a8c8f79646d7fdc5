/**
 * Random histories under random settings: messages arrive, long lists are read bit by bit, results of every kind come in any
 * order, twice or late, batches end half done or vanish, operators hold, release, expire, pause and limit, leaders change, time passes.
 * The same in every run; TEST_SEED=<number> plays others.
 */
import type {
  ActiveMessage,
  ControlChange,
  ControlKind,
  NoticeRequest,
  RecipientPage,
} from '@mailfleet/queue';
import type { Batch, OutcomeKind } from '@mailfleet/smtp';
import { randomFrom, testSeeds } from '@mailfleet/test-kit';
import fc from 'fast-check';
import { test } from 'vitest';
import { makeMessage, makeSettings, resultOf } from './fixture.ts';
import { createCore, type SchedulerCore } from './scheduler.ts';
import type { CoreSettings } from './settings.ts';
import type { RecipientRead, Turn } from './turn.ts';

const [seed = 1] = testSeeds;
const MESSAGES = 150;
/** Nexthops that an operator has a hand on. */
const PAUSABLE = ['a', 'b'] as const;
const DOWN = { status: '4.4.1', reason: 'down' };
/** Transports that workers serve. */
const SERVED = ['smtp', 'lmtp'];

interface Rules {
  readonly history: number;
  readonly windowLimit: number;
  readonly processLimit: number;
  readonly activeLimit: number;
  readonly batchLimit: number;
  readonly recipientLimit: number;
  readonly minimum: number;
  readonly pool: number;
  readonly extra: number;
  readonly refillLimit: number;
  readonly slotCost: number;
  readonly cohorts: number;
  readonly rateDelayMs: number;
  /** Operators pause and limit destinations. */
  readonly controls: boolean;
}

const rules: fc.Arbitrary<Rules> = fc.record({
  history: fc.noShrink(fc.nat()),
  windowLimit: fc.integer({ min: 1, max: 5 }),
  processLimit: fc.integer({ min: 1, max: 9 }),
  activeLimit: fc.integer({ min: 5, max: 50 }),
  batchLimit: fc.integer({ min: 1, max: 6 }),
  recipientLimit: fc.integer({ min: 1, max: 4 }),
  minimum: fc.integer({ min: 1, max: 5 }),
  pool: fc.integer({ min: 0, max: 20 }),
  extra: fc.integer({ min: 0, max: 9 }),
  refillLimit: fc.integer({ min: 1, max: 10 }),
  slotCost: fc.constantFrom(0, 2, 5),
  cohorts: fc.integer({ min: 1, max: 3 }),
  rateDelayMs: fc.constantFrom(0, 0, 0, 50),
  controls: fc.boolean(),
});

function isPausable(nexthop: string): boolean {
  return PAUSABLE.some((one) => one === nexthop);
}

function check(holds: boolean, promise: string): void {
  if (!holds) throw new Error(`broken: ${promise}`);
}

/** The queue and the workers as the core sees them. */
class World {
  readonly random: () => number;
  readonly rules: Rules;
  readonly settings: CoreSettings;
  core: SchedulerCore;
  leaders = 0;
  nowMs = 0;
  /** Recipients stand here in full; the core gets those of long lists when it asks. */
  readonly lists = new Map<string, ActiveMessage['recipients']>();
  readonly incoming: ActiveMessage[] = [];
  deferred: { readonly message: ActiveMessage; readonly dueMs: number }[] = [];
  readonly active = new Map<string, ActiveMessage>();
  readonly retired = new Set<string>();
  notices: NoticeRequest[] = [];
  reads: RecipientRead[] = [];
  readonly batches = new Map<string, Batch>();
  /** Ended batches, whose words may still come. */
  readonly past: Batch[] = [];
  /** Recipients with a final outcome, as the queue keeps them, and those bounced whose notice is due. */
  readonly final = new Set<string>();
  readonly unreported = new Set<string>();
  /** Batch, message and index of recipients whose outcome was reported: no longer in that batch's hand. */
  readonly reported = new Set<string>();
  /** Recipients that this leader was given and that have no outcome since. */
  readonly inMemory = new Set<string>();
  /** Messages in active that an operator held: they come back as due as they were; and those that one expired. */
  readonly held = new Set<string>();
  readonly forced = new Set<string>();
  /** What an operator set on destinations, and until when each is paused. */
  readonly set = new Map<string, ControlChange>();
  readonly pauses = new Map<string, number>();
  healthy = false;

  constructor(given: Rules) {
    this.rules = given;
    this.random = randomFrom(given.history).next;
    this.settings = makeSettings(
      {
        activeLimit: given.activeLimit,
        recipientLimit: given.activeLimit,
        recipientMinimum: given.minimum,
        batchLimit: given.batchLimit,
        minimalBackoffMs: 1000,
        maximalBackoffMs: 2000,
      },
      {
        window: { initial: 2, limit: given.windowLimit, failedCohortLimit: given.cohorts },
        recipientLimit: given.recipientLimit,
        processLimit: given.processLimit,
        destinationRateDelayMs: given.rateDelayMs,
        slots: { limit: given.pool, extra: given.extra, refillLimit: given.refillLimit, refillDelayMs: 300 },
        preemption: { slotCost: given.slotCost, slotLoan: 1, slotDiscount: 50, minimumSlots: 1 },
      },
    );
    this.core = this.newCore();
    for (let id = 0; id < MESSAGES; id += 1) {
      const count = this.pick(1, 1, 1, 2, 9, 40);
      const message = makeMessage(
        `m${id}`,
        Array.from({ length: count }, () => this.address()),
      );
      this.lists.set(`m${id}`, message.recipients);
      this.incoming.push(message);
    }
  }

  newCore(): SchedulerCore {
    this.leaders += 1;
    return createCore({
      settings: this.settings,
      shard: 0,
      fence: this.leaders,
      term: String(this.leaders),
    });
  }

  pick<T>(...choices: readonly [T, ...T[]]): T {
    return choices[Math.floor(this.random() * choices.length)] ?? choices[0];
  }

  address(): string {
    return this.pick('u@a', 'u@b', 'u@c', 'v@a', 'lmtp:x u@x', 'error:5.1.1 no u@d', 'pigeon:p u@e');
  }

  turn(): void {
    this.core.setDue(
      this.deferred.reduce((least, { dueMs }) => Math.min(least, dueMs), Infinity),
      this.nowMs,
    );
    const pull = this.core.nextPull(this.nowMs);
    if (pull !== undefined) {
      const messages = this.take(pull.source, pull.count);
      for (const message of messages) {
        this.active.set(message.envelope.queueId, message);
      }
      this.core.pulled(pull, messages, this.nowMs);
    }
    this.carryOut(this.core.takeTurn(this.nowMs));
    check(this.active.size <= this.rules.activeLimit, 'the active queue is within its limit');
    this.expectRoom();
  }

  take(source: 'incoming' | 'deferred', count: number): ActiveMessage[] {
    const taken =
      source === 'incoming'
        ? this.incoming.splice(0, count)
        : this.deferred
            .filter(({ dueMs }) => dueMs <= this.nowMs)
            .slice(0, count)
            .map(({ message }) => message);
    this.deferred = this.deferred.filter(({ message }) => !taken.includes(message));
    return taken.map((message) => this.view({ ...message, activatedMs: this.nowMs }));
  }

  /** As the queue shows a message: a list of some length has to be read. */
  view(stored: ActiveMessage): ActiveMessage {
    const { queueId } = stored.envelope;
    const message = { ...stored, held: this.held.has(queueId), forcedExpire: this.forced.has(queueId) };
    const list = this.lists.get(queueId) ?? [];
    if (list.length > 1) return { ...message, recipients: [], unread: list.length };
    const recipients = list.filter(({ index }) => !this.final.has(`${queueId} ${index}`));
    for (const { index } of recipients) this.inMemory.add(`${queueId} ${index}`);
    return { ...message, recipients, unreported: list.flatMap((one) => this.bounced(queueId, one)) };
  }

  bounced(queueId: string, { index }: { readonly index: number }): number[] {
    return this.unreported.has(`${queueId} ${index}`) ? [index] : [];
  }

  answer({ queueId, after, count }: RecipientRead): void {
    const behind = (this.lists.get(queueId) ?? []).filter(({ index }) => index > after);
    const recipients: RecipientPage['recipients'][number][] = [];
    const unreported: number[] = [];
    let looked = 0;
    // Answers of the queue may hold fewer than were asked for.
    const most = this.pick(count, count, 1);
    for (const recipient of behind) {
      if (recipients.length === most) break;
      looked += 1;
      if (!this.final.has(`${queueId} ${recipient.index}`)) recipients.push(recipient);
      unreported.push(...this.bounced(queueId, recipient));
    }
    for (const { index } of recipients) {
      const batch = [...this.batches.values()].find((one) => this.holds(one, queueId, index));
      // What a former leader handed out is not news to this one.
      if (batch === undefined) this.inMemory.add(`${queueId} ${index}`);
    }
    const last = behind[looked - 1]?.index ?? after;
    const page = {
      recipients,
      after: last,
      unread: behind.length - looked,
      unreported,
      unreportedSuccess: [],
    };
    this.core.recipientsRead(queueId, page, this.nowMs);
  }

  holds({ id, requests }: Batch, queueId: string, index: number): boolean {
    return requests.some(
      ({ envelope, recipients }) =>
        envelope.queueId === queueId &&
        recipients.some((one) => one.index === index) &&
        !this.reported.has(`${id} ${queueId} ${index}`),
    );
  }

  /** Another leader takes over, from what the queue holds. */
  changeLeader(): void {
    this.core = this.newCore();
    this.reads = [];
    this.notices = [];
    this.inMemory.clear();
    for (const change of this.set.values()) this.core.control(change, this.nowMs);
    const active = [...this.active.values()].map((message) => this.view(message));
    this.core.restore(active, [...this.batches.values()], this.nowMs);
  }

  carryOut(turn: Turn): void {
    for (const { queueId, outcomes } of turn.locals) {
      for (const { recipient, kind } of outcomes) this.record(queueId, recipient, kind);
    }
    this.reads.push(...turn.reads);
    for (const batch of turn.batches) {
      check(!this.batches.has(batch.id), 'batch ids differ');
      this.batches.set(batch.id, batch);
    }
    this.expectLimits();
    this.recall(turn.recalls);
    for (const conclusion of turn.conclusions) {
      if (conclusion.kind === 'notice') {
        this.notices.push(conclusion.request);
        continue;
      }
      const message = this.active.get(conclusion.queueId);
      // Exactly once: a message that was concluded is not active any more.
      if (message === undefined) throw new Error(`${conclusion.queueId} was concluded and is not active`);
      this.active.delete(conclusion.queueId);
      this.reads = this.reads.filter(({ queueId }) => queueId !== conclusion.queueId);
      if (conclusion.kind === 'defer') {
        const released = this.held.delete(conclusion.queueId);
        const list = this.lists.get(conclusion.queueId) ?? [];
        const mayPause = this.rules.controls && list.some(({ nexthop }) => isPausable(nexthop));
        check(released || mayPause || conclusion.dueMs >= this.nowMs + 1000, 'a retry keeps its distance');
        check(
          released || conclusion.dueMs >= this.nowMs,
          'what waits for a pause is due when it ends, or now',
        );
        this.deferred.push({ message: { ...message, pass: message.pass + 1 }, dueMs: conclusion.dueMs });
      } else {
        this.retired.add(conclusion.queueId);
        for (const { index } of this.lists.get(conclusion.queueId) ?? [])
          check(this.final.has(`${conclusion.queueId} ${index}`), 'a retired message has no open recipient');
      }
    }
    for (const dueMs of turn.wakes) {
      this.deferred = this.deferred.map((each) =>
        each.dueMs === dueMs ? { ...each, dueMs: this.nowMs } : each,
      );
    }
    if (turn.wakes.length > 0) this.core.lookAgain();
  }

  /** An operator sets something for a time, or takes it back. */
  control(): void {
    const kind = this.pick<ControlKind>('pause', 'pause', 'concurrency-limit', 'rate-delay');
    const nexthop = this.pick(...PAUSABLE);
    const name = { transport: 'smtp', nexthop };
    const before = this.pauses.get(nexthop) ?? 0;
    const previous = kind === 'pause' && before > this.nowMs ? { previousUntilMs: before } : {};
    const lift = this.random() < 0.4;
    const untilMs = this.nowMs + 1 + Math.floor(this.random() * 3_000);
    const value = { pause: 0, 'concurrency-limit': 1, 'rate-delay': 100 }[kind];
    const control = { ...name, kind, value, sinceMs: this.nowMs, untilMs, reason: 'why not' };
    if (kind === 'pause') this.pauses.set(nexthop, lift ? 0 : untilMs);
    const change = { ...name, kind, ...(lift ? {} : { control }) };
    this.set.set(`${kind} ${nexthop}`, change);
    this.core.control({ ...change, ...previous }, this.nowMs);
  }

  /**
   * The minimum of each message, the pools and reserves of the transports, and what first reads may take beyond them, which is
   * within the limit on all recipients.
   */
  expectRoom(): void {
    // What a pause puts back is told to nobody.
    if (this.rules.controls) return;
    const { activeLimit, minimum, pool, extra } = this.rules;
    // Twice: a message that has none in memory may read that much again while another still has more than its slots.
    const bound = minimum * activeLimit + SERVED.length * (pool + extra) + 2 * activeLimit;
    check(this.inMemory.size <= bound, `${this.inMemory.size} recipients are within ${bound}`);
  }

  /** Takes back some of the batches that no worker has begun. */
  recall(batchIds: ReadonlySet<string>): void {
    for (const id of batchIds) {
      const begun = [...this.reported].some((reported) => reported.startsWith(`${id} `));
      if (begun || this.random() < 0.3 || !this.batches.delete(id)) continue;
      this.core.recalled(id, this.nowMs);
    }
  }

  /** A message of the active queue. */
  someone(): string {
    return this.pick('', ...this.active.keys());
  }

  /** No window and no transport is exceeded, and no recipient is in two hands. */
  expectLimits(): void {
    const slots = new Map<string, number>();
    const inHand = new Set<string>();
    const perTransport = new Map<string, number>();
    for (const { id, transport, nexthop, requests } of this.batches.values()) {
      // With a limit of 1 each mailbox is a destination.
      const mailbox = this.rules.recipientLimit === 1 ? requests[0]?.recipients[0]?.address : '';
      const destination = `${transport}:${nexthop} ${mailbox}`;
      slots.set(destination, (slots.get(destination) ?? 0) + 1);
      perTransport.set(transport, (perTransport.get(transport) ?? 0) + 1);
      check(requests.length <= this.rules.batchLimit, 'a batch is within its limit');
      for (const { envelope, recipients } of requests) {
        check(recipients.length <= this.rules.recipientLimit, 'a request is within its recipient limit');
        for (const { index } of recipients) {
          const recipient = `${envelope.queueId} ${index}`;
          if (this.reported.has(`${id} ${recipient}`)) continue;
          check(!inHand.has(recipient), `${recipient} is in one hand`);
          inHand.add(recipient);
        }
      }
    }
    for (const count of slots.values()) check(count <= this.rules.windowLimit, 'the window holds');
    for (const count of perTransport.values())
      check(count <= this.rules.processLimit, 'the process limit holds');
  }

  record(queueId: string, recipient: number, kind: OutcomeKind): void {
    this.inMemory.delete(`${queueId} ${recipient}`);
    if (kind === 'deferred') return;
    check(!this.final.has(`${queueId} ${recipient}`), `recipient ${recipient} of ${queueId} ends once`);
    this.final.add(`${queueId} ${recipient}`);
    if (kind === 'bounced') this.unreported.add(`${queueId} ${recipient}`);
  }

  /** Reports results of some requests of a batch, as its worker would. */
  report(batch: Batch, share: number): void {
    for (const { envelope, recipients } of batch.requests) {
      if (this.random() > share) continue;
      const fate = this.healthy
        ? 'delivered'
        : this.pick<OutcomeKind | 'down'>('delivered', 'delivered', 'deferred', 'bounced', 'down');
      const kinds = recipients
        .filter(({ index }) => !this.final.has(`${envelope.queueId} ${index}`))
        .map(({ index }) => [index, fate === 'down' ? 'deferred' : fate] as const);
      for (const [index, kind] of kinds) {
        this.record(envelope.queueId, index, kind);
        this.reported.add(`${batch.id} ${envelope.queueId} ${index}`);
      }
      const result = resultOf(batch.id, envelope.queueId, kinds, fate === 'down' ? DOWN : undefined);
      this.core.apply(result, this.nowMs);
      if (this.random() < 0.1) this.core.apply(result, this.nowMs);
    }
  }

  step(): void {
    const batch = this.pick<Batch | undefined>(
      ...([...this.batches.values(), undefined] as [Batch | undefined]),
    );
    const late = this.past.at(-1);
    switch (
      this.pick(
        'end',
        'end',
        'end',
        'part',
        'vanish',
        'late',
        'notified',
        'read',
        'read',
        'time',
        'operator',
        'control',
        'leader',
      )
    ) {
      case 'end':
      case 'vanish':
        if (batch === undefined) break;
        this.report(batch, this.healthy ? 1 : this.pick(1, 1, 0.5));
        this.batches.delete(batch.id);
        this.past.push(batch);
        this.core.apply({ id: '0-1', kind: 'batch-end', batchId: batch.id, returned: [] }, this.nowMs);
        break;
      case 'part':
        if (batch !== undefined) this.report(batch, 0.3);
        break;
      case 'late':
        if (late !== undefined && !this.healthy) this.report(late, 0.5);
        break;
      case 'notified': {
        const request = this.notices.shift();
        if (request === undefined) break;
        // Now and then the daemon dies before it is done with the job, and says it again.
        if (this.random() < 0.1) this.notices.push(request);
        for (const { index } of this.lists.get(request.queueId) ?? []) {
          this.unreported.delete(`${request.queueId} ${index}`);
          if (request.notice === 'expiry') this.final.add(`${request.queueId} ${index}`);
        }
        this.core.apply({ id: '0-1', kind: 'notified', ...request }, this.nowMs);
        break;
      }
      case 'read': {
        const read = this.reads.shift();
        if (read !== undefined) this.answer(read);
        break;
      }
      case 'leader':
        // Each begins its passes anew: with one now and then for ever, a long list that is never served would be read for ever.
        if (!this.healthy && this.random() < 0.05) this.changeLeader();
        break;
      case 'time':
        this.nowMs += Math.floor(this.random() * 400);
        break;
      case 'operator':
        this.operate();
        break;
      case 'control':
        if (this.rules.controls && !this.healthy && this.random() < 0.3) this.control();
        break;
    }
    this.turn();
  }

  operate(): void {
    const command = this.pick('flush', 'hold', 'expire');
    const queueId = this.someone();
    if (this.random() > 0.1 || (this.healthy && command !== 'flush')) return;
    if (command === 'flush') {
      this.core.apply({ id: '0-1', kind: 'command', command }, this.nowMs);
    } else if (queueId !== '') {
      (command === 'hold' ? this.held : this.forced).add(queueId);
      // What it lets go of has no outcome.
      for (const { index } of this.lists.get(queueId) ?? []) this.inMemory.delete(`${queueId} ${index}`);
      this.core.apply({ id: '0-1', kind: 'command', command, queueId }, this.nowMs);
    }
  }
}

/** Here a job was chosen a second time to go before the one that it stood before already, and again, without end. */
const PREEMPTED_TWICE: Rules = {
  history: 1_362_969_815,
  windowLimit: 5,
  processLimit: 5,
  activeLimit: 7,
  batchLimit: 2,
  recipientLimit: 1,
  minimum: 4,
  pool: 4,
  extra: 8,
  refillLimit: 3,
  slotCost: 2,
  cohorts: 2,
  rateDelayMs: 50,
  controls: true,
};

function play(given: Rules): void {
  const world = new World(given);
  for (let steps = 0; steps < 700; steps += 1) world.step();
  // No starvation: once servers are well again, everything leaves (but what no worker serves comes back for ever).
  world.healthy = true;
  const served = ({ envelope }: ActiveMessage): boolean =>
    world.lists.get(envelope.queueId)?.every(({ transport }) => transport !== 'pigeon') === true;
  const waiting = (): boolean =>
    world.incoming.length > 0 ||
    [...world.active.values(), ...world.deferred.map(({ message }) => message)].some(served);
  for (let steps = 0; waiting(); steps += 1) {
    world.step();
    if (steps > 60_000) throw new Error(`${world.active.size} messages are left after ${steps} steps`);
  }
}

test(`every recipient ends once and every message leaves, within all limits (seed ${seed})`, () => {
  fc.assert(fc.property(rules, play), {
    seed,
    numRuns: 60,
    endOnFailure: true,
    examples: [[PREEMPTED_TWICE]],
  });
}, 120_000);
