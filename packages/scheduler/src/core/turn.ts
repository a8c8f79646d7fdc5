/** What the core decided and the shell has to carry out, collected over one turn. */
import type { Conclusion, LocalResult } from '@mailfleet/queue';
import type { Batch } from '@mailfleet/smtp';
import type { MailEvent } from '@mailfleet/telemetry';

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
  readonly events: MailEvent[];
  readonly concluded: MailEvent[];
}

export function makeTurn(): Turn {
  return { batches: [], locals: [], recalls: new Set(), conclusions: [], events: [], concluded: [] };
}
