/**
 * Random histories: messages arrive, results of every kind come in any order, twice or late, batches end half done or
 * vanish, time passes, operators hold, release and expire. Run with SEED=<number> to repeat one that failed.
 */
import type { ActiveMessage, NoticeRequest } from '@mailfleet/queue';
import type { Batch, OutcomeKind } from '@mailfleet/smtp';
import { test } from 'vitest';
import { makeMessage, makeSettings, resultOf } from './fixture.ts';
import { createCore } from './scheduler.ts';
import type { Turn } from './turn.ts';

const firstSeed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const HISTORIES = process.env.SEED === undefined ? 40 : 1;
const MESSAGES = 200;
const WINDOW_LIMIT = 4;
const PROCESS_LIMIT = 9;
const ACTIVE_LIMIT = 50;
const DOWN = { status: '4.4.1', reason: 'down' };

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function check(holds: boolean, promise: string): void {
  if (!holds) throw new Error(`broken: ${promise}`);
}

/** The queue and the workers as the core sees them. */
class World {
  readonly random: () => number;
  readonly core;
  nowMs = 0;
  readonly incoming: ActiveMessage[] = [];
  deferred: { readonly message: ActiveMessage; readonly dueMs: number }[] = [];
  readonly active = new Map<string, ActiveMessage>();
  readonly retired = new Set<string>();
  readonly notices: NoticeRequest[] = [];
  readonly batches = new Map<string, Batch>();
  /** Ended batches, whose words may still come. */
  readonly past: Batch[] = [];
  /** Recipients with a final outcome, as the queue keeps them. */
  readonly final = new Set<string>();
  /** Batch, message and index of recipients whose outcome was reported: no longer in that batch's hand. */
  readonly reported = new Set<string>();
  /** Messages that an operator held: they come back as due as they were. */
  readonly held = new Set<string>();
  healthy = false;

  constructor(seed: number) {
    this.random = randomFrom(seed);
    const settings = makeSettings(
      { activeLimit: ACTIVE_LIMIT, batchLimit: 5, minimalBackoffMs: 1000, maximalBackoffMs: 2000 },
      {
        window: { initial: 2, limit: WINDOW_LIMIT },
        recipientLimit: 2,
        processLimit: PROCESS_LIMIT,
        destinationRateDelayMs: seed % 4 === 0 ? 50 : 0,
        preemption: { slotCost: 2, slotLoan: 1, slotDiscount: 50, minimumSlots: 1 },
      },
    );
    this.core = createCore({ settings, shard: 0, fence: 1, term: '1' });
    for (let id = 0; id < MESSAGES; id += 1) {
      const recipients = Array.from({ length: this.pick(1, 1, 1, 2, 9) }, () => this.address());
      this.incoming.push(makeMessage(`m${id}`, recipients));
    }
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
    check(this.active.size <= ACTIVE_LIMIT, 'the active queue is within its limit');
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
    return taken.map((message) => ({
      ...message,
      activatedMs: this.nowMs,
      recipients: message.recipients.filter(
        ({ index }) => !this.final.has(`${message.envelope.queueId} ${index}`),
      ),
    }));
  }

  carryOut(turn: Turn): void {
    for (const { queueId, outcomes } of turn.locals) {
      for (const { recipient, kind } of outcomes) this.record(queueId, recipient, kind);
    }
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
      if (conclusion.kind === 'defer') {
        const released = this.held.delete(conclusion.queueId);
        check(released || conclusion.dueMs >= this.nowMs + 1000, 'a retry keeps its distance');
        this.deferred.push({ message: { ...message, pass: message.pass + 1 }, dueMs: conclusion.dueMs });
      } else {
        this.retired.add(conclusion.queueId);
        for (const { index } of message.recipients)
          check(this.final.has(`${conclusion.queueId} ${index}`), 'a retired message has no open recipient');
      }
    }
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
      const destination = `${transport}:${nexthop}`;
      slots.set(destination, (slots.get(destination) ?? 0) + 1);
      perTransport.set(transport, (perTransport.get(transport) ?? 0) + 1);
      check(requests.length <= 5, 'a batch is within its limit');
      for (const { envelope, recipients } of requests) {
        check(recipients.length <= 2, 'a request is within its recipient limit');
        for (const { index } of recipients) {
          const recipient = `${envelope.queueId} ${index}`;
          if (this.reported.has(`${id} ${recipient}`)) continue;
          check(!inHand.has(recipient), `${recipient} is in one hand`);
          inHand.add(recipient);
        }
      }
    }
    for (const count of slots.values()) check(count <= WINDOW_LIMIT, 'the window holds');
    for (const count of perTransport.values()) check(count <= PROCESS_LIMIT, 'the process limit holds');
  }

  record(queueId: string, recipient: number, kind: OutcomeKind): void {
    if (kind !== 'deferred') this.final.add(`${queueId} ${recipient}`);
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
    switch (this.pick('end', 'end', 'end', 'part', 'vanish', 'late', 'notified', 'time', 'operator')) {
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
        if (request.notice === 'expiry')
          for (const { index } of this.active.get(request.queueId)?.recipients ?? [])
            this.final.add(`${request.queueId} ${index}`);
        this.core.apply({ id: '0-1', kind: 'notified', ...request }, this.nowMs);
        break;
      }
      case 'time':
        this.nowMs += Math.floor(this.random() * 400);
        break;
      case 'operator':
        this.operate();
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
      if (command === 'hold') this.held.add(queueId);
      this.core.apply({ id: '0-1', kind: 'command', command, queueId }, this.nowMs);
    }
  }
}

test(`every message is concluded exactly once within its limits, whatever happens (SEED=${firstSeed})`, () => {
  for (let seed = firstSeed; seed < firstSeed + HISTORIES; seed += 1) {
    const world = new World(seed);
    try {
      for (let steps = 0; steps < 800; steps += 1) world.step();
      // No starvation: once servers are well again, everything leaves (but what no worker serves comes back for ever).
      world.healthy = true;
      const served = (message: ActiveMessage): boolean =>
        message.recipients.every(({ transport }) => transport !== 'pigeon');
      let steps = 0;
      const waiting = (): boolean =>
        world.incoming.length > 0 ||
        [...world.active.values(), ...world.deferred.map(({ message }) => message)].some(served);
      while (waiting()) {
        world.step();
        steps += 1;
        if (steps > 20_000) throw new Error(`${world.active.size} messages are left after ${steps} steps`);
      }
    } catch (error) {
      throw new Error(`SEED=${seed}: ${String(error)}`, { cause: error });
    }
  }
});
