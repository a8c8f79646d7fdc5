/**
 * What operators may set on a destination for a time, and what is asked and answered about why mail waits. Part of the
 * ports (ports.ts); the leader's half of an explanation is its memory, which nobody else can see.
 */
import type { HopStatus } from '@mailfleet/smtp';
import type { QueueName } from './operator-ports.ts';
import type { NoticeRequest } from './ports.ts';

/** A destination as routing names it: transport, and nexthop in lower case. */
export interface DestinationName {
  readonly transport: string;
  readonly nexthop: string;
}

/** What can be set: a pause, another concurrency limit, another rate delay (ms). */
export type ControlKind = 'pause' | 'concurrency-limit' | 'rate-delay';

/** Set by an operator on a destination; ends by itself. */
export interface DestinationControl extends DestinationName {
  readonly kind: ControlKind;
  /** The limit, or the delay in ms; 0 for a pause. */
  readonly value: number;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** The operator's words, shown wherever the mail is. */
  readonly reason: string;
}

/** A control was set, replaced or lifted. */
export interface ControlChange extends DestinationName {
  readonly kind: ControlKind;
  /** Absent: lifted. */
  readonly control?: DestinationControl;
  /** When the one before would have ended, if there was one. */
  readonly previousUntilMs?: number;
}

/** Whom a question to the leader is about. */
export type Subject =
  | { readonly queueId: string; readonly destination?: undefined }
  | { readonly queueId?: undefined; readonly destination: DestinationName };

/** A destination in the leader's memory, which holds those that have mail in the active queue, are dead or pause. */
export interface DestinationState extends DestinationName {
  /** Batches that may be under way at once; 0 while it is dead. */
  readonly window: number;
  /** What the window may grow to; 0 is without limit. */
  readonly limit: number;
  /** Batches under way. */
  readonly busy: number;
  /** Delivery requests that wait for a batch. */
  readonly waiting: number;
  readonly rateDelayMs: number;
  /** End of the rate delay after the last delivery. */
  readonly suspendedUntilMs?: number;
  readonly dead?: HopStatus & { readonly untilMs: number };
  /** What the last delivery request ended with. */
  readonly lastReply?: { readonly reason: string; readonly atMs: number };
  readonly transportState: {
    readonly busy: number;
    readonly processLimit: number;
    readonly rateDelayMs: number;
    /** End of the transport's rate delay. */
    readonly suspendedUntilMs?: number;
  };
}

/** What keeps a waiting delivery request from its batch; `turn`: nothing, its batch is cut now. */
export type Hindrance = 'rate-delay' | 'window' | 'transport-rate-delay' | 'process-limit' | 'turn';

/** One destination of a message in the active queue. */
export interface MessageAtDestination {
  readonly destination: DestinationState;
  /** Recipients that wait for a batch, and why. */
  readonly waiting: number;
  readonly hindrance: Hindrance;
  /** Delivery requests of other messages that come first. */
  readonly ahead: number;
  /** Recipients in batches, by batch id. */
  readonly batches: readonly { readonly id: string; readonly recipients: number }[];
}

/** The leader's answer. */
export interface LeaderAnswer {
  readonly activeMessages: number;
  /** qmgr_message_active_limit */
  readonly activeLimit: number;
  /** Absent: it is not in the active queue. */
  readonly message?: {
    /** The pass waits for this notice. */
    readonly awaits?: NoticeRequest['notice'];
    readonly at: readonly MessageAtDestination[];
    /** Destinations left out of `at`. */
    readonly more: number;
    /** Recipients that are still to be read into memory. */
    readonly unread?: number;
    /** Nothing more of it is handed out, and this is why; what workers have ends first. */
    readonly stopped?: 'hold' | 'delete' | 'expire';
  };
  /** The site whose window the destination shares. */
  readonly site?: string;
  /** Absent: there is nothing to remember of it. */
  readonly destination?: DestinationState;
}

/** One thing that mail waits for. */
export interface WaitReason {
  /** A full sentence. */
  readonly text: string;
  /** When that ends or is looked at again, where it is known. */
  readonly nextMs?: number;
}

/** Why a message or a destination's mail is not moving. */
export interface Explanation {
  /** Queue id, or transport:nexthop. */
  readonly subject: string;
  /** Of a message; of a destination what its mail can do now. */
  readonly state: QueueName | 'unknown' | 'finished' | 'paused' | 'dead' | 'open' | 'no-leader';
  readonly reasons: readonly WaitReason[];
  /** Last replies, the different ones of the first recipients. */
  readonly replies: readonly string[];
  readonly controls: readonly DestinationControl[];
  /** What the leader of each shard asked said. */
  readonly leaders: readonly { readonly shard: number; readonly answer?: LeaderAnswer }[];
}

/** The part of the operator's port that is about destinations. */
export interface DestinationPort {
  /** Sets or replaces a control; resolves when it is durable. The leader acts on it at once, and the next one too. */
  setControl(control: DestinationControl): Promise<void>;
  /** False: there was none. */
  liftControl(name: DestinationName, kind: ControlKind): Promise<boolean>;
  /** One page over all shards, first to end first; an absent cursor in the answer means the end. */
  listControls(options: { readonly cursor?: string; readonly limit: number }): Promise<{
    readonly controls: readonly DestinationControl[];
    readonly cursor?: string;
  }>;
  explain(subject: Subject): Promise<Explanation>;
}
