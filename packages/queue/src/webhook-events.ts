/** Outcomes as events for webhooks. */
import type { RequestResult } from '@mailfleet/smtp';
import type { WebhookEvent } from './webhook-ports.ts';

/** @param attempt tells attempts on a message apart: a batch id, or when it was decided */
export function webhookEvents({ queueId, outcomes }: RequestResult, attempt: string): WebhookEvent[] {
  return outcomes.map(({ recipient, address, kind, status, class: why, reason, reply, relay, times }) => ({
    id: `${queueId}.${recipient}.${attempt || times.doneMs}`,
    type: kind,
    timestamp: new Date(times.doneMs).toISOString(),
    queueId,
    recipient: address,
    status,
    ...(why === undefined ? {} : { class: why }),
    reason,
    ...(reply === undefined ? {} : { reply }),
    relay,
  }));
}
