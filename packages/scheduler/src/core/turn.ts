/** What the core decided and the shell has to carry out, collected over one turn. */
import type { Conclusion } from '@mailfleet/queue';
import type { Batch, RequestResult } from '@mailfleet/smtp';
import type { MailEvent } from '@mailfleet/telemetry';

/**
 * Order matters: outcomes of `locals` must be durable before `conclusions` take their messages out of active; `events`
 * may be told at once, `concluded` when the conclusions are durable.
 */
export interface Turn {
  readonly batches: Batch[];
  /** Outcomes that the scheduler decided itself. */
  readonly locals: RequestResult[];
  readonly conclusions: Conclusion[];
  readonly events: MailEvent[];
  readonly concluded: MailEvent[];
}

export function makeTurn(): Turn {
  return { batches: [], locals: [], conclusions: [], events: [], concluded: [] };
}
