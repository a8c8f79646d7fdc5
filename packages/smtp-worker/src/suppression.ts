/**
 * The worker's use of the suppression list: recipients on it get their outcome without an attempt, and bounces of the classes that
 * `suppression_classes` names put their recipients on it. Without `suppression_list_enable` nothing is asked.
 *
 * While the list cannot be asked, nothing is delivered from the batch: it goes back, as when any other part of the queue is away.
 */
import type { Config } from '@mailfleet/config';
import type { Suppression, SuppressionPort } from '@mailfleet/queue';
import type { Batch, DeliveryRequest, Outcome, RequestResult } from '@mailfleet/smtp';

export interface SuppressionList {
  /** The batch without recipients that are on the list, and what became of those. */
  sift(batch: Batch): Promise<{ readonly batch: Batch; readonly results: readonly RequestResult[] }>;
  /** Puts those on the list that bounced for a reason that lasts. */
  learn(result: RequestResult): Promise<void>;
}

/** Undefined: the list is not used. */
export function openSuppressionList(
  config: Config,
  queue: SuppressionPort,
  now: () => number = Date.now,
): SuppressionList | undefined {
  if (!config.get('suppression_list_enable')) return undefined;
  const classes = new Set<string>(config.get('suppression_classes'));
  const timeMs = config.get('suppression_time');
  return {
    async sift(batch) {
      const addresses = batch.requests.flatMap(({ recipients }) => recipients.map(({ address }) => address));
      const listed = new Map((await queue.suppressed(addresses)).map((entry) => [entry.address, entry]));
      if (listed.size === 0) return { batch, results: [] };
      const results: RequestResult[] = [];
      const requests = batch.requests.flatMap((request): DeliveryRequest[] => {
        const entryFor = ({ address }: { readonly address: string }): Suppression | undefined =>
          listed.get(address.toLowerCase());
        const outcomes = request.recipients.flatMap((recipient) => {
          const entry = entryFor(recipient);
          return entry === undefined ? [] : [outcomeOf(request, recipient, entry, now())];
        });
        if (outcomes.length === 0) return [request];
        results.push({ queueId: request.envelope.queueId, outcomes, steps: [] });
        const recipients = request.recipients.filter((recipient) => entryFor(recipient) === undefined);
        return recipients.length === 0 ? [] : [{ ...request, recipients }];
      });
      return { batch: { ...batch, requests }, results };
    },

    async learn({ outcomes }) {
      const sinceMs = now();
      const entries = outcomes.flatMap(({ address, class: found, kind, reply }): Suppression[] =>
        // Only what a server said of the recipient counts: our own trouble is nobody's fault.
        kind === 'bounced' && found !== undefined && reply !== undefined && classes.has(found)
          ? [
              {
                address,
                class: found,
                reason: reply,
                sinceMs,
                ...(timeMs > 0 ? { untilMs: sinceMs + timeMs } : {}),
              },
            ]
          : [],
      );
      if (entries.length > 0) await queue.suppress(entries);
    },
  };
}

function outcomeOf(
  { envelope, activatedMs }: DeliveryRequest,
  { index, address }: DeliveryRequest['recipients'][number],
  { class: why, untilMs }: Suppression,
  nowMs: number,
): Outcome {
  const until = untilMs === undefined ? '' : ` until ${new Date(untilMs).toISOString()}`;
  return {
    recipient: index,
    address,
    kind: 'bounced',
    status: '5.7.1',
    reason: `recipient is on the suppression list (${why})${until}`,
    relay: 'none',
    action: 'failed',
    class: 'suppressed',
    times: {
      arrivalMs: envelope.arrivalMs,
      activatedMs,
      handedOffMs: nowMs,
      setUpMs: nowMs,
      doneMs: nowMs,
    },
  };
}
