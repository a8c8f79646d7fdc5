/**
 * The objects of the active queue, as in "Postfix Queue Scheduler": a message has a job for each transport, a job a peer
 * for each destination, a peer the entries (delivery requests) not yet handed out. A transport orders its jobs, a
 * destination holds the concurrency window.
 *
 * What is added here is how a candidate is found without walking lists: each destination keeps its peers in job order,
 * and each transport a heap of the jobs that may have something to hand out. The rule that makes it right (`offer` in
 * transport.ts keeps it): of every destination with a free slot and waiting entries, the first peer stands in its
 * job's `ready` chain, and that job stands in `candidates`. Blocked jobs stand nowhere and cost nothing.
 */
import type { ActiveMessage, NoticeRequest, RoutedRecipient } from '@mailfleet/queue';
import type { HopStatus } from '@mailfleet/smtp';
import { CacheHints } from './cache-hints.ts';
import { Chain, type Linked } from './chain.ts';
import { Heap, type HeapItem } from './heap.ts';
import type { TransportSettings } from './settings.ts';
import { ConcurrencyWindow } from './window.ts';

/** A message in the active queue. */
export class Message {
  readonly active: ActiveMessage;
  readonly entries: Entry[] = [];
  /** One for each of its transports. */
  readonly jobs: Job[] = [];
  /** Entries whose result is not known yet; at 0 the pass ends. */
  open = 0;
  /** What this pass brought so far; `succeeded`: the sender asked to hear of it (NOTIFY=SUCCESS). */
  deferred = false;
  bounced: boolean;
  succeeded: boolean;
  /** The request to the bounce daemon that the end of the pass waits for. */
  awaits: NoticeRequest['notice'] | undefined;
  /** A warning of the delay was sent. */
  warned: boolean;
  /** Its destinations are revived when it meets them, and defer_transports does not apply ("flush this one"). */
  readonly flushing: boolean;
  #entryOf: Map<number, Entry> | undefined;

  constructor(active: ActiveMessage, flushing: boolean) {
    this.active = active;
    this.flushing = flushing;
    this.bounced = active.unreported.length > 0;
    this.succeeded = active.unreportedSuccess.length > 0;
    this.warned = active.warned;
  }

  /** The entry that holds or held a recipient in this pass. To be asked only after the message was grouped. */
  entryOf(recipient: number): Entry | undefined {
    const [only] = this.entries;
    if (this.entries.length === 1) return only;
    if (this.#entryOf === undefined) {
      this.#entryOf = new Map();
      for (const entry of this.entries) {
        for (const { index } of entry.recipients) this.#entryOf.set(index, entry);
      }
    }
    return this.#entryOf.get(recipient);
  }
}

/** One delivery request: recipients of one message for one destination. */
export interface Entry {
  readonly message: Message;
  readonly peer: Peer;
  /** Those without an outcome in this pass. */
  recipients: RoutedRecipient[];
  state: 'waiting' | 'busy' | 'done';
  /** How often it came back without a result in this pass. */
  returns: number;
  /** The batch it was handed out in, while busy. */
  flight: Flight | undefined;
}

/** A batch that was handed out: one slot of its destination. */
export interface Flight {
  readonly id: string;
  readonly destination: Destination;
  readonly entries: readonly Entry[];
}

/** The entries of one job for one destination that were not handed out. */
export class Peer implements Linked<Peer>, HeapItem {
  readonly job: Job;
  readonly destination: Destination;
  readonly waiting: Entry[] = [];
  previous: Peer | undefined;
  next: Peer | undefined;
  linked = false;
  heapIndex = -1;

  constructor(job: Job, destination: Destination) {
    this.job = job;
    this.destination = destination;
  }
}

const MOST_WITHOUT_INDEX = 8;

/** A message's work for one transport. */
export class Job implements Linked<Job>, HeapItem {
  readonly message: Message;
  readonly transport: Transport;
  readonly queuedMs: number;
  readonly peers: Peer[] = [];
  /** Peers with something to hand out, in turn; may hold some that no longer have. */
  readonly ready = new Chain<Peer>();
  /** Place in scheduler order; only preemption changes it. */
  position: number;
  /** Entries made, and entries handed out. */
  read = 0;
  selected = 0;
  /** Delivery slots earned, and those used since it preempted another. */
  available = 0;
  used = 0;
  /** Preemption stack; level -1 is outside the list of jobs. */
  level = -1;
  parent: Job | undefined;
  children: Set<Job> | undefined;
  previous: Job | undefined;
  next: Job | undefined;
  linked = false;
  heapIndex = -1;
  #peerOf: Map<Destination, Peer> | undefined;

  constructor(message: Message, transport: Transport, position: number) {
    this.message = message;
    this.transport = transport;
    this.queuedMs = message.active.activatedMs;
    this.position = position;
  }

  peerFor(destination: Destination): Peer {
    // Nearly every message has one or a few; a map for each of them would be most of its cost.
    let peer =
      this.peers.length <= MOST_WITHOUT_INDEX
        ? this.peers.find((one) => one.destination === destination)
        : this.#index().get(destination);
    if (peer === undefined) {
      peer = new Peer(this, destination);
      this.peers.push(peer);
      this.#peerOf?.set(destination, peer);
    }
    return peer;
  }

  #index(): Map<Destination, Peer> {
    this.#peerOf ??= new Map(this.peers.map((peer) => [peer.destination, peer]));
    return this.#peerOf;
  }
}

/** A destination: where the window is. */
export class Destination implements HeapItem {
  readonly transport: Transport;
  /** Queue name: the nexthop in lower case, with the recipient in front where each is a destination of its own. */
  readonly name: string;
  /** As routed. */
  readonly nexthop: string;
  readonly window: ConcurrencyWindow;
  readonly cacheHints = new CacheHints();
  /** Peers with waiting entries, in job order. */
  readonly peers = new Heap<Peer>((a, b) => a.job.position < b.job.position);
  /** Entries of its peers. */
  waiting = 0;
  /** Batches under way. */
  busy = 0;
  /** Why it is dead. */
  trouble: HopStatus | undefined;
  /** It pauses between deliveries (destination rate delay). */
  suspended = false;
  /** When it is revived or resumed. */
  timerMs = 0;
  heapIndex = -1;

  constructor(transport: Transport, name: string, nexthop: string) {
    this.transport = transport;
    this.name = name;
    this.nexthop = nexthop;
    this.window = new ConcurrencyWindow(transport.windowSettings);
  }

  get freeSlots(): number {
    return this.suspended ? 0 : Math.max(this.window.size - this.busy, 0);
  }
}

/** A transport with its jobs in scheduler order. */
export class Transport implements HeapItem {
  readonly name: string;
  readonly settings: TransportSettings;
  readonly destinations = new Map<string, Destination>();
  readonly jobs = new Chain<Job>();
  readonly candidates = new Heap<Job>((a, b) => a.position < b.position);
  /** Batches under way. */
  busy = 0;
  lastPosition = 0;
  /** Until then it hands out nothing (transport rate delay). */
  timerMs = 0;
  heapIndex = -1;
  /** No job behind this one can preempt it within this second; see preemption.ts. */
  unpreemptable: { readonly job: Job; readonly second: number } | undefined;

  constructor(name: string, settings: TransportSettings) {
    this.name = name;
    this.settings = settings;
  }

  /** A rate delay leaves room for one delivery at a time. */
  get windowSettings(): TransportSettings['window'] {
    const { window, destinationRateDelayMs } = this.settings;
    return destinationRateDelayMs > 0 ? { ...window, initial: 1, limit: 1 } : window;
  }

  /** Batches that may be handed out now. */
  freeSlots(nowMs: number): number {
    if (nowMs < this.timerMs) return 0;
    const limit = this.settings.transportRateDelayMs > 0 ? 1 : this.settings.processLimit;
    return limit - this.busy;
  }
}
