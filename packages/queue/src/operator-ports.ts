/** What operators may ask of the queue: listings and commands on messages. What they may ask of destinations: destination-ports.ts. */
import type { Envelope, Outcome, TimelineStep } from '@mailfleet/smtp';
import type { OutcomeClass } from '@mailfleet/telemetry';

/** `corrupt`: what cannot be read stands there until an operator releases or deletes it. */
export type QueueName = 'incoming' | 'active' | 'deferred' | 'hold' | 'corrupt';

/** One line of `mailfleet queue -j`. */
export interface QueueListing {
  readonly queue: QueueName;
  readonly envelope: Envelope;
  readonly recipients: readonly {
    readonly address: string;
    readonly transport: string;
    readonly nexthop: string;
    readonly delayReason?: string;
    readonly delayClass?: OutcomeClass;
  }[];
  /** Of a long list of recipients a page is listed; this many, open or not, stand behind it. */
  readonly unlisted?: number;
  readonly dueMs?: number;
  /** In active, and to go on hold at the end of the pass. */
  readonly held?: boolean;
  readonly forcedExpire: boolean;
  /** In corrupt: what is wrong with it. */
  readonly corruption?: string;
}

/** All that is known of one message, live or finished. */
export interface MessageView {
  readonly listing?: QueueListing;
  readonly timeline: readonly TimelineEntry[];
}

/** One entry of a message's timeline. */
export type TimelineEntry =
  | {
      readonly kind: 'accepted';
      readonly atMs: number;
      readonly envelope: Envelope;
      readonly recipients: number;
    }
  | {
      readonly kind: 'attempt';
      readonly batchId: string;
      readonly worker: string;
      readonly batchedMs: number;
      readonly steps: readonly TimelineStep[];
      readonly outcomes: readonly Outcome[];
    }
  | { readonly kind: 'event'; readonly atMs: number; readonly step: string; readonly detail?: string };

/** Which messages an operator means: all that is given must hold. Case does not matter. */
export interface MessageSelector {
  /** An address, `@domain` for all of a domain, '' for the null sender. */
  readonly sender?: string;
  /** Of a recipient that is still open: an address, or `@domain`. */
  readonly recipient?: string;
  /** Domain or nexthop of an open recipient, as `postqueue -s` names a site. */
  readonly site?: string;
  /** Arrived before this time (ms). */
  readonly arrivedBeforeMs?: number;
}

/** A recipient's new route, or why there is none. */
export type NewRoute =
  | { readonly address: string; readonly transport: string; readonly nexthop: string }
  | { readonly problem: string };

/** What an operator can do to messages. Postfix: postsuper -h -H -d -e -f -r, postqueue -i. */
export type OperatorCommand =
  | { readonly kind: 'flush' | 'hold' | 'release' | 'delete' | 'expire' | 'expire-and-release' }
  /** As new mail: recipients get their routes by `route`, the age starts anew. */
  | { readonly kind: 'requeue'; readonly route: (address: string, sender: string) => Promise<NewRoute> };

export interface OperatorResult {
  /** What was changed, or would be in a dry run, and the queue it was found in. */
  readonly touched: readonly { readonly queueId: string; readonly queue: QueueName }[];
  /** What could not be changed now, and why. */
  readonly refused: readonly { readonly queueId: string; readonly reason: string }[];
}

export interface ListOptions {
  readonly queues?: readonly QueueName[];
  readonly where?: MessageSelector;
  readonly cursor?: string;
  /** A message of several shards only where it is met first, not with each shard's recipients. */
  readonly once?: boolean;
  /** Messages to look at: with a selector the page may hold fewer, or none, and not be the last. */
  readonly limit: number;
}

/** The operator's port: listings and commands, page by page. A message of several shards is one message to a command. */
export interface OperatorPort {
  /** One page over all shards; an absent cursor in the answer means the end. */
  list(options: ListOptions): Promise<{
    readonly messages: readonly QueueListing[];
    readonly cursor?: string;
  }>;
  counts(): Promise<Readonly<Record<QueueName, number>>>;
  find(queueId: string): Promise<MessageView | undefined>;
  /** All deferred mail is due, dead destinations are forgotten, defer_transports is lifted. */
  flushAll(): Promise<void>;
  /** One page of the deferred mail for a site is due, and the destinations that it waits for are revived. */
  flushSite(
    site: string,
    options: { readonly cursor?: string; readonly limit: number },
  ): Promise<OperatorResult & { readonly cursor?: string }>;
  /** Messages by their queue ids: a few hundred at a time. */
  command(
    command: OperatorCommand,
    queueIds: readonly string[],
    options?: { readonly dryRun?: boolean },
  ): Promise<OperatorResult>;
  /** One page of the messages that a selector names. */
  commandWhere(
    command: OperatorCommand,
    options: ListOptions & { readonly dryRun?: boolean },
  ): Promise<OperatorResult & { readonly cursor?: string }>;
}
