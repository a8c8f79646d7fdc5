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
import { Chain, type Linked } from './chain.ts';
import type { Controls } from './controlled.ts';
import { Heap, type HeapItem } from './heap.ts';
import type { TransportSettings } from './settings.ts';
import { ConcurrencyWindow } from './window.ts';

/** A message in the active queue. */
export class Message {
  readonly active: Omit<ActiveMessage, 'recipients'>;
  /** One for each of its transports. */
  readonly jobs: Job[] = [];
  /** Entries whose result is not known yet; at 0, with all recipients read, the pass ends. */
  open = 0;
  /** Recipients in memory, and how many may be; see slots.ts. */
  recipients = 0;
  slots: number;
  /** Recipients behind `after`, the index of the last one read. */
  unread: number;
  after = -1;
  /** How many were asked for and have not come. */
  reading = 0;
  lastReadMs = 0;
  /** Batches of a former leader that hold recipients of it nobody read yet; reading waits for their end. */
  formerFlights = 0;
  /** Recipients that went out with batches of a former leader: a later read must not hand them out again. */
  handedOut: Set<number> | undefined;
  /** What this pass brought so far; `succeeded`: the sender asked to hear of it (NOTIFY=SUCCESS). */
  deferred = false;
  bounced: boolean;
  succeeded: boolean;
  /** The request to the bounce daemon that the end of the pass waits for. */
  awaits: NoticeRequest['notice'] | undefined;
  /** A warning of the delay was sent. */
  warned: boolean;
  /** Why nothing of it is handed out any more; see stopping.ts. */
  stopped: 'hold' | 'delete' | 'expire' | undefined;
  /** Recipients were taken out without an outcome, as a hold does. */
  withdrawn = false;
  /** An operator expired it. */
  forcedExpire: boolean;
  /** Its destinations are revived when it meets them, and defer_transports does not apply ("flush this one"). */
  readonly flushing: boolean;
  /** A message with one entry needs no index. */
  #only: Entry | undefined;
  /** What paused the destinations of recipients that this pass left alone. */
  parkedFor: Set<Controls> | undefined;
  #entryOf: Map<number, Entry> | undefined;

  /** @param slots recipients that it may hold whatever others do */
  constructor(active: Omit<ActiveMessage, 'recipients'>, slots: number, flushing: boolean) {
    this.active = active;
    this.slots = slots;
    this.unread = active.unread;
    this.flushing = flushing;
    this.bounced = active.unreported.length > 0;
    this.succeeded = active.unreportedSuccess.length > 0;
    this.warned = active.warned;
    this.forcedExpire = active.forcedExpire;
  }

  park(controls: Controls): void {
    this.parkedFor ??= new Set();
    this.parkedFor.add(controls);
  }

  /** The entry that holds a recipient. */
  entryOf(recipient: number): Entry | undefined {
    return this.#entryOf === undefined ? this.#only : this.#entryOf.get(recipient);
  }

  /** The recipient is in the entry's hand now. */
  hold(recipient: number, entry: Entry): void {
    this.#only ??= entry;
    if (this.#entryOf === undefined) {
      if (entry === this.#only) return;
      this.#entryOf = new Map();
      for (const { index } of this.#only.recipients) this.#entryOf.set(index, this.#only);
    }
    this.#entryOf.set(recipient, entry);
  }

  /** The recipient has its outcome. A long list would fill the memory with those that are done. */
  forget(recipient: number): void {
    this.#entryOf?.delete(recipient);
  }
}

/** One delivery request: recipients of one message for one destination. */
export interface Entry {
  readonly message: Message;
  readonly peer: Peer;
  /** Those without an outcome in this pass. */
  recipients: RoutedRecipient[];
  /** Recipients that it was made of; their slots are free when the last of them has its outcome. */
  size: number;
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
  /** Messages not read yet of which it holds recipients; only a former leader's has some. */
  readonly unread?: readonly Message[];
}

/** The entries of one job for one destination that were not handed out. */
export class Peer implements Linked<Peer>, HeapItem {
  readonly job: Job;
  readonly destination: Destination;
  /** As routed. The nexthops of one site share a destination, and each batch is for one of them. */
  readonly nexthop: string;
  readonly waiting: Entry[] = [];
  /** Entries that are not done; without any it is forgotten. */
  open = 0;
  /** Place among the peers of its job. */
  index = -1;
  previous: Peer | undefined;
  next: Peer | undefined;
  linked = false;
  heapIndex = -1;

  constructor(job: Job, destination: Destination, nexthop: string) {
    this.job = job;
    this.destination = destination;
    this.nexthop = nexthop;
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
  /** Its recipients in memory, and its share of the transport's recipient slots; see slots.ts. */
  recipients = 0;
  slots = 0;
  /** Its place among the jobs that have recipients left to read. */
  unread: UnreadJob | undefined;
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
  #peersOf: Map<Destination, Peer[]> | undefined;

  constructor(message: Message, transport: Transport, position: number) {
    this.message = message;
    this.transport = transport;
    this.queuedMs = message.active.activatedMs;
    this.position = position;
  }

  peerFor(destination: Destination, nexthop: string): Peer {
    // Nearly every message has one or a few; a map for each of them would be most of its cost.
    const known =
      this.peers.length <= MOST_WITHOUT_INDEX ? this.peers : (this.#index().get(destination) ?? []);
    let peer = known.find((one) => one.destination === destination && one.nexthop === nexthop);
    if (peer === undefined) {
      peer = new Peer(this, destination, nexthop);
      peer.index = this.peers.length;
      this.peers.push(peer);
      this.#peersOf?.set(destination, [...(this.#peersOf.get(destination) ?? []), peer]);
    }
    return peer;
  }

  /** A long list meets more destinations than it has entries at a time. */
  forget(peer: Peer): void {
    const last = this.peers.pop();
    if (last !== undefined && last !== peer) {
      this.peers[peer.index] = last;
      last.index = peer.index;
    }
    const others = this.#peersOf?.get(peer.destination)?.filter((one) => one !== peer) ?? [];
    if (others.length > 0) this.#peersOf?.set(peer.destination, others);
    else this.#peersOf?.delete(peer.destination);
  }

  #index(): Map<Destination, Peer[]> {
    this.#peersOf ??= Map.groupBy(this.peers, (peer) => peer.destination);
    return this.#peersOf;
  }
}

/** A job on the list of those that have recipients left to read. */
export class UnreadJob implements Linked<UnreadJob> {
  readonly job: Job;
  previous: UnreadJob | undefined;
  next: UnreadJob | undefined;
  linked = false;

  constructor(job: Job) {
    this.job = job;
  }
}

const inJobOrder = (a: Peer, b: Peer): boolean => a.job.position < b.job.position;

/** A destination: where the window is. */
export class Destination implements HeapItem {
  readonly transport: Transport;
  /** Queue name: the site, or the nexthop in lower case, with the recipient in front where each is a destination of its own. */
  readonly name: string;
  /** As routed, or the site. */
  readonly nexthop: string;
  readonly window: ConcurrencyWindow;
  /** Peers with waiting entries, in job order. */
  readonly peers = new Heap<Peer>(inJobOrder);
  /** Entries of its peers. */
  waiting = 0;
  /** Batches under way. */
  busy = 0;
  /** On-demand connection caching, and when a batch ended last; see batching.ts. */
  connectionLoad = false;
  connectionStore = false;
  lastDoneMs = Number.NEGATIVE_INFINITY;
  /** Why it is dead. */
  trouble: HopStatus | undefined;
  /** What the last delivery request ended with. */
  lastReply: { readonly reason: string; readonly atMs: number } | undefined;
  /** It pauses between deliveries (destination rate delay). */
  suspended = false;
  /** No warning that it takes up the active queue before this time. */
  clogQuietMs = 0;
  /** When it is revived or resumed. */
  timerMs = 0;
  heapIndex = -1;
  #controls: Controls | undefined;

  constructor(transport: Transport, name: string, nexthop: string, controls: Controls | undefined) {
    this.transport = transport;
    this.name = name;
    this.nexthop = nexthop;
    this.window = new ConcurrencyWindow(transport.settings.window);
    this.control(controls);
  }

  /** What an operator has set on it now. */
  get controls(): Controls | undefined {
    return this.#controls;
  }

  control(controls: Controls | undefined): void {
    this.#controls = controls;
    // A rate delay leaves room for one delivery at a time.
    this.window.limitTo(
      this.rateDelayMs > 0
        ? 1
        : (controls?.get('concurrency-limit')?.value ?? this.transport.settings.window.limit),
    );
  }

  /** Pause after each delivery. */
  get rateDelayMs(): number {
    return this.#controls?.get('rate-delay')?.value ?? this.transport.settings.destinationRateDelayMs;
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
  /** In order of time. */
  readonly unreadJobs = new Chain<UnreadJob>();
  /** Recipient slots that no job has; below 0 while preempting jobs hold some of the reserve. */
  unusedSlots: number;
  readonly candidates = new Heap<Job>((a, b) => a.position < b.position);
  /** Batches under way. */
  busy = 0;
  lastPosition = 0;
  /** Until then it hands out nothing (transport rate delay). */
  timerMs = 0;
  heapIndex = -1;
  /** The best job to go before the current one within this second, if any can; see preemption.ts. */
  candidate: { readonly behind: Job; readonly second: number; readonly best: Job | undefined } | undefined;

  constructor(name: string, settings: TransportSettings) {
    this.name = name;
    this.settings = settings;
    this.unusedSlots = settings.slots.limit;
  }

  /** Batches that may be handed out now. */
  freeSlots(nowMs: number): number {
    if (nowMs < this.timerMs) return 0;
    const limit = this.settings.transportRateDelayMs > 0 ? 1 : this.settings.processLimit;
    return limit - this.busy;
  }
}
