/**
 * What each daemon may ask of the queue, one narrow port per role; the operator's are in operator-ports.ts. `openQueue` returns an object that
 * implements all of them over Redis and BullMQ; tests of a daemon's pure parts pass plain functions.
 *
 * Every write that changes a message's state is one script on one shard (see docs/architecture.md, Redis), and
 * repeating a write changes nothing. Every list is paged.
 */
import type {
  Batch,
  Envelope,
  HopStatus,
  Outcome,
  Recipient,
  RequestResult,
  TimelineStep,
} from '@mailfleet/smtp';
import type { Queue as BullQueue } from 'bullmq';
import type {
  ControlChange,
  DestinationControl,
  DestinationName,
  LeaderAnswer,
  Subject,
} from './destination-ports.ts';
import type { RunScript, Script } from './scripts/script.ts';

/** A recipient with its route. */
export interface RoutedRecipient extends Recipient {
  readonly transport: string;
  readonly nexthop: string;
}

/** Content that is stored or about to be: whole when small, a durable file (name inside the content folder) when large. */
export type Content =
  | { readonly kind: 'inline'; readonly bytes: Buffer }
  | { readonly kind: 'file'; readonly name: string; readonly sizeBytes: number };

export interface NewMessage {
  readonly envelope: Envelope;
  readonly recipients: readonly RoutedRecipient[];
  readonly content: Content;
  /** Into the hold queue instead of incoming. */
  readonly hold?: boolean;
  /**
   * A notice of ours: it waits among what is deferred, due at once. That takes turns with new mail for places in the active queue, so
   * that a storm of bounces does not stand before it.
   */
  readonly notice?: boolean;
  /**
   * Remember the queue id this long, even when the message was delivered and retired meanwhile. For a queue id that
   * is derived (a notice) or claimed (an idempotency key), so that a repeated accept finds it.
   */
  readonly rememberMs?: number;
  /**
   * Wall clock (ms) up to which the message may be accepted; afterwards, or at once while Redis is away, `accept` rejects. For a
   * client that is told to come again by then: what is accepted later would be a second copy.
   */
  readonly latestMs?: number;
}

/** Intake's port. */
export interface IntakePort {
  newQueueId(): string;
  /**
   * Takes in content as it arrives: up to `content_inline_limit` bytes stay in memory, more goes to a file that is
   * synced before this returns. Whoever does not `accept` the result calls `dropContent`.
   */
  spoolContent(source: AsyncIterable<Uint8Array>): Promise<Content>;
  dropContent(content: Content): Promise<void>;
  /** What `spoolContent` answered with, read back before anybody accepts it. Rejects when its file is gone. */
  readSpooled(content: Content): Promise<AsyncIterable<Uint8Array>>;
  /**
   * Durable when it resolves. `exists`: this queue id was accepted before, nothing was changed; also the answer when
   * a connection was lost after the commit and the call was repeated, so both answers mean that the message is safe.
   */
  accept(message: NewMessage): Promise<'accepted' | 'exists'>;
  /** Remembers an idempotency key for a time: returns the queue id first stored under it, ours or an earlier one. */
  claimIdempotencyKey(key: string, queueId: string, ttlMs: number): Promise<string>;
}

/** Outcomes that the scheduler itself decided. */
export interface LocalResult extends RequestResult {
  /** A recipient that has an outcome of an earlier attempt keeps that. */
  readonly onlyUntried?: boolean;
  /** Delivered recipients whose sender is to hear of it. */
  readonly wantsSuccess?: readonly number[];
}

/** Proof of leadership of a shard; every leader write carries it and is refused once another holds the lease. */
export interface Lease {
  readonly shard: number;
  readonly fence: number;
}

/** A message as the leader sees it when it enters the active queue: open recipients only. */
export interface ActiveMessage {
  readonly envelope: Envelope;
  /** None of a long list: the leader reads it in pages. */
  readonly recipients: readonly RoutedRecipient[];
  /** Recipients of this shard that are not in `recipients`, open or not; readRecipients has them. */
  readonly unread: number;
  /** Recipients of this shard in all, open or not. */
  readonly recipientCount: number;
  readonly contentShard: number;
  readonly activatedMs: number;
  /** Passes begun before this one. */
  readonly pass: number;
  /** A delay warning was sent. */
  readonly warned: boolean;
  /** An operator put it on hold: it goes there at the end of the pass. */
  readonly held: boolean;
  /** An operator expired it. */
  readonly forcedExpire: boolean;
  /** Recipients bounced in an earlier pass whose notice was not posted (recovery). */
  readonly unreported: readonly number[];
  /** The same of recipients delivered whose sender asked to hear of it. */
  readonly unreportedSuccess: readonly number[];
}

/** Some recipients of a message, in the order of their indexes: those that are still open. */
export interface RecipientPage {
  readonly recipients: readonly RoutedRecipient[];
  /** Index of the last recipient looked at, where the next page goes on. */
  readonly after: number;
  /** Recipients behind that one, open or not. */
  readonly unread: number;
  /** As in ActiveMessage, of those looked at. */
  readonly unreported: readonly number[];
  readonly unreportedSuccess: readonly number[];
}

export type InboxEntry = { readonly id: string } & (
  | {
      readonly kind: 'result';
      readonly batchId: string;
      readonly queueId: string;
      readonly outcomes: readonly { readonly recipient: number; readonly kind: Outcome['kind'] }[];
      readonly hopStatus?: HopStatus;
      /** Last recorded reason, for explain and for a dead destination's text. */
      readonly reason: string;
    }
  /** Incoming is no longer empty, or (`deferred`) something is due in deferred before all else there. */
  | { readonly kind: 'mail'; readonly deferred?: boolean }
  /** The worker is done with the batch. `returned` requests were never tried; they go back unpenalised. */
  | { readonly kind: 'batch-end'; readonly batchId: string; readonly returned: readonly string[] }
  /** A request to the bounce daemon is fulfilled; the rest says which. */
  | ({ readonly kind: 'notified' } & Pick<NoticeRequest, 'queueId' | 'pass' | 'notice' | 'term'>)
  /** An operator set or lifted something on a destination. */
  | { readonly kind: 'control'; readonly change: ControlChange }
  /** Someone waits for the leader's answer under this name. */
  | { readonly kind: 'ask'; readonly question: string; readonly subject: Subject }
  /** What an operator did or asks: about a message, about destinations by their nexthop, or about all. */
  | {
      readonly kind: 'command';
      readonly command: 'flush' | 'release' | 'reload' | 'hold' | 'delete' | 'expire';
      readonly queueId?: string;
      readonly nexthops?: readonly string[];
    }
);

/** Messages that were found beyond their lifetime. */
export interface ExpiredMessages {
  /** From incoming and deferred, now in active: the leader returns them. */
  readonly taken: readonly ActiveMessage[];
  /** Queue ids of those that stand in active. */
  readonly active: readonly string[];
  /** Queue ids of those on hold; they are not named again before their release. */
  readonly held: readonly string[];
  /** How many the index named; fewer than asked for means that it names no more. */
  readonly looked: number;
}

/** What the leader decides at the end of a message's pass. */
export type Conclusion =
  | { readonly kind: 'retire'; readonly queueId: string }
  | { readonly kind: 'defer'; readonly queueId: string; readonly dueMs: number }
  /** Back to incoming at once, e.g. recovered after a change of leader. */
  | { readonly kind: 'requeue'; readonly queueId: string }
  | { readonly kind: 'notice'; readonly request: NoticeRequest };

/** A request to the bounce daemon; `failure` reads the bounce log, `expiry` the deferred recipients' last outcomes. */
export interface NoticeRequest {
  readonly shard: number;
  readonly queueId: string;
  readonly pass: number;
  readonly notice: 'failure' | 'expiry' | 'delay' | 'success';
  /**
   * Names the leader that asks. The next one asks anew, perhaps about more recipients: its request is another job, and
   * the answer to this one does not end its wait.
   */
  readonly term: string;
  readonly traceparent?: string;
}

/** A session's transcript for the postmaster, whom `notify_classes` names; nobody waits for it. No content, no secret. */
export interface TranscriptNotice {
  readonly shard: number;
  readonly notice: 'transcript';
  /** Message that it happened to; absent: a session of the intake. */
  readonly queueId?: string;
  /** Queue id that the notice gets, also when the request is run twice. */
  readonly noticeQueueId: string;
  /** The classes of its errors that are told. */
  readonly classes: readonly string[];
  /** `smtp`, `lmtp`, or `smtpd` of the intake. */
  readonly program: string;
  /** `name[address]:port` of the other side. */
  readonly peer: string;
  readonly lines: readonly string[];
  readonly atMs: number;
  readonly traceparent?: string;
}

/** Another scheduler leads the shard: stop leading it. Thrown by every call that takes a lease, except the lease calls. */
export class LeaseLostError extends Error {
  readonly code = 'LEASE_LOST';
  readonly shard: number;

  constructor(shard: number) {
    super(`another scheduler leads shard ${shard} now`);
    this.shard = shard;
  }
}

/** The scheduler's port. */
export interface SchedulerPort {
  acquireLease(shard: number, holder: string, ttlMs: number): Promise<Lease | undefined>;
  /** False: the lease is lost, stop leading. */
  renewLease(lease: Lease, holder: string, ttlMs: number): Promise<boolean>;
  releaseLease(lease: Lease, holder: string): Promise<void>;
  /** Who leads a shard, and for how long unless it renews. */
  leaseState(shard: number): Promise<{ readonly holder: string; readonly leftMs: number } | undefined>;
  /** One page of what operators have set on destinations of a shard; `''` begins and ends. */
  controlsPage(
    shard: number,
    cursor: string,
  ): Promise<{ readonly cursor: string; readonly controls: readonly DestinationControl[] }>;
  /** Sites that workers told of these nexthops of the shard, in their order; undefined for one that nobody told of lately. */
  sitesOf(shard: number, names: readonly DestinationName[]): Promise<readonly (string | undefined)[]>;
  /** Makes the deferred messages due that would be at exactly `dueMs`; repeatable. */
  wake(lease: Lease, dueMs: number, nowMs: number): Promise<void>;
  /** Answers an `ask` of the inbox. */
  answer(lease: Lease, question: string, answer: LeaderAnswer): Promise<void>;
  /** Moves up to `count` due messages to active and returns them, oldest due first. */
  activate(
    lease: Lease,
    source: 'incoming' | 'deferred',
    count: number,
    nowMs: number,
  ): Promise<readonly ActiveMessage[]>;
  /** Due time of the first deferred message, to set a timer by; what stands in incoming is always due. */
  nextDueMs(shard: number): Promise<number | undefined>;
  /** First time (ms) at which a lifetime may end, to set a timer by. */
  nextExpiryMs(shard: number): Promise<number | undefined>;
  /**
   * Looks at up to `count` messages whose lifetime ended by the index, which only tells when to look: `endOfLifetimeMs` decides. Rejects
   * when its answer is lost, as `activate` does.
   */
  takeExpired(
    lease: Lease,
    count: number,
    nowMs: number,
    endOfLifetimeMs: (envelope: Envelope) => number,
  ): Promise<ExpiredMessages>;
  /** One page of what stands in active, for recovery after a change of leader; `''` begins and ends. A message may come twice. */
  activePage(lease: Lease, cursor: string): Promise<{ cursor: string; messages: readonly ActiveMessage[] }>;
  /**
   * Up to `count` open recipients of a message behind the one with index `after` (-1 is the beginning). May hold fewer, or none, while
   * there are more: then the next call goes on. A message that is gone has none.
   */
  readRecipients(shard: number, queueId: string, after: number, count: number): Promise<RecipientPage>;
  /** Entries after `after` ('0' for all unapplied), waiting up to `blockMs` for the first. */
  readInbox(shard: number, after: string, blockMs: number): Promise<readonly InboxEntry[]>;
  /**
   * Applies conclusions and removes inbox entries up to and including `through`, in one script. A conclusion on a
   * message that is not in active changes nothing; one that an operator put on hold meanwhile goes there instead.
   */
  conclude(lease: Lease, conclusions: readonly Conclusion[], through: string | undefined): Promise<void>;
  /** Records outcomes that the scheduler itself decided (dead destination, no transport), as a worker would. */
  recordLocal(lease: Lease, result: LocalResult): Promise<void>;
  /**
   * Adds batches that are not there yet. Rejects when Redis is away or its answer is lost: then they may have been added, which
   * outstandingBatches tells; the same of `activate` and activePage. BullMQ wants ids that are no plain number and hold no colon.
   */
  addBatches(batches: readonly Batch[]): Promise<void>;
  /** Batches that wait in BullMQ or are with a worker, after a change of leader. */
  outstandingBatches(shard: number): Promise<readonly Batch[]>;
  /** Takes batches that no worker has begun back from BullMQ; returns those. */
  recallBatches(shard: number, batchIds: readonly string[]): Promise<readonly string[]>;
  /** Of these batch ids, those that BullMQ no longer holds as waiting or running: their worker vanished without a word. */
  vanishedBatches(shard: number, batchIds: readonly string[]): Promise<readonly string[]>;
  /** Gives batches that were meant for a worker (`Batch.worker`) to all when it is not heard of any more; returns how many. */
  takeBackBatches(lease: Lease): Promise<number>;
  /**
   * Repeats interrupted copies of parts to other shards that are older than `ageMs`, and settles with the home shards
   * of retired parts; returns how many copies it repeated. For a timer of a minute or so.
   */
  finishFanout(lease: Lease, ageMs: number): Promise<number>;
  /** Removes content files older than `ageMs` (a day or so) that no message names; returns how many. */
  sweepContent(ageMs: number): Promise<number>;
}

/** A batch in a worker's hands. */
export interface ClaimedBatch {
  readonly batch: Batch;
  /** Times this batch was handed out before (a worker died or stalled). */
  readonly handedOutBefore: number;
  /** Aborts when the job's lock is lost or the process drains: finish the transaction in flight, return the rest. */
  readonly signal: AbortSignal;
  /**
   * Gives the batch to another worker's own queue; only before anything of it was begun. True: nothing of it may be begun or recorded here
   * any more. False: that worker does not take it. Absent for a batch that was given to a worker before, or handed out before.
   */
  readonly handOver?: (worker: string) => Promise<boolean>;
}

/** For those who hold sessions. */
export interface TranscriptPort {
  /** Asks for a notice to the postmaster. Rejects when it cannot be asked for now: then there is none. */
  requestTranscript(notice: Omit<TranscriptNotice, 'noticeQueueId'>): Promise<void>;
}

/** The worker's port. */
export interface WorkerPort {
  /**
   * Runs `deliver` for each batch, up to `sessions` at a time; resolves when `signal` aborted and all came home. With `ownBatches` also
   * for those that name this worker.
   */
  work(
    options: {
      readonly sessions: number;
      readonly signal: AbortSignal;
      readonly name: string;
      readonly ownBatches?: boolean;
      /** Called every few seconds while batches are taken, none waits, or no session is free. */
      readonly progress?: () => void;
    },
    deliver: (claimed: ClaimedBatch) => Promise<{ readonly returned: readonly string[] }>,
  ): Promise<void>;
  /**
   * Content of a request as a stream of chunks (one chunk when inline); undefined: it is gone. Concurrent calls share a pipeline.
   * Rejects with a sentence when it is a file that cannot be opened: this process may just not see the folder.
   */
  content(request: Batch['requests'][number]): Promise<AsyncIterable<Uint8Array> | Buffer | undefined>;
  /** Recipients of the request that are still open and whether an earlier attempt left it in doubt: asked when a batch was handed out before. */
  openRecipients(
    batch: Batch,
    request: Batch['requests'][number],
  ): Promise<{ readonly open: readonly number[]; readonly inDoubt: boolean }>;
  /** Remembers for a day which site a nexthop is of. */
  reportSite(name: DestinationName, site: string): Promise<void>;
  /** Written, not awaited, just before the final dot. */
  markInDoubt(batch: Batch, queueId: string, recipients: readonly number[]): void;
  /** Durable when it resolves. Recipients that were final already are left alone and counted as duplicates. */
  record(batch: Batch, result: RequestResult): Promise<{ readonly duplicates: number }>;
}

/** Bounce log and deferred outcomes of a message, for a notice. */
export interface NoticeMaterial {
  readonly envelope: Envelope;
  /** The sender was warned of the delay before. */
  readonly warned: boolean;
  readonly entries: readonly { readonly recipient: Recipient; readonly outcome: Outcome }[];
  readonly content: AsyncIterable<Uint8Array> | Buffer | undefined;
}

/** The bounce daemon's port. */
export interface BouncePort {
  workNotices(
    options: {
      readonly signal: AbortSignal;
      readonly name: string;
      /** Called every few seconds while requests are taken or none waits. */
      readonly progress?: () => void;
    },
    handle: (request: NoticeRequest) => Promise<void>,
    handleTranscript?: (notice: TranscriptNotice) => Promise<void>,
  ): Promise<void>;
  noticeMaterial(request: NoticeRequest): Promise<NoticeMaterial | undefined>;
  /**
   * Removes the entries of the `reported` recipients (those of the material) from the log (expiry: marks them final)
   * and tells the leader; repeatable. An entry that came after the material was read stays for another notice.
   */
  noticePosted(request: NoticeRequest, step: TimelineStep, reported: readonly number[]): Promise<void>;
}

/** For the other package of the state layer: runs its scripts over a connection of this process. */
export interface ScriptPort {
  /**
   * A runner of these scripts; their keys begin with the `prefix` of their shard. A call rejects when its answer is lost or Redis is away: then
   * it may have been carried out.
   */
  openScripts(scripts: readonly Script[]): RunScript;
  /** What the keys of a shard begin with, hash tag included, and the list of workers that take batches of their own. */
  scriptKeys(shard: number): { readonly prefix: string; readonly workers: string };
}

/** The job dashboard's port. */
export interface BoardPort {
  /**
   * The BullMQ queues of all shards for bull-board to show. They live and close with the queue object: the caller
   * neither closes them nor adds jobs to them.
   */
  boardQueues(): Promise<readonly BullQueue[]>;
}
