/** Settings and messages for the core's tests: generous limits, so that a test states only what it is about. */
import type { ActiveMessage, InboxEntry, RoutedRecipient } from '@mailfleet/queue';
import type { TransportAgent } from '@mailfleet/routing';
import type { HopStatus, Outcome } from '@mailfleet/smtp';
import type { CoreSettings, TransportSettings } from './settings.ts';

const AGENTS: Readonly<Record<string, TransportAgent>> = {
  smtp: 'smtp',
  relay: 'smtp',
  lmtp: 'lmtp',
  error: 'error',
  retry: 'retry',
  discard: 'discard',
};

type Limits = Partial<Omit<TransportSettings, 'window' | 'agent'>> & {
  readonly window?: Partial<TransportSettings['window']>;
};

export function makeSettings(core: Partial<CoreSettings> = {}, limits: Limits = {}): CoreSettings {
  const { window, ...rest } = limits;
  return {
    minimalBackoffMs: 300_000,
    maximalBackoffMs: 4_000_000,
    lifetimeMs: 432_000_000,
    bounceLifetimeMs: 432_000_000,
    delayWarningMs: 0,
    confirmDelayCleared: false,
    activeLimit: 1_000_000,
    recipientLimit: 1_000_000,
    recipientMinimum: 10,
    clogWarnMs: 0,
    batchLimit: 100,
    batchByteLimit: 10_485_760,
    batchRecipientLimit: 1_000_000,
    deferTransports: new Set(),
    feedbackDebug: false,
    recipientDelimiter: '+',
    transport: (name) => ({
      agent: AGENTS[name] ?? 'none',
      window: {
        initial: 5,
        limit: 20,
        positive: () => 1,
        negative: () => 1,
        failedCohortLimit: 1,
        ...window,
      },
      recipientLimit: 50,
      destinationRateDelayMs: 0,
      transportRateDelayMs: 0,
      slots: { limit: 1_000_000, extra: 1000, refillLimit: 100, refillDelayMs: 5000 },
      preemption: { slotCost: 0, slotLoan: 3, slotDiscount: 50, minimumSlots: 3 },
      processLimit: 1_000_000,
      ...rest,
    }),
    ...core,
  };
}

/** `address` or `transport:nexthop address`; the default route is smtp to the address's domain. */
export function recipientOf(text: string, index: number): RoutedRecipient {
  const [, route = '', address = ''] = /^(?:(\S.*) )?(\S+)$/.exec(text) ?? [];
  const colon = route.indexOf(':');
  return {
    index,
    address,
    transport: colon < 0 ? 'smtp' : route.slice(0, colon),
    nexthop: colon < 0 ? address.slice(address.lastIndexOf('@') + 1) : route.slice(colon + 1),
  };
}

export function makeMessage(
  queueId: string,
  recipients: readonly string[],
  more: Partial<Omit<ActiveMessage, 'envelope'>> & {
    readonly envelope?: Partial<ActiveMessage['envelope']>;
  } = {},
): ActiveMessage {
  const { envelope, ...rest } = more;
  const activatedMs = more.activatedMs ?? 0;
  return {
    envelope: {
      queueId,
      sender: 'sender@example.org',
      sizeBytes: 4096,
      arrivalMs: activatedMs,
      createdMs: activatedMs,
      ...envelope,
    },
    recipients: recipients.map(recipientOf),
    recipientCount: recipients.length,
    contentShard: 0,
    activatedMs,
    pass: 0,
    warned: false,
    unread: 0,
    held: false,
    forcedExpire: false,
    unreported: [],
    unreportedSuccess: [],
    ...rest,
  };
}

/** The inbox entry of a worker's result for some recipients of a message. */
export function resultOf(
  batchId: string,
  queueId: string,
  kinds: readonly (readonly [recipient: number, kind: Outcome['kind']])[],
  hopStatus?: HopStatus,
): InboxEntry {
  return {
    id: '0-1',
    kind: 'result',
    batchId,
    queueId,
    outcomes: kinds.map(([recipient, kind]) => ({ recipient, kind })),
    reason: '',
    ...(hopStatus === undefined ? {} : { hopStatus }),
  };
}
