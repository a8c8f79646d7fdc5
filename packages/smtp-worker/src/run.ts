/**
 * The delivery worker, smtp(8) and lmtp(8) of the fleet: claims batches, up to `smtp_worker_sessions` at a time, and
 * delivers each over one session, which may then wait for the next batch. It owns nothing but its sockets: kill it, and its batches go to another worker
 * within `batch_lease_time`. When `signal` aborts it finishes the transactions in flight and gives the rest back.
 */
import type { Config } from '@mailfleet/config';
import type { ScriptPort, TranscriptPort, WorkerPort } from '@mailfleet/queue';
import { createHostFinder, createResolver, parseDnssecProbe, transportAgent } from '@mailfleet/routing';
import { openSessionRegistry, openTicketStore } from '@mailfleet/scache';
import { createDeliveryAgent, type DeliveryAgent, type Protocol, SessionPool } from '@mailfleet/smtp';
import type { MailEvent, Progress, Telemetry } from '@mailfleet/telemetry';
import { readFleetKey, SessionTickets, sessionLifetimeMs } from '@mailfleet/tls';
import { deliverClaimed } from './deliver-batch.ts';
import { listIn } from './list-sessions.ts';
import { tellingSites } from './mx-site.ts';
import { reportCache } from './report-cache.ts';

export interface SmtpWorkerOptions {
  readonly config: Config;
  readonly queue: WorkerPort & ScriptPort & TranscriptPort;
  readonly telemetry: Pick<Telemetry, 'emit' | 'log'>;
  /** Unique per process; shown in timelines. */
  readonly name: string;
  readonly signal: AbortSignal;
  readonly progress?: Progress;
}

/** Resolves when `signal` aborted and all batches came home; rejects when the queue is lost. */
export async function runSmtpWorker(options: SmtpWorkerOptions): Promise<void> {
  const { config, queue, telemetry, name, signal } = options;
  const sessionLimit = config.get('smtp_worker_sessions');
  const sessions = new SessionPool({
    sessionLimit,
    endpointLimit: config.get('connection_cache_endpoint_limit'),
    listener: listIn(openSessionRegistry({ config, queue }), config.get('scheduler_shards'), name),
  });
  const report = reportingBy(config, telemetry);
  const tickets = openTickets(config, queue, telemetry.log);
  const agentFor = makeAgents(config, report, queue, { sessions, tickets });
  const stopReports = reportCache(sessions, config.get('connection_cache_status_update_time'), telemetry);
  try {
    const progress = options.progress?.expect('taking batches');
    const work = {
      sessions: sessionLimit,
      signal,
      name,
      ownBatches: config.get('connection_cache_share'),
      ...(progress === undefined ? {} : { progress }),
    };
    await queue.work(work, (claimed) => {
      const { transport, protocol } = claimed.batch;
      return deliverClaimed(claimed, {
        queue,
        agent: agentFor(transport, protocol),
        telemetry: report(transport),
      });
    });
  } finally {
    await sessions.close();
    stopReports();
  }
}

type Reporting = (transport: string) => Pick<Telemetry, 'emit' | 'log'>;

/** Log lines of a transport whose master.cf gives it a `syslog_name` begin with that. */
function reportingBy(config: Config, telemetry: Pick<Telemetry, 'emit' | 'log'>): Reporting {
  const common = config.get('syslog_name');
  return (transport) => {
    const syslogName = config.forTransport(transport).get('syslog_name');
    if (syslogName === common) return telemetry;
    return { log: telemetry.log, emit: (event: MailEvent) => telemetry.emit({ ...event, syslogName }) };
  };
}

/**
 * One agent per (transport, protocol), made when its first batch comes, with the transport's own configuration; all share the
 * resolver's cache.
 */
function makeAgents(
  config: Config,
  report: Reporting,
  queue: WorkerPort,
  shared: { readonly sessions: SessionPool; readonly tickets: SessionTickets },
): (transport: string, protocol: Protocol) => DeliveryAgent {
  const warn = (text: string): void =>
    report('smtp').emit({ kind: 'remark', program: 'smtp', warning: true, text });
  const dnssecProbe = parseDnssecProbe(config.get('dnssec_probe'));
  if (dnssecProbe !== undefined && 'error' in dnssecProbe) throw new Error(dnssecProbe.error);
  const resolver = createResolver({
    servers: config.get('dns_servers'),
    warn,
    ...(dnssecProbe === undefined ? {} : { dnssecProbe }),
  });
  const rollup = config.get('destination_site_rollup');
  const agents = new Map<string, DeliveryAgent>();
  const agentFor = (transport: string, protocol: Protocol): DeliveryAgent => {
    const key = `${protocol} ${transport}`;
    let agent = agents.get(key);
    if (agent === undefined) {
      const own = config.forTransport(transport);
      const telemetry = report(transport);
      const findHosts = createHostFinder({
        config: own,
        protocol,
        resolver,
        warn: (text) => telemetry.emit({ kind: 'remark', program: protocol, warning: true, text }),
        note: (text) => telemetry.emit({ kind: 'remark', program: protocol, text }),
      });
      agent = createDeliveryAgent({
        config: own,
        transport,
        protocol,
        resolver,
        findHosts: rollup
          ? tellingSites(findHosts, transport, queue, (sentence) => telemetry.log.warn(sentence))
          : findHosts,
        remark: telemetry.emit,
        ...shared,
        agentFor: (other) => {
          const its = transportAgent(config, other);
          return its === 'smtp' || its === 'lmtp' ? agentFor(other, its) : undefined;
        },
      });
      agents.set(key, agent);
    }
    return agent;
  };
  return agentFor;
}

/** TLS sessions to resume: the fleet's with a key, else the process's own. Throws a sentence when the key cannot be used. */
function openTickets(config: Config, queue: ScriptPort, log: Pick<Telemetry['log'], 'info'>): SessionTickets {
  const file = config.get('tls_session_cache_key_file');
  if (file !== '') {
    const key = readFleetKey('tls_session_cache_key_file', file);
    return new SessionTickets({ fleet: { store: openTicketStore(queue), key } });
  }
  if (sessionLifetimeMs(config, 'smtp') > 0 || sessionLifetimeMs(config, 'lmtp') > 0) {
    log.info(
      'tls_session_cache_key_file is not set: TLS sessions are resumed by the worker that made them only',
    );
  }
  return new SessionTickets();
}
