/** The core's settings from the configuration. Names of per-transport parameters: postconf(5). */
import type { Config } from '@mailfleet/config';
import { fairShare } from '@mailfleet/queue';
import { transportAgent } from '@mailfleet/routing';
import { type Feedback, parseFeedback } from './core/feedback.ts';
import type { CoreSettings, TransportSettings } from './core/settings.ts';

export function settingsFrom(config: Config, shard = 0): CoreSettings {
  const activeLimit = config.get('qmgr_message_active_limit');
  return {
    minimalBackoffMs: config.get('minimal_backoff_time'),
    maximalBackoffMs: config.get('maximal_backoff_time'),
    lifetimeMs: config.get('maximal_queue_lifetime'),
    bounceLifetimeMs: config.get('bounce_queue_lifetime'),
    delayWarningMs: config.get('delay_warning_time'),
    confirmDelayCleared: config.get('confirm_delay_cleared'),
    activeLimit,
    recipientLimit: Math.max(config.get('qmgr_message_recipient_limit'), activeLimit),
    recipientMinimum: config.get('qmgr_message_recipient_minimum'),
    clogWarnMs: config.get('qmgr_clog_warn_time'),
    batchLimit: config.get('destination_batch_limit'),
    batchByteLimit: config.get('destination_batch_byte_limit'),
    batchRecipientLimit: config.get('destination_batch_recipient_limit'),
    deferTransports: new Set(config.get('defer_transports')),
    feedbackDebug: config.get('destination_concurrency_feedback_debug'),
    recipientDelimiter: config.get('recipient_delimiter'),
    transport: (name) => transportSettings(config, name, shard),
  };
}

/** Values that contradict each other, and what was made of them. */
export function contradictions(config: Config): string[] {
  const shards = config.get('scheduler_shards');
  const pairs = [
    ['qmgr_message_recipient_limit', 'is below', 'qmgr_message_active_limit', -1],
    ['bounce_queue_lifetime', 'is above', 'maximal_queue_lifetime', 1],
  ] as const;
  const found: string[] = pairs
    .filter(([name, , other, sign]) => sign * (config.get(name) - config.get(other)) > 0)
    .map(([name, is, other]) => `${name} ${is} ${other}; it counts as that`);
  if (config.get('default_process_limit') < shards) {
    found.push('default_process_limit is below scheduler_shards; each shard counts as having one process');
  }
  return found;
}

function transportSettings(config: Config, name: string, shard: number): TransportSettings {
  // The configuration warned of an impossible amount, which counts as 1.
  const feedback = (
    suffix: 'destination_concurrency_positive_feedback' | 'destination_concurrency_negative_feedback',
  ): Feedback => parseFeedback(config.getTransport(name, suffix)) ?? (() => 1);
  return {
    agent: transportAgent(config, name),
    window: {
      initial: config.getTransport(name, 'initial_destination_concurrency'),
      limit: config.getTransport(name, 'destination_concurrency_limit'),
      positive: feedback('destination_concurrency_positive_feedback'),
      negative: feedback('destination_concurrency_negative_feedback'),
      failedCohortLimit: config.getTransport(name, 'destination_concurrency_failed_cohort_limit'),
    },
    recipientLimit: config.getTransport(name, 'destination_recipient_limit'),
    destinationRateDelayMs: config.getTransport(name, 'destination_rate_delay'),
    transportRateDelayMs: config.getTransport(name, 'transport_rate_delay'),
    preemption: {
      slotCost: config.getTransport(name, 'delivery_slot_cost'),
      slotLoan: config.getTransport(name, 'delivery_slot_loan'),
      slotDiscount: config.getTransport(name, 'delivery_slot_discount'),
      minimumSlots: config.getTransport(name, 'minimum_delivery_slots'),
    },
    slots: {
      limit: config.getTransport(name, 'recipient_limit'),
      extra: config.getTransport(name, 'extra_recipient_limit'),
      refillLimit: config.getTransport(name, 'recipient_refill_limit'),
      refillDelayMs: config.getTransport(name, 'recipient_refill_delay'),
    },
    processLimit: processLimit(config, name, shard),
  };
}

/** Field maxproc of master.cf, else default_process_limit. Shards know nothing of each other, so each has its part of it. */
function processLimit(config: Config, name: string, shard: number): number {
  const limit = config.transport(name)?.processLimit ?? config.get('default_process_limit');
  return limit === 0 ? Number.MAX_SAFE_INTEGER : fairShare(limit, config.get('scheduler_shards'), shard);
}
