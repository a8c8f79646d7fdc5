/**
 * The words that scheduler, queue and client share: what a delivery agent is asked to do, and what it answers.
 *
 * A delivery request is one transaction's worth of one message: 1..recipient-limit recipients that go to
 * one destination. A batch is an ordered list of them for one destination. An outcome says what became of
 * one recipient of one attempt. All of it is plain JSON: it travels in job payloads and Redis streams, so
 * it never holds a credential. Times are milliseconds since the epoch, addresses are in internal
 * (unquoted) form and hold no CR, LF or NUL: intake made sure.
 */

import type { OutcomeClass } from '@mailfleet/telemetry';

/** DSN NOTIFY values of RFC 3461 section 4.1. An absent or empty list means that the sender gave none. */
export type Notify = 'NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY';

export interface Recipient {
  /** Position in the message's recipient list, the recipient's identity within its message. */
  readonly index: number;
  readonly address: string;
  /** The address as first given, when rewriting changed it (log: orig_to=). */
  readonly originalAddress?: string;
  /** Decoded ORCPT, `type;address` (RFC 3461 section 4.2). */
  readonly orcpt?: string;
  readonly notify?: readonly Notify[];
}

/** Who handed the message in; the source of XFORWARD attributes and of the timeline's first line. */
export interface ClientInfo {
  readonly name?: string;
  readonly address?: string;
  readonly port?: number;
  /** ESMTP, SMTP, HTTP, sendmail or api. */
  readonly protocol?: string;
  readonly helo?: string;
  readonly saslUsername?: string;
}

/** What is known of a message besides its recipients and content. */
export interface Envelope {
  readonly queueId: string;
  /** Empty for the null sender. */
  readonly sender: string;
  /** Content size in bytes. */
  readonly sizeBytes: number;
  /** Body label of the 8BITMIME extension; absent when the sender gave none. */
  readonly encoding?: '7bit' | '8bit';
  readonly smtputf8?: boolean;
  /** An address probe: the transaction ends before content, where smtp_address_verify_target says. */
  readonly probe?: true;
  /** Decoded ENVID. */
  readonly envid?: string;
  readonly ret?: 'FULL' | 'HDRS';
  /** The two VERP delimiters: each recipient gets a copy with a sender of its own, and a notice of its own. */
  readonly verp?: string;
  /** REQUIRETLS of RFC 8689: the message goes over authenticated TLS or not at all. */
  readonly requireTls?: boolean;
  /** `TLS-Required: No` in the header (RFC 8689 section 3): delivery matters more than TLS. */
  readonly tlsOptional?: boolean;
  /** First receipt; a requeue keeps it. */
  readonly arrivalMs: number;
  /** When this queue entry was made; the age that retry times follow. */
  readonly createdMs: number;
  readonly client?: ClientInfo;
  /** Value of the Message-ID header, for the log and the page of the message. */
  readonly messageId?: string;
  /** W3C trace context of the message's trace. */
  readonly traceparent?: string;
}

export interface DeliveryRequest {
  readonly envelope: Envelope;
  readonly recipients: readonly Recipient[];
  /** Shard that holds the content. */
  readonly contentShard: number;
  /** When the message entered the active queue. */
  readonly activatedMs: number;
  /** The sender was warned of its delay. */
  readonly warned?: boolean;
}

/** Protocol of a delivery agent: smtp(8) serves both. */
export type Protocol = 'smtp' | 'lmtp';

/** An ordered list of delivery requests for one destination: one slot of its window, one BullMQ job. */
export interface Batch {
  readonly id: string;
  readonly shard: number;
  /** Fencing token of the scheduler that made it. */
  readonly fence: number;
  /** Service name, e.g. `smtp`, `relay`, `lmtp`; selects per-transport parameters. */
  readonly transport: string;
  readonly protocol: Protocol;
  /** Destination as routed, brackets and port included. */
  readonly nexthop: string;
  /** When the scheduler cut the batch. */
  readonly batchedMs: number;
  readonly requests: readonly DeliveryRequest[];
  /**
   * On-demand connection caching: the destination has mail back to back, so an open session may be used, and this one is worth
   * keeping open.
   */
  readonly connectionLoad?: boolean;
  readonly connectionStore?: boolean;
  /** The worker that has a session for it; absent: any worker takes it. */
  readonly worker?: string;
  /** Times that it was handed out before it was taken back from its worker; absent: never. */
  readonly handedOutBefore?: number;
  /** Trace context of the batch's own trace; its messages' spans are linked to it. */
  readonly traceparent?: string;
}

/** Delivery status code of RFC 3463, `d.ddd.ddd`. */
export type DsnStatus = string;

/** Seconds that log line and timeline show as delays=a/b/c/d, with the instants they are made of. */
export interface PhaseTimes {
  readonly arrivalMs: number;
  readonly activatedMs: number;
  readonly handedOffMs: number;
  /** MAIL FROM was built, or set-up failed. */
  readonly setUpMs: number;
  readonly doneMs: number;
}

export type OutcomeKind = 'delivered' | 'deferred' | 'bounced';

/** What became of one recipient of one delivery attempt. */
export interface Outcome {
  readonly recipient: number;
  readonly address: string;
  readonly kind: OutcomeKind;
  readonly status: DsnStatus;
  /** Text of the log line's last parenthesis. */
  readonly reason: string;
  /** Why it was not delivered, in one word; whoever records the outcome works it out. */
  readonly class?: OutcomeClass;
  /** `host[address]:port`, `host[path]` or `none`. */
  readonly relay: string;
  /** What the DSN says of it (RFC 3464 section 2.3.3). */
  readonly action: 'delivered' | 'relayed' | 'delayed' | 'failed';
  /** Remote-MTA host name, when the server's words decided. */
  readonly remoteMta?: string;
  /** The server's reply, lines joined by blanks (Diagnostic-Code: smtp;). */
  readonly reply?: string;
  /** Count of transactions on the session, this one included; given when it is above 1. */
  readonly connectionUse?: number;
  /** e.g. `TLSv1.3`, absent in clear. */
  readonly tls?: string;
  /** OpenSSL's name of the cipher. */
  readonly cipher?: string;
  /** `smtp_log_tls_feature_status`: the TLS level that was wanted, `:` the one that was used, `!` refused, `?` undecided; `/requiretls`. */
  readonly tlsStatus?: string;
  /** `soft_bounce` turned a bounce into this deferral (log: status=SOFTBOUNCE). */
  readonly softBounce?: boolean;
  /** Delivered to a server that offers DSN: it, not we, reports the success to the sender. */
  readonly dsnPassedOn?: boolean;
  readonly times: PhaseTimes;
}

/** "Stop using this destination for a while": the delivery agent's whole-destination report. */
export interface HopStatus {
  readonly status: DsnStatus;
  readonly reason: string;
}

/** One step of a transaction with its time, for the message's timeline. */
export interface TimelineStep {
  readonly atMs: number;
  /** connected, tls, authenticated, transaction, … as in telemetry's event names. */
  readonly step: string;
  readonly detail?: string;
}

/** The answer to one delivery request. */
export interface RequestResult {
  readonly queueId: string;
  readonly outcomes: readonly Outcome[];
  /** Present: negative concurrency feedback. Absent: positive, even when all recipients were deferred. */
  readonly hopStatus?: HopStatus;
  readonly steps: readonly TimelineStep[];
  /** The message itself cannot be read: nothing is bounced, and an operator must look at it. */
  readonly corruption?: string;
  /** Sessions with an error that `notify_classes` wants told to the postmaster. */
  readonly transcripts?: readonly Transcript[];
}

/** A session that went wrong, for a notice to the postmaster. No content, no secret. */
export interface Transcript {
  /** protocol: replies that no server should give; data: the message could not be read. */
  readonly classes: readonly ('protocol' | 'data')[];
  /** `name[address]:port` */
  readonly relay: string;
  /** `Out: …` and `In: …` */
  readonly lines: readonly string[];
}
