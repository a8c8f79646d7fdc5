/**
 * Drives the core through a scenario on a virtual clock, with the queue and the fleet played in memory: nothing but the core
 * decides. Every message must leave exactly once, or the run throws.
 */
import type { ActiveMessage, RecipientPage, RoutedRecipient } from '@mailfleet/queue';
import type { Pull } from '../core/admission.ts';
import { Heap, type HeapItem } from '../core/heap.ts';
import { createCore } from '../core/scheduler.ts';
import type { CoreSettings } from '../core/settings.ts';
import type { Turn } from '../core/turn.ts';
import { Fleet } from './fleet.ts';
import { makeScenario, type Scenario, type ScenarioOptions } from './scenario.ts';

/** The leader's turns: what comes within this time is seen at once. */
const TURN_MS = 10;
const LIST = 'list';

export interface Simulation {
  /** From arrival to the first batch, of small mail to destinations that are well, while the list was in the queue. */
  readonly besideListMs: Float64Array;
  /** The same of mail that came before the list. */
  readonly beforeListMs: Float64Array;
  /** From the list's arrival until its last recipient at a destination that is well had its outcome. */
  readonly listMs: number;
  /** Virtual time until the queue was empty. */
  readonly endMs: number;
  readonly batches: number;
  readonly attempts: number;
  readonly mostActive: number;
  readonly mostSessions: number;
  /** Recipients of the list that the core held at a time, at most. */
  readonly mostOfList: number;
}

/** @param sorted ascending */
export function percentile(sorted: Float64Array, percent: number): number {
  return sorted[Math.max(Math.ceil((sorted.length * percent) / 100) - 1, 0)] ?? 0;
}

interface Deferred extends HeapItem {
  readonly queueId: string;
  readonly dueMs: number;
}

/** Throws when a message is lost, leaves twice, or a limit is exceeded. */
export function simulate(options: ScenarioOptions, settings: CoreSettings): Simulation {
  return new World(makeScenario(options), settings).run();
}

class World {
  readonly #scenario: Scenario;
  readonly #core;
  readonly #fleet: Fleet;
  readonly #activeLimit: number;
  #nowMs = 0;
  /** Small messages that arrived, and those of them that were pulled; the list stands between them. */
  #arrived = 0;
  #pulled = 0;
  #listWaits = false;
  #listCame = false;
  readonly #deferred = new Heap<Deferred>((a, b) => a.dueMs < b.dueMs);
  readonly #active = new Set<string>();
  readonly #passes = new Map<string, number>();
  /** When each message was first handed out; NaN before. The list stands behind the small ones. */
  readonly #firstMs: Float64Array;
  readonly #retired: Uint8Array;
  #left: number;
  /** Recipients of the list with a final outcome. */
  readonly #listFinal: Uint8Array;
  #listWell = 0;
  #listEndMs = 0;
  #batches = 0;
  #attempts = 0;
  #mostActive = 0;
  #ofList = 0;
  #mostOfList = 0;

  constructor(scenario: Scenario, settings: CoreSettings) {
    const { messages, list } = scenario.options;
    this.#scenario = scenario;
    this.#activeLimit = settings.activeLimit;
    this.#core = createCore({ settings, shard: 0, fence: 1, term: '1' });
    this.#firstMs = new Float64Array(messages + 1).fill(Number.NaN);
    this.#retired = new Uint8Array(messages + 1);
    this.#left = messages + 1;
    this.#listFinal = new Uint8Array(list);
    for (const to of scenario.listTo) if (scenario.kindOf(to) === 'well') this.#listWell += 1;
    this.#fleet = new Fleet({
      kindOf: (nexthop) => scenario.kindOf(Number(nexthop.slice(1, nexthop.indexOf('.')))),
      firstTriedMs: (queueId) => this.#firstMs[this.#numberOf(queueId)] ?? 0,
    });
  }

  run(): Simulation {
    for (;;) {
      this.#arrive();
      this.#fleet.run(this.#nowMs, (entry) => {
        if (entry.kind === 'result') {
          this.#attempts += 1;
          if (entry.queueId === LIST) this.#noteList(entry.outcomes);
        }
        this.#core.apply(entry, this.#nowMs);
      });
      do {
        this.#pull();
        this.#carryOut(this.#core.takeTurn(this.#nowMs));
      } while (this.#core.dueUnknown || this.#core.nextPull(this.#nowMs) !== undefined);
      if (this.#left === 0) break;
      this.#sleep();
    }
    return {
      ...this.#waits(),
      listMs: this.#listEndMs - this.#scenario.listArrivalMs,
      endMs: this.#nowMs,
      batches: this.#batches,
      attempts: this.#attempts,
      mostActive: this.#mostActive,
      mostSessions: this.#fleet.mostSessions,
      mostOfList: this.#mostOfList,
    };
  }

  #arrive(): void {
    const { messages } = this.#scenario.options;
    const before = this.#arrived;
    while (this.#arrived < messages && this.#scenario.arrivalMs(this.#arrived) <= this.#nowMs)
      this.#arrived += 1;
    if (!this.#listCame && this.#nowMs >= this.#scenario.listArrivalMs) {
      this.#listCame = true;
      this.#listWaits = true;
    }
    if (this.#arrived > before || this.#listWaits) this.#core.apply({ id: '', kind: 'mail' }, this.#nowMs);
  }

  /** A page of messages into the active queue, as in each of the leader's turns. */
  #pull(): void {
    if (this.#core.dueUnknown) this.#core.setDue(this.#deferred.peek()?.dueMs, this.#nowMs);
    const pull = this.#core.nextPull(this.#nowMs);
    if (pull === undefined) return;
    const messages = this.#take(pull);
    for (const { envelope } of messages) this.#active.add(envelope.queueId);
    this.#core.pulled(pull, messages, this.#nowMs);
  }

  #take({ source, count }: Pull): ActiveMessage[] {
    const taken: ActiveMessage[] = [];
    while (taken.length < count) {
      if (source === 'deferred') {
        const next = this.#deferred.peek();
        if (next === undefined || next.dueMs > this.#nowMs) break;
        this.#deferred.remove(next);
        taken.push(this.#message(next.queueId));
      } else if (this.#listWaits) {
        this.#listWaits = false;
        taken.push(this.#message(LIST));
      } else {
        if (this.#pulled === this.#arrived) break;
        taken.push(this.#message(String(this.#pulled)));
        this.#pulled += 1;
      }
    }
    return taken;
  }

  #carryOut({ batches, locals, conclusions, reads }: Turn): void {
    for (const { queueId, outcomes } of locals) if (queueId === LIST) this.#noteList(outcomes);
    for (const batch of batches) {
      this.#batches += 1;
      for (const { envelope } of batch.requests) {
        const number = this.#numberOf(envelope.queueId);
        if (Number.isNaN(this.#firstMs[number])) this.#firstMs[number] = this.#nowMs;
      }
      this.#fleet.start(batch, this.#nowMs);
    }
    for (const conclusion of conclusions) {
      if (conclusion.kind !== 'retire' && conclusion.kind !== 'defer')
        throw new Error('nothing asks for a notice');
      const { queueId } = conclusion;
      if (!this.#active.delete(queueId)) throw new Error(`${queueId} was concluded and is not active`);
      if (conclusion.kind === 'defer') {
        this.#passes.set(queueId, (this.#passes.get(queueId) ?? 0) + 1);
        this.#deferred.add({ queueId, dueMs: conclusion.dueMs, heapIndex: -1 });
        continue;
      }
      if (this.#retired[this.#numberOf(queueId)] === 1) throw new Error(`${queueId} was retired twice`);
      this.#retired[this.#numberOf(queueId)] = 1;
      this.#passes.delete(queueId);
      this.#left -= 1;
    }
    for (const { queueId, after, count } of reads) {
      this.#core.recipientsRead(queueId, this.#read(after, count), this.#nowMs);
    }
    this.#mostActive = Math.max(this.#mostActive, this.#active.size);
    if (this.#active.size > this.#activeLimit) throw new Error('the active limit is exceeded');
    if (reads.length > 0) this.#carryOut(this.#core.takeTurn(this.#nowMs));
  }

  /** To the next turn that has something to do. */
  #sleep(): void {
    const { messages } = this.#scenario.options;
    const nextMs = Math.min(
      this.#fleet.nextMs ?? Number.POSITIVE_INFINITY,
      this.#core.nextTimerMs() ?? Number.POSITIVE_INFINITY,
      this.#arrived < messages ? this.#scenario.arrivalMs(this.#arrived) : Number.POSITIVE_INFINITY,
      this.#listCame ? Number.POSITIVE_INFINITY : this.#scenario.listArrivalMs,
    );
    if (!Number.isFinite(nextMs)) throw new Error(`${this.#left} messages wait for nothing`);
    this.#nowMs = Math.max(this.#nowMs + 1, Math.ceil(nextMs / TURN_MS) * TURN_MS);
  }

  #numberOf(queueId: string): number {
    return queueId === LIST ? this.#scenario.options.messages : Number(queueId);
  }

  #noteList(outcomes: readonly { readonly recipient: number; readonly kind: string }[]): void {
    this.#ofList -= outcomes.length;
    for (const { recipient, kind } of outcomes) {
      if (kind === 'deferred') continue;
      if (this.#listFinal[recipient] === 1)
        throw new Error(`recipient ${recipient} of the list had two outcomes`);
      this.#listFinal[recipient] = 1;
      if (this.#scenario.kindOf(this.#scenario.listTo[recipient] ?? 0) !== 'well') continue;
      this.#listWell -= 1;
      if (this.#listWell === 0) this.#listEndMs = this.#nowMs;
    }
  }

  #message(queueId: string): ActiveMessage {
    const { listArrivalMs, messageTo, options } = this.#scenario;
    const number = this.#numberOf(queueId);
    const isList = queueId === LIST;
    const arrivalMs = isList ? listArrivalMs : this.#scenario.arrivalMs(number);
    return {
      envelope: { queueId, sender: 'a@example.org', sizeBytes: 4096, arrivalMs, createdMs: arrivalMs },
      recipients: isList ? [] : [recipientAt(0, messageTo[number] ?? 0)],
      unread: isList ? options.list : 0,
      recipientCount: isList ? options.list : 1,
      contentShard: 0,
      activatedMs: this.#nowMs,
      pass: this.#passes.get(queueId) ?? 0,
      warned: false,
      held: false,
      forcedExpire: false,
      unreported: [],
      unreportedSuccess: [],
    };
  }

  #read(after: number, count: number): RecipientPage {
    const { listTo } = this.#scenario;
    const recipients: RoutedRecipient[] = [];
    let last = after;
    while (recipients.length < count && last + 1 < listTo.length) {
      last += 1;
      if (this.#listFinal[last] === 0) recipients.push(recipientAt(last, listTo[last] ?? 0));
    }
    this.#ofList += recipients.length;
    this.#mostOfList = Math.max(this.#mostOfList, this.#ofList);
    return {
      recipients,
      after: last,
      unread: listTo.length - 1 - last,
      unreported: [],
      unreportedSuccess: [],
    };
  }

  #waits(): Pick<Simulation, 'besideListMs' | 'beforeListMs'> {
    const { listArrivalMs, messageTo, options } = this.#scenario;
    const beside: number[] = [];
    const before: number[] = [];
    for (let message = 0; message < options.messages; message += 1) {
      if (this.#scenario.kindOf(messageTo[message] ?? 0) !== 'well') continue;
      const arrivalMs = this.#scenario.arrivalMs(message);
      const waitedMs = (this.#firstMs[message] ?? 0) - arrivalMs;
      if (arrivalMs < listArrivalMs) before.push(waitedMs);
      else if (arrivalMs < this.#listEndMs) beside.push(waitedMs);
    }
    return { besideListMs: Float64Array.from(beside).sort(), beforeListMs: Float64Array.from(before).sort() };
  }
}

function recipientAt(index: number, destination: number): RoutedRecipient {
  const nexthop = `d${destination}.example`;
  return { index, address: `u${index}@${nexthop}`, transport: 'smtp', nexthop };
}
