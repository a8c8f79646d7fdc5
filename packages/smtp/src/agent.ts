/**
 * The delivery agent: takes a batch, delivers each request over as few sessions as possible, and reports each one as it ends.
 *
 * Promises: every request of the batch is either recorded or named in `returned`, never both (none is when the batch was handed over); all records are durable when
 * `deliverBatch` resolves. When the destination turns out dead, or the signal aborts, the requests that were not begun
 * come back untried, so that they are not charged for it; when a content cannot be read, its request is deferred and the rest
 * comes back too, for a process that can read. It rejects only when `record` does.
 */
import type { Config } from '@mailfleet/config';
import {
  findSourceAddresses,
  parseNexthop,
  type Resolver,
  readHostSearchSettings,
  type SourceAddresses,
} from '@mailfleet/routing';
import {
  createTlsClient,
  type FailedHandshakes,
  globalLevel,
  type MtaSts,
  openRequireTlsPolicy,
  openTlsPolicies,
  Resumption,
  type SessionTickets,
  sessionLifetimeMs,
  trustTerms,
} from '@mailfleet/tls';
import type { NextRequest } from './ahead.ts';
import { Attempt, type Remark, type Surroundings } from './attempt.ts';
import { openContentRules } from './content/content-rules.ts';
import { WireAddressBook } from './content/generic-rules.ts';
import { ContentPrefetch, type FetchContent, RepeatableContent } from './content/prefetch.ts';
import { openDebugPeers } from './debug-peers.ts';
import type { Batch, DeliveryRequest, Protocol, RequestResult } from './delivery.ts';
import type { Element } from './element.ts';
import { HostLoop, type HostLoopOptions } from './host-loop.ts';
import { type LearnedOfHosts, learnedOfHosts } from './host-memory.ts';
import type { FindHosts } from './hosts.ts';
import { BatchReuse } from './reuse/batch-reuse.ts';
import { reuseRules, sessionKey } from './reuse/reuse-policy.ts';
import type { SessionPool } from './reuse/session-pool.ts';
import { openSasl } from './sasl/login.ts';
import { type SharedLogins, shareLogins } from './sasl/shared-logins.ts';
import { openServerMaps } from './server-maps.ts';
import { agentSettings } from './settings.ts';
import { needsForHead, needsSmtputf8 } from './smtputf8.ts';
import { openStatusFilter, type StatusFilter } from './status-filter.ts';
import { daneDns } from './tls/dane-dns.ts';
import type { TlsReports } from './tls/report-result.ts';
import { routedDomain } from './tls/routed-domain.ts';
import type { Content } from './transaction.ts';

export interface DeliveryAgentOptions {
  readonly config: Config;
  /** Service name; the agent takes batches of this transport only. */
  readonly transport: string;
  readonly protocol: Protocol;
  readonly findHosts: FindHosts;
  /** For DANE: its servers validate, and the way to them is safe; undefined: there is no DANE. */
  readonly resolver?: Pick<Resolver, 'lookup'>;
  /** For MTA-STS, shared by the agents of a process; undefined: there is none. */
  readonly mtaSts?: MtaSts;
  /** Where TLS results go (`smtp_tlsrpt_enable`); undefined: nobody reports. */
  readonly tlsReports?: TlsReports;
  /** What smtp(8) would log besides the delivery records; the default drops it. */
  readonly remark?: (event: Remark) => void;
  /** Agents of other transports, for `best_mx_transport`; undefined: there is no such transport. */
  readonly agentFor?: (transport: string) => DeliveryAgent | undefined;
  /** Where sessions wait for the next batch, shared by the agents of a process; undefined: they end with theirs. */
  readonly sessions?: SessionPool;
  /** What the workers of a fleet share about logins; undefined: each process keeps it to itself. */
  readonly logins?: SharedLogins;
  /** TLS sessions that may be resumed, shared by the agents of a process; undefined: every handshake is a full one. */
  readonly tickets?: SessionTickets;
  /** Servers whose TLS handshakes fail, as the fleet knows them; undefined: each message finds it out. */
  readonly failedHandshakes?: FailedHandshakes;
  /** What an earlier agent of this transport learned of servers; default nothing. */
  readonly learned?: LearnedOfHosts;
  /** Clocks, timer and port number; for tests. */
  readonly environment?: Partial<Environment>;
}

type Environment = Pick<Surroundings, 'now' | 'steadyNow' | 'sleep' | 'mailPort'>;

const theWorld: Environment = {
  now: Date.now,
  steadyNow: () => performance.now(),
  sleep: async (ms) => {
    await new Promise((resolve) => setTimeout(resolve, ms));
  },
  mailPort: 25,
};

/** What an agent needs from whoever owns the queue. */
export interface BatchIo {
  /**
   * Content of a request; undefined: it is gone, and the message is to be set aside (`RequestResult.corruption`). Rejects when it cannot be read here and now: the
   * message is deferred. Called ahead of time, and again for a second host if it was a stream.
   */
  readonly content: FetchContent;
  /** Called just before the final dot: from here on these recipients may get the message even if we die. */
  beforeDot(request: DeliveryRequest, recipients: readonly number[]): void;
  /** Durable when it resolves; calls overlap. */
  record(result: RequestResult): Promise<void>;
  /** Aborts: finish the transaction in flight, give the rest back. */
  readonly signal: AbortSignal;
  /**
   * Called at most once, before anything of the batch is begun, when another process may have a session to one of these endpoints. True:
   * the batch went there, nothing of it is done here any more. Absent: it must stay.
   */
  readonly handOver?: (endpoints: readonly string[]) => Promise<boolean>;
  /** Handed over by another agent's `best_mx_transport`: must not be handed over again. */
  readonly passedOn?: true;
}

export interface DeliveryAgent {
  readonly transport: string;
  readonly protocol: Protocol;
  /** @returns queue ids of requests that were never tried. */
  deliverBatch(batch: Batch, io: BatchIo): Promise<{ readonly returned: readonly string[] }>;
}

/** Records that may be on their way to the store before the next transaction waits for the oldest. */
const RECORDS_IN_FLIGHT = 64;

/** A store that is silent for longer may be lost to us, and our batch in another's hands: nothing more is begun meanwhile. */
const RECORD_OVERDUE_MS = 2_000;

export const createDeliveryAgent = (options: DeliveryAgentOptions): DeliveryAgent => {
  const { config, protocol } = options;
  const settings = agentSettings(config, protocol);
  const remark = options.remark ?? (() => undefined);
  const warn = (text: string): void => remark({ kind: 'remark', program: protocol, warning: true, text });
  const { ahead, chunking } = options.learned ?? learnedOfHosts();
  const around: Surroundings = {
    settings,
    remark,
    ...theWorld,
    ...options.environment,
    contentRules: openContentRules(config, protocol, warn),
    aheadMemory: ahead,
    chunkingMemory: chunking,
    debugPeers: openDebugPeers(config, warn),
  };
  const statusFilter = openStatusFilter(config, protocol);
  const rules = reuseRules(config, options.transport, protocol);
  const sasl = openSasl({
    config,
    protocol,
    around,
    logins: options.logins ?? shareLogins({ ...around, warn }),
  });
  const maps = openServerMaps(config, protocol, warn);
  const tls = createTlsClient(config, protocol, { warn, steadyNow: around.steadyNow });
  const { resolver } = options;
  const wantsSts = protocol === 'smtp' && config.get('smtp_tls_mta_sts') !== 'no';
  const mtaSts = wantsSts ? options.mtaSts : undefined;
  if (config.get('smtp_tls_mta_sts') === 'enforce' && mtaSts !== undefined && !trustsAnybody(config)) {
    warn(
      'smtp_tls_mta_sts = enforce, but no authority is trusted: set smtp_tls_CAfile (Debian: /etc/ssl/certs/ca-certificates.crt), or mail to domains with a policy will wait',
    );
  }
  const dns = resolver && daneDns(resolver, readHostSearchSettings(config, protocol).lookups, warn);
  const policies = openTlsPolicies(config, protocol, { warn, dns, mtaSts });
  if (tls.unavailable !== undefined && globalLevel(config, protocol) !== 'none') {
    warn(`TLS is unavailable: ${tls.unavailable}`);
  }

  const tlsReports = reportsTls(config, protocol, warn) ? options.tlsReports : undefined;
  const requireTls = settings.requireTlsEnabled ? openRequireTlsPolicy(config, protocol) : undefined;
  for (const text of sasl?.notes ?? []) warn(text);
  const { tickets } = options;
  const lifetimeMs = sessionLifetimeMs(config, protocol);
  const resume: HostLoopOptions['resume'] = (host, policy, destination) =>
    tickets === undefined || lifetimeMs === 0 || policy.level === 'none' || tls.unavailable !== undefined
      ? undefined
      : new Resumption({
          tickets,
          key: sessionKey(rules, host, policy, destination, trustTerms(tls.trust)),
          lifetimeMs,
          nowMs: around.now(),
        });

  let source: Promise<SourceAddresses> | undefined;

  return {
    transport: options.transport,
    protocol,
    deliverBatch: async (batch, io) => {
      if (batch.transport !== options.transport) {
        throw new Error(`batch ${batch.id} is for transport ${batch.transport}, not ${options.transport}`);
      }
      const elements = elementsOf(batch.nexthop, around);
      let begun = false;
      const handOver: BatchIo['handOver'] = async (endpoints) =>
        !begun && !io.signal.aborted && (await io.handOver?.(endpoints)) === true;
      const pool = options.sessions;
      const reuse = pool && (await BatchReuse.begin({ rules, pool, batch, sasl, warn, handOver }));
      source ??= findSourceAddresses(config);
      const loop = new HostLoop({
        around,
        tls,
        policies,
        requireTls,
        tlsReports,
        maps,
        findHosts: options.findHosts,
        nexthop: batch.nexthop,
        elements,
        source: await source,
        mayPassOn: settings.bestMx !== undefined && io.passedOn !== true,
        reuse,
        sasl,
        resume,
        failedHandshakes: options.failedHandshakes,
      });
      const { generic } = around.contentRules;
      const addresses = generic && new WireAddressBook(generic, around.remark, protocol);
      const contents = new ContentPrefetch(batch.requests, addresses?.alongWith(io.content) ?? io.content);
      const records = new Records(io, around.steadyNow);
      const returned: string[] = [];
      try {
        for (const [position, request] of batch.requests.entries()) {
          await records.ready();
          if (io.signal.aborted || records.failed || returned.length > 0) {
            returned.push(request.envelope.queueId);
            continue;
          }
          const following = batch.requests[position + 1];
          // A session that was opened for one sender's credentials serves no other sender.
          const sameLogin =
            sasl?.senderDependent !== true || following?.envelope.sender === request.envelope.sender;
          const next = sameLogin && wantsSameTls(request, following, batch.nexthop) ? following : undefined;
          const wanted = (): boolean => next !== undefined && !io.signal.aborted && !records.failed;
          const result = await deliverRequest(request, {
            around,
            batch,
            loop,
            agentFor: options.agentFor,
            statusFilter,
            io,
            contents,
            addresses,
            position,
            wanted,
            next: () =>
              next !== undefined && wanted() && !records.behind
                ? nextAtHand(next, contents.atHand(position + 1), addresses)
                : undefined,
          });
          if (result === 'handed-over') break;
          begun = true;
          records.add(result);
          if (result.hopStatus !== undefined || contents.failed) {
            returned.push(...batch.requests.slice(position + 1).map((rest) => rest.envelope.queueId));
            break;
          }
        }
      } finally {
        await loop.close();
        reuse?.end();
        await contents.dispose();
        await records.settle();
      }
      return { returned };
    },
  };
};

interface RequestContext {
  readonly around: Surroundings;
  readonly batch: Batch;
  readonly agentFor: DeliveryAgentOptions['agentFor'];
  readonly statusFilter: StatusFilter | undefined;
  readonly loop: HostLoop;
  readonly io: BatchIo;
  readonly contents: ContentPrefetch;
  readonly addresses: WireAddressBook | undefined;
  readonly position: number;
  readonly wanted: () => boolean;
  readonly next: () => NextRequest | undefined;
}

/** `smtp_tlsrpt_enable`, and TLS is not turned off; for LMTP it has no meaning. */
const reportsTls = (config: Config, protocol: Protocol, warn: (text: string) => void): boolean => {
  if (!config.getFor(protocol, 'smtp_tlsrpt_enable')) return false;
  if (protocol === 'lmtp') {
    warn('lmtp_tlsrpt_enable is ignored: TLS reports are about mail by SMTP (RFC 8460)');
    return false;
  }
  const socket = config.getFor(protocol, 'smtp_tlsrpt_socket_name');
  if (socket !== '') {
    warn(
      `smtp_tlsrpt_socket_name = ${socket} is not needed: the fleet collects results in Redis and sends the reports itself`,
    );
  }
  return globalLevel(config, protocol) !== 'none';
};

/** main.cf names authorities that servers may be vouched for by. */
const trustsAnybody = (config: Config): boolean =>
  config.get('smtp_tls_CAfile') !== '' ||
  config.get('smtp_tls_CApath') !== '' ||
  config.get('tls_append_default_CA');

/**
 * What one may do on a session the other may too: neither REQUIRETLS nor TLS-Required tells them apart, nor that the nexthop's own MTA-STS
 * policy counts for one of them alone.
 */
const wantsSameTls = (
  request: DeliveryRequest,
  following: DeliveryRequest | undefined,
  nexthop: string,
): following is DeliveryRequest =>
  following !== undefined &&
  following.envelope.probe !== true &&
  (request.envelope.requireTls === true) === (following.envelope.requireTls === true) &&
  (request.envelope.tlsOptional === true) === (following.envelope.tlsOptional === true) &&
  routedDomain(request.recipients, nexthop) === routedDomain(following.recipients, nexthop);

const nextAtHand = (
  request: DeliveryRequest,
  content: Content | undefined,
  addresses: WireAddressBook | undefined,
): NextRequest | undefined => {
  const wire = addresses?.of(request);
  if (!Buffer.isBuffer(content) || (wire !== undefined && 'error' in wire)) return undefined;
  return { request, needsSmtputf8: needsForHead(request, content), wire };
};

const deliverRequest = async (
  request: DeliveryRequest,
  context: RequestContext,
): Promise<RequestResult | 'handed-over'> => {
  const { around, loop, io, contents, addresses, position, wanted, next, statusFilter } = context;
  const attempt = new Attempt(request, around);
  const unreadable = (error: unknown): 'unreadable' => {
    attempt.remark(`content cannot be read: ${error instanceof Error ? error.message : String(error)}`, true);
    return 'unreadable';
  };
  let content = await contents.take(position).catch(unreadable);
  if (content !== undefined && content !== 'unreadable') {
    const needed = await needsSmtputf8(request, content).catch(unreadable);
    if (needed === 'unreadable') content = needed;
    else attempt.needsSmtputf8 = needed;
  }
  if (content === undefined || content === 'unreadable') {
    if (content === undefined) attempt.corruption = 'its content is gone';
    attempt.finalServer = true;
    attempt.failAll('message', { status: '4.3.0', reason: 'unreadable mail queue entry' });
    return attempt.result();
  }
  const wire = addresses?.of(request);
  if (wire !== undefined && 'error' in wire) {
    attempt.finalServer = true;
    attempt.failAll('message', { status: '4.3.0', reason: wire.error });
    return attempt.result();
  }
  attempt.wire = wire;
  const repeatable = new RepeatableContent(content, async () => {
    const again = await io.content(request).catch(unreadable);
    return again === 'unreadable' ? undefined : again;
  });
  const end = await loop.deliver(attempt, {
    content: repeatable,
    beforeDot: (recipients) => io.beforeDot(request, recipients),
    wanted,
    next,
  });
  repeatable.dispose();
  if (end === 'handed-over') return end;
  if (end === 'looped') await passOn(attempt, context);
  const result = attempt.result();
  return statusFilter === undefined
    ? result
    : await statusFilter(result, (text) => attempt.remark(text, true));
};

/**
 * The local host is the best MX: `best_mx_transport` delivers to each recipient in our place, at once and beside its own
 * destinations' limits, as smtp(8) does it.
 */
const passOn = async (attempt: Attempt, context: RequestContext): Promise<void> => {
  const { around, batch, agentFor, io } = context;
  const { bestMx } = around.settings;
  const { request } = attempt;
  for (const recipient of attempt.recipients) {
    const transport = bestMx?.transport ?? '';
    attempt.remark(`passing <${recipient.address}> to transport=${transport}`);
    const agent = agentFor?.(transport);
    if (agent === undefined) {
      attempt.giveUp({ status: '4.3.0', reason: 'mail transport unavailable' });
      return;
    }
    const nexthop = bestMx?.nexthop || batch.nexthop;
    const { protocol } = agent;
    const requests = [{ ...request, recipients: [recipient] }];
    await agent.deliverBatch(
      { ...batch, transport, protocol, nexthop, requests },
      {
        content: () => io.content(request),
        beforeDot: (_, recipients) => io.beforeDot(request, recipients),
        record: async ({ outcomes }) => {
          for (const outcome of outcomes) attempt.adopt(outcome);
        },
        signal: new AbortController().signal,
        passedOn: true,
      },
    );
  }
};

const elementsOf = (nexthop: string, { settings, remark }: Surroundings): Element[] => {
  const { protocol, fallbackRelays } = settings;
  const parsed = parseNexthop(nexthop, protocol);
  if (parsed.kind === 'unix') {
    if (fallbackRelays.length > 0) {
      const text = `ignoring "lmtp_fallback_relay = ${fallbackRelays.join(' ')}" setting for non-TCP connections`;
      remark({ kind: 'remark', program: protocol, warning: true, text });
    }
    return [parsed];
  }
  return [
    ...parsed.destinations.map((destination): Element => ({ kind: 'tcp', destination, fallback: false })),
    ...fallbackRelays.map((destination): Element => ({ kind: 'tcp', destination, fallback: true })),
  ];
};

/** Records on their way to the store. */
class Records {
  readonly #io: BatchIo;
  readonly #steadyNow: () => number;
  /** Oldest first. */
  readonly #pending = new Set<{ readonly sinceMs: number; readonly answered: Promise<void> }>();
  #error: unknown;
  failed = false;

  constructor(io: BatchIo, steadyNow: () => number) {
    this.#io = io;
    this.#steadyNow = steadyNow;
  }

  add(result: RequestResult): void {
    const sinceMs = this.#steadyNow();
    const answered = this.#io
      .record(result)
      .catch((error: unknown) => {
        if (!this.failed) this.#error = error;
        this.failed = true;
      })
      .then(() => {
        this.#pending.delete(record);
      });
    const record = { sinceMs, answered };
    this.#pending.add(record);
  }

  /** The store does not keep up, or is not there. */
  get behind(): boolean {
    const [oldest] = this.#pending;
    if (oldest === undefined) return false;
    return this.#pending.size >= RECORDS_IN_FLIGHT || this.#steadyNow() - oldest.sinceMs >= RECORD_OVERDUE_MS;
  }

  /** Waits while the store is behind. */
  async ready(): Promise<void> {
    while (this.behind) {
      const [oldest] = this.#pending;
      await oldest?.answered;
    }
  }

  /** Waits for all; rejects with the first error. */
  async settle(): Promise<void> {
    await Promise.all([...this.#pending].map(({ answered }) => answered));
    if (this.failed) throw this.#error;
  }
}
