/** What the core needs to know of the configuration, converted once. Times in milliseconds, sizes in bytes. */
import type { TransportAgent } from '@mailfleet/routing';
import type { RetrySettings } from './retry.ts';
import type { WindowSettings } from './window.ts';

/** Job preemption, section "Preemption" of SCHEDULER_README. */
export interface PreemptionSettings {
  /** default_delivery_slot_cost; below 2 there is no preemption. */
  readonly slotCost: number;
  /** default_delivery_slot_loan */
  readonly slotLoan: number;
  /** default_delivery_slot_discount, percent. */
  readonly slotDiscount: number;
  /** default_minimum_delivery_slots */
  readonly minimumSlots: number;
}

/** Recipients in memory, beyond the minimum of each message; see slots.ts. */
export interface RecipientSlotSettings {
  /** default_recipient_limit */
  readonly limit: number;
  /** default_extra_recipient_limit */
  readonly extra: number;
  /** default_recipient_refill_limit */
  readonly refillLimit: number;
  /** default_recipient_refill_delay */
  readonly refillDelayMs: number;
}

export interface TransportSettings {
  readonly agent: TransportAgent;
  readonly window: WindowSettings;
  /** Recipients of one delivery request; 0 is no limit, 1 makes each recipient a destination of its own. */
  readonly recipientLimit: number;
  /** Pause of a destination after each delivery. */
  readonly destinationRateDelayMs: number;
  /** Pause of the transport after each delivery. */
  readonly transportRateDelayMs: number;
  readonly preemption: PreemptionSettings;
  readonly slots: RecipientSlotSettings;
  /** Batches of this transport that may be with BullMQ and the workers at a time. */
  readonly processLimit: number;
}

export interface CoreSettings extends RetrySettings {
  /** confirm_delay_cleared */
  readonly confirmDelayCleared: boolean;
  /** qmgr_message_active_limit */
  readonly activeLimit: number;
  /** qmgr_message_recipient_limit; twice as many destinations are remembered while they are dead. */
  readonly recipientLimit: number;
  /** qmgr_message_recipient_minimum */
  readonly recipientMinimum: number;
  /** qmgr_clog_warn_time; 0 is never. */
  readonly clogWarnMs: number;
  /** destination_batch_limit, in delivery requests. */
  readonly batchLimit: number;
  /** destination_batch_byte_limit */
  readonly batchByteLimit: number;
  /** destination_batch_recipient_limit */
  readonly batchRecipientLimit: number;
  /** defer_transports */
  readonly deferTransports: ReadonlySet<string>;
  /** destination_concurrency_feedback_debug */
  readonly feedbackDebug: boolean;
  /** recipient_delimiter: each of its characters ends the local part proper. */
  readonly recipientDelimiter: string;
  transport(name: string): TransportSettings;
}
