/** What a webhook poster may ask of the queue, and how events look: version 1 of the envelope (docs/webhooks.md). */
import type { Outcome, OutcomeKind } from '@mailfleet/smtp';

/** One outcome of one attempt. */
export interface WebhookEvent {
  /** The same when it is sent again. */
  readonly id: string;
  readonly type: OutcomeKind;
  /** When it was decided, RFC 3339. */
  readonly timestamp: string;
  readonly queueId: string;
  readonly recipient: string;
  readonly status: string;
  readonly class?: Outcome['class'];
  readonly reason: string;
  readonly reply?: string;
  readonly relay: string;
}

export interface WebhookBatch {
  /** The same when it is posted again. */
  readonly id: string;
  readonly shard: number;
  /** Of its first event (ms). */
  readonly sinceMs: number;
  readonly events: readonly unknown[];
}

export interface WebhookState {
  /** Entries of the stream that are in no batch yet. */
  readonly uncut: number;
  /** When the first of them came (ms). */
  readonly uncutSinceMs?: number;
  /** Batches that wait or are being posted, that are to be tried again, and that were given up. */
  readonly waiting: number;
  readonly retried: number;
  readonly dead: number;
}

export interface WebhookPort {
  /** Hands batches to `post` until the signal; one that it rejects is repeated, later and later, until its age is over. */
  workWebhooks(
    options: {
      readonly signal: AbortSignal;
      readonly name: string;
      readonly batchLimit: number;
      readonly maxAgeMs: number;
    },
    post: (batch: WebhookBatch) => Promise<void>,
  ): Promise<void>;
  webhookState(): Promise<WebhookState>;
}
