/**
 * What a message's page tells, as plain data: from the queue's view of a message to its state, its recipients' last
 * outcomes and one list of moments in the order of time. Pure; a page or a program may show it.
 */
import type { MessageView, QueueName } from '@mailfleet/queue';
import type { Envelope, Outcome, TimelineStep } from '@mailfleet/smtp';

type MessageState = QueueName | Outcome['kind'] | 'partly delivered' | 'finished';

export interface RecipientSummary {
  readonly address: string;
  /** Absent: not tried yet. */
  readonly outcome?: Outcome;
  readonly destination?: string;
}

/** One entry of the timeline: a moment, and for an attempt what happened within it. */
export interface Moment {
  readonly atMs: number;
  /** Since acceptance. */
  readonly offsetMs: number;
  readonly title: string;
  readonly detail?: string;
  readonly attempt?: {
    readonly worker: string;
    readonly batchId: string;
    /** Their offsets count from the attempt's own time: a retry's milliseconds matter, not its hours. */
    readonly steps: readonly (TimelineStep & { readonly offsetMs: number })[];
    readonly outcomes: readonly Outcome[];
  };
}

export interface MessageStory {
  readonly state: MessageState;
  /** Absent only when its acceptance and its attempts have left the timeline. */
  readonly envelope?: Envelope;
  readonly recipients: readonly RecipientSummary[];
  readonly moments: readonly Moment[];
}

export function tellStory(view: MessageView): MessageStory {
  const envelope = view.listing?.envelope ?? view.timeline.find((entry) => 'envelope' in entry)?.envelope;
  const startMs =
    envelope?.createdMs ??
    view.timeline.map(entryTime).reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const moments = view.timeline.map((entry) => momentOf(entry, startMs)).sort((a, b) => a.atMs - b.atMs);
  const recipients = summariseRecipients(view);
  return {
    state: stateOf(view, recipients),
    ...(envelope === undefined ? {} : { envelope }),
    recipients,
    moments,
  };
}

type Entry = MessageView['timeline'][number];

function entryTime(entry: Entry): number {
  return entry.kind === 'attempt' ? entry.batchedMs : entry.atMs;
}

function momentOf(entry: Entry, startMs: number): Moment {
  const atMs = entryTime(entry);
  const when = { atMs, offsetMs: atMs - startMs };
  switch (entry.kind) {
    case 'accepted':
      return {
        ...when,
        title: 'accepted',
        detail: `${entry.recipients} recipient${entry.recipients === 1 ? '' : 's'}${clientText(entry.envelope)}`,
      };
    case 'event':
      return {
        ...when,
        title: entry.step,
        ...(entry.detail === undefined ? {} : { detail: entry.detail }),
      };
    case 'attempt':
      return {
        ...when,
        title: 'delivery attempt',
        attempt: {
          worker: entry.worker,
          batchId: entry.batchId,
          steps: entry.steps.map((step) => ({ ...step, offsetMs: step.atMs - atMs })),
          outcomes: entry.outcomes,
        },
      };
  }
}

function clientText({ client }: Envelope): string {
  if (client === undefined) {
    return '';
  }
  const peer = client.address === undefined ? client.name : `${client.name ?? 'unknown'}[${client.address}]`;
  return [
    peer === undefined ? '' : `, from ${peer}`,
    client.protocol === undefined ? '' : ` by ${client.protocol}`,
    client.saslUsername === undefined ? '' : `, logged in as ${client.saslUsername}`,
  ].join('');
}

function summariseRecipients(view: MessageView): RecipientSummary[] {
  const byAddress = new Map<string, RecipientSummary>();
  for (const { address, transport, nexthop } of view.listing?.recipients ?? []) {
    byAddress.set(address, { address, destination: `${transport}:${nexthop}` });
  }
  for (const entry of view.timeline) {
    for (const outcome of entry.kind === 'attempt' ? entry.outcomes : []) {
      const known = byAddress.get(outcome.address);
      if (known?.outcome === undefined || known.outcome.times.doneMs <= outcome.times.doneMs) {
        byAddress.set(outcome.address, { ...known, address: outcome.address, outcome });
      }
    }
  }
  // In the order of the message's recipients; those not tried yet come last.
  const place = ({ outcome }: RecipientSummary): number => outcome?.recipient ?? Number.MAX_SAFE_INTEGER;
  return [...byAddress.values()].sort((a, b) => place(a) - place(b));
}

function stateOf(view: MessageView, recipients: readonly RecipientSummary[]): MessageState {
  if (view.listing !== undefined) {
    return view.listing.queue;
  }
  const kinds = new Set(recipients.map(({ outcome }) => outcome?.kind));
  const [only] = kinds;
  if (kinds.size === 1 && only !== undefined) {
    // No longer queued and last heard of as deferred: expired or removed.
    return only === 'deferred' ? 'finished' : only;
  }
  return kinds.has('delivered') ? 'partly delivered' : 'finished';
}
