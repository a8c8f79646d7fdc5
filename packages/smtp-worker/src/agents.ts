/**
 * The delivery agents of a worker: one for each (transport, protocol), made when its first batch comes, with the transport's own
 * configuration; all share the resolver's cache.
 *
 * An agent reads its parameters, certificates and unindexed tables when it is made, as a process of smtp(8) does, and so it lives as long as
 * one: it is made anew after `max_use` requests for each of the processes that it stands for, and let go after `max_idle` without any.
 * What it learned about servers outlives it.
 */
import type { Config } from '@mailfleet/config';
import type { WorkerPort } from '@mailfleet/queue';
import {
  createHostFinder,
  createResolver,
  parseDnssecProbe,
  type Resolver,
  transportAgent,
} from '@mailfleet/routing';
import type { ReportStore } from '@mailfleet/scache';
import {
  createDeliveryAgent,
  type DeliveryAgent,
  type DeliveryAgentOptions,
  type LearnedOfHosts,
  learnedOfHosts,
  type Protocol,
  stsDns,
} from '@mailfleet/smtp';
import type { Telemetry } from '@mailfleet/telemetry';
import { fetchPolicy, type MtaSts, openMtaSts, type StsCache } from '@mailfleet/tls';
import { tellingSites } from './mx-site.ts';
import { TlsReportBatches } from './tls-reports.ts';

/** Where a transport's log lines go. */
export type Reporting = (transport: string) => Pick<Telemetry, 'emit' | 'log'>;

export interface AgentsOptions {
  readonly config: Config;
  readonly report: Reporting;
  readonly queue: Pick<WorkerPort, 'reportSite'>;
  /** What all agents of the process have together. */
  readonly shared: Pick<DeliveryAgentOptions, 'sessions' | 'tickets' | 'logins' | 'failedHandshakes'>;
  /** Where MTA-STS policies are kept for the fleet. */
  readonly stsCache?: StsCache;
  /** Where TLS results are counted for the fleet. */
  readonly reportStore?: Pick<ReportStore, 'count'>;
  /** Of a clock that never jumps; default that of the process. */
  readonly steadyNow?: () => number;
}

interface Kept {
  readonly agent: DeliveryAgent;
  /** Requests handed to it. */
  uses: number;
  /** Batches at work. */
  busy: number;
  lastMs: number;
}

export class DeliveryAgents {
  readonly #options: AgentsOptions;
  readonly #steadyNow: () => number;
  readonly #resolver: Resolver;
  readonly #mtaSts: MtaSts;
  readonly #tlsReports: TlsReportBatches | undefined;
  readonly #kept = new Map<string, Kept>();
  readonly #learned = new Map<string, LearnedOfHosts>();
  readonly #maxUse: number;
  readonly #maxIdleMs: number;
  readonly #timer: NodeJS.Timeout;

  constructor(options: AgentsOptions) {
    const { config } = options;
    this.#options = options;
    this.#steadyNow = options.steadyNow ?? (() => performance.now());
    this.#resolver = resolverOf(options);
    this.#mtaSts = mtaStsOf(options, this.#resolver);
    const { reportStore: store } = options;
    const note = (text: string): void => noteBy(options, text);
    this.#tlsReports = store && new TlsReportBatches({ store, dns: stsDns(this.#resolver), note });
    this.#maxUse = config.get('max_use') * config.get('smtp_worker_sessions');
    this.#maxIdleMs = config.get('max_idle');
    this.#timer = setInterval(() => this.dropIdle(), Math.min(this.#maxIdleMs, 0x7fff_ffff));
    this.#timer.unref();
  }

  /** Lends the agent for a batch of so many requests. */
  async use<T>(
    transport: string,
    protocol: Protocol,
    requests: number,
    work: (agent: DeliveryAgent) => Promise<T>,
  ): Promise<T> {
    const kept = this.#take(transport, protocol);
    kept.uses += requests;
    kept.busy += 1;
    try {
      return await work(kept.agent);
    } finally {
      kept.busy -= 1;
      kept.lastMs = this.#steadyNow();
    }
  }

  /** Lets go of those that had nothing to do for `max_idle`. */
  dropIdle(): void {
    const latestMs = this.#steadyNow() - this.#maxIdleMs;
    for (const [key, { busy, lastMs }] of this.#kept) {
      if (busy === 0 && lastMs <= latestMs) this.#kept.delete(key);
    }
  }

  /** Batches at work end with their agents; never rejects. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#tlsReports?.flush();
  }

  #take(transport: string, protocol: Protocol): Kept {
    const key = `${protocol} ${transport}`;
    const kept = this.#kept.get(key);
    // One at work ends its batches; it is only lent no more.
    if (kept !== undefined && kept.uses < this.#maxUse) return kept;
    const made = {
      agent: this.#make(transport, protocol, this.#learnedBy(key)),
      uses: 0,
      busy: 0,
      lastMs: this.#steadyNow(),
    };
    this.#kept.set(key, made);
    return made;
  }

  #learnedBy(key: string): LearnedOfHosts {
    const learned = this.#learned.get(key) ?? learnedOfHosts();
    this.#learned.set(key, learned);
    return learned;
  }

  #make(transport: string, protocol: Protocol, learned: LearnedOfHosts): DeliveryAgent {
    const { config, report, queue, shared } = this.#options;
    const own = config.forTransport(transport);
    const telemetry = report(transport);
    const findHosts = createHostFinder({
      config: own,
      protocol,
      resolver: this.#resolver,
      warn: (text) => telemetry.emit({ kind: 'remark', program: protocol, warning: true, text }),
      note: (text) => telemetry.emit({ kind: 'remark', program: protocol, text }),
    });
    return createDeliveryAgent({
      config: own,
      transport,
      protocol,
      resolver: this.#resolver,
      mtaSts: this.#mtaSts,
      ...(this.#tlsReports === undefined ? {} : { tlsReports: this.#tlsReports }),
      findHosts: config.get('destination_site_rollup')
        ? tellingSites(findHosts, transport, queue, (sentence) => telemetry.log.warn(sentence))
        : findHosts,
      remark: telemetry.emit,
      ...shared,
      learned,
      agentFor: (other) => {
        const its = transportAgent(config, other);
        return its === 'smtp' || its === 'lmtp' ? this.#take(other, its).agent : undefined;
      },
    });
  }
}

const noteBy = ({ report }: AgentsOptions, text: string): void =>
  report('smtp').emit({ kind: 'remark', program: 'smtp', text });

/** Asks nothing until an agent wants it (`smtp_tls_mta_sts`). */
function mtaStsOf(options: AgentsOptions, resolver: Resolver): MtaSts {
  const { stsCache } = options;
  const { txt, addresses } = stsDns(resolver);
  return openMtaSts({
    txt,
    fetch: (domain) => fetchPolicy(domain, { addresses }),
    note: (text) => noteBy(options, text),
    ...(stsCache === undefined ? {} : { cache: stsCache }),
  });
}

/** Throws a sentence when `dnssec_probe` is none. */
function resolverOf({ config, report }: AgentsOptions): Resolver {
  const warn = (text: string): void =>
    report('smtp').emit({ kind: 'remark', program: 'smtp', warning: true, text });
  const dnssecProbe = parseDnssecProbe(config.get('dnssec_probe'));
  if (dnssecProbe !== undefined && 'error' in dnssecProbe) throw new Error(dnssecProbe.error);
  return createResolver({
    servers: config.get('dns_servers'),
    warn,
    ...(dnssecProbe === undefined ? {} : { dnssecProbe }),
  });
}
