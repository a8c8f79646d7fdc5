/** What the core decided and the shell has to carry out, collected over one turn. */
import type { Conclusion, InboxEntry, LocalResult } from '@mailfleet/queue';
import type { Batch } from '@mailfleet/smtp';
import type { MailEvent } from '@mailfleet/telemetry';

/** The next recipients of a message, behind the one with index `after`; -1 is the beginning. */
export interface RecipientRead {
  readonly queueId: string;
  readonly after: number;
  /** Most open recipients of the answer. */
  readonly count: number;
}

/**
 * Order matters: outcomes of `locals` must be durable before `conclusions` take their messages out of active; `events`
 * may be told at once, `concluded` when the conclusions are durable.
 */
export interface Turn {
  readonly batches: Batch[];
  /** Outcomes that the scheduler decided itself. */
  readonly locals: LocalResult[];
  /** Ids of batches to take back, if no worker has begun them. */
  readonly recalls: Set<string>;
  readonly conclusions: Conclusion[];
  /** Recipients to read; the answer goes to `recipientsRead`. */
  readonly reads: RecipientRead[];
  /** Due times (ms) whose deferred messages are due now: a pause was lifted early. */
  readonly wakes: number[];
  /** To be answered from memory when all is written. */
  readonly questions: Question[];
  readonly events: MailEvent[];
  readonly concluded: MailEvent[];
}

export type Question = Extract<InboxEntry, { kind: 'ask' }>;

export function makeTurn(): Turn {
  return {
    batches: [],
    locals: [],
    recalls: new Set(),
    conclusions: [],
    reads: [],
    wakes: [],
    questions: [],
    events: [],
    concluded: [],
  };
}
