/**
 * The workers of the simulator: a batch that was handed out holds a session until its last request is done. Times are those of
 * common servers: a connection takes 100 ms, a transaction 50 ms and 2 ms for each recipient.
 */
import type { InboxEntry } from '@mailfleet/queue';
import type { Batch, HopStatus, OutcomeKind } from '@mailfleet/smtp';
import { Heap, type HeapItem } from '../core/heap.ts';
import { BACK_MS, type DestinationKind, GREYLIST_MS } from './scenario.ts';

const CONNECT_MS = 100;
const TRANSACTION_MS = 50;
const RECIPIENT_MS = 2;
const SLOW_TRANSACTION_MS = 2_000;
const CONNECT_TIMEOUT_MS = 30_000;

const REFUSED: HopStatus = { status: '4.4.1', reason: 'Connection refused' };
const TIMED_OUT: HopStatus = { status: '4.4.1', reason: 'Connection timed out' };

/** A batch under way. */
interface Session extends HeapItem {
  readonly batch: Batch;
  readonly kind: DestinationKind;
  /** Requests done. */
  done: number;
  /** When the next one is. */
  dueMs: number;
}

export interface FleetOptions {
  kindOf(nexthop: string): DestinationKind;
  /** When the message was tried first. */
  firstTriedMs(queueId: string): number;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #sessions = new Heap<Session>((a, b) => a.dueMs < b.dueMs);
  mostSessions = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  get nextMs(): number | undefined {
    return this.#sessions.peek()?.dueMs;
  }

  start(batch: Batch, nowMs: number): void {
    const kind = this.#options.kindOf(batch.nexthop);
    const session: Session = { batch, kind, done: 0, dueMs: 0, heapIndex: -1 };
    session.dueMs = nowMs + (this.#isDown(session, nowMs) ? downMs(kind) : CONNECT_MS + durationMs(session));
    this.#sessions.add(session);
    this.mostSessions = Math.max(this.mostSessions, this.#sessions.size);
  }

  /** Hands out what workers report up to `nowMs`. */
  run(nowMs: number, report: (entry: InboxEntry) => void): void {
    for (let session = this.#sessions.peek(); session !== undefined; session = this.#sessions.peek()) {
      if (session.dueMs > nowMs) return;
      const { batch } = session;
      // A worker that cannot connect gives back what it did not try.
      const down = this.#isDown(session, session.dueMs);
      report(resultOf(session, down, this.#outcome(session)));
      session.done += 1;
      if (down || session.done === batch.requests.length) {
        this.#sessions.remove(session);
        const returned = batch.requests.slice(session.done).map(({ envelope }) => envelope.queueId);
        report({ id: '', kind: 'batch-end', batchId: batch.id, returned });
      } else {
        session.dueMs += durationMs(session);
        this.#sessions.update(session);
      }
    }
  }

  #isDown({ kind }: Session, nowMs: number): boolean {
    return (kind === 'refusing' || kind === 'silent') && nowMs < BACK_MS;
  }

  #outcome({ kind, batch, done, dueMs }: Session): OutcomeKind {
    if (kind !== 'greylisting') return 'delivered';
    const firstMs = this.#options.firstTriedMs(batch.requests[done]?.envelope.queueId ?? '');
    return dueMs - firstMs < GREYLIST_MS ? 'deferred' : 'delivered';
  }
}

function downMs(kind: DestinationKind): number {
  return kind === 'silent' ? CONNECT_TIMEOUT_MS : CONNECT_MS;
}

function durationMs({ kind, batch, done }: Session): number {
  const recipients = batch.requests[done]?.recipients.length ?? 0;
  return (kind === 'slow' ? SLOW_TRANSACTION_MS : TRANSACTION_MS) + recipients * RECIPIENT_MS;
}

function resultOf({ batch, done, kind }: Session, down: boolean, outcome: OutcomeKind): InboxEntry {
  const { envelope, recipients } = batch.requests[done] ?? { envelope: { queueId: '' }, recipients: [] };
  const fate = down ? 'deferred' : outcome;
  return {
    id: '',
    kind: 'result',
    batchId: batch.id,
    queueId: envelope.queueId,
    outcomes: recipients.map(({ index }) => ({ recipient: index, kind: fate })),
    reason: '',
    ...(down ? { hopStatus: kind === 'silent' ? TIMED_OUT : REFUSED } : {}),
  };
}
