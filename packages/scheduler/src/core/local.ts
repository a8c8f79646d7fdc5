/**
 * Outcomes that need no worker: what error(8) and discard(8) do for Postfix is done here, so that thousands of
 * deferrals cost neither jobs nor slots.
 */
import type { RoutedRecipient } from '@mailfleet/queue';
import type { TransportAgent } from '@mailfleet/routing';
import type { HopStatus, Outcome, OutcomeKind } from '@mailfleet/smtp';
import { type MailEvent, outcomeClass } from '@mailfleet/telemetry';
import type { Message } from './model.ts';

/** The same for each recipient of a destination. */
export interface LocalOutcome extends HopStatus {
  readonly kind: OutcomeKind;
  /** Program of the log line. */
  readonly program: 'error' | 'discard';
}

/** What an agent of the scheduler itself does with a nexthop; undefined for a worker's agent. */
export function localOutcome(
  agent: TransportAgent,
  transport: string,
  nexthop: string,
): LocalOutcome | undefined {
  switch (agent) {
    case 'error':
      return { kind: 'bounced', program: 'error', ...statusAndText(nexthop, '5.0.0') };
    case 'retry':
      return { kind: 'deferred', program: 'error', ...statusAndText(nexthop, '4.0.0') };
    case 'discard':
      return {
        kind: 'delivered',
        program: 'discard',
        status: '2.0.0',
        reason: nexthop === '' ? 'discarded' : nexthop,
      };
    case 'none':
      return {
        kind: 'deferred',
        program: 'error',
        status: '4.3.0',
        reason: `mail transport unavailable: no worker serves a transport called ${transport}`,
      };
    default:
      return undefined;
  }
}

/** A dead destination's, or another reason to wait. */
export function deferral(trouble: HopStatus): LocalOutcome {
  return { kind: 'deferred', program: 'error', ...trouble };
}

const STATUS_AND_TEXT = /^([45]\.\d{1,3}\.\d{1,3})\s+(.*)$/s;

/** `5.1.1 text`, as in `error:5.1.1 text` of transport(5). A status of the wrong class counts as none. */
function statusAndText(nexthop: string, defaultStatus: string): HopStatus {
  const [, status, reason] = STATUS_AND_TEXT.exec(nexthop) ?? [];
  if (status === undefined || reason === undefined || status[0] !== defaultStatus[0]) {
    return { status: defaultStatus, reason: reason ?? (nexthop === '' ? 'unknown error' : nexthop) };
  }
  return { status, reason };
}

const ACTION = { delivered: 'delivered', deferred: 'delayed', bounced: 'failed' } as const;

export function outcomesOf(
  message: Message,
  recipients: readonly RoutedRecipient[],
  local: LocalOutcome,
  nowMs: number,
): { readonly outcomes: Outcome[]; readonly events: MailEvent[] } {
  const { envelope, activatedMs } = message.active;
  const times = {
    arrivalMs: envelope.arrivalMs,
    activatedMs,
    handedOffMs: nowMs,
    setUpMs: nowMs,
    doneMs: nowMs,
  };
  const { kind, status, reason, program } = local;
  const found = outcomeClass(local);
  const outcome = found === undefined ? {} : { class: found };
  return {
    outcomes: recipients.map(({ index, address }) => ({
      recipient: index,
      address,
      kind,
      status,
      reason,
      relay: 'none',
      action: ACTION[kind],
      ...outcome,
      times,
    })),
    events: recipients.map(({ address, originalAddress }) => ({
      kind,
      queueId: envelope.queueId,
      program,
      to: address,
      ...(originalAddress === undefined ? {} : { origTo: originalAddress }),
      relay: 'none',
      times,
      dsn: status,
      reason,
      ...outcome,
    })),
  };
}
