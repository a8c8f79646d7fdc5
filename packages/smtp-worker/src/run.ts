/**
 * The delivery worker, smtp(8) and lmtp(8) of the fleet: claims batches, up to `smtp_worker_sessions` at a time, and
 * delivers each over one session, which may then wait for the next batch. It owns nothing but its sockets: kill it, and its batches go to another worker
 * within `batch_lease_time`. When `signal` aborts it finishes the transactions in flight and gives the rest back.
 */
import type { Config } from '@mailfleet/config';
import type { ScriptPort, SuppressionPort, TranscriptPort, WorkerPort } from '@mailfleet/queue';
import {
  openFailedHandshakes,
  openRejectionStore,
  openReportStore,
  openSessionRegistry,
  openStsCache,
  openTicketStore,
} from '@mailfleet/scache';
import { checkLogins, LOGIN_KEY_USE, SessionPool, type SharedLogins, shareLogins } from '@mailfleet/smtp';
import type { MailEvent, Progress, Telemetry, Watchdog } from '@mailfleet/telemetry';
import { readFleetKey, SessionTickets, sessionLifetimeMs } from '@mailfleet/tls';
import { DeliveryAgents, type Reporting } from './agents.ts';
import { deliverClaimed } from './deliver-batch.ts';
import { listIn, tellOfSessions } from './list-sessions.ts';
import { reportCache } from './report-cache.ts';
import { openSuppressionList } from './suppression.ts';

export interface SmtpWorkerOptions {
  readonly config: Config;
  readonly queue: WorkerPort & ScriptPort & TranscriptPort & SuppressionPort;
  readonly telemetry: Pick<Telemetry, 'emit' | 'log'>;
  /** Unique per process; shown in timelines. */
  readonly name: string;
  readonly signal: AbortSignal;
  readonly progress?: Progress;
  /** Told of each batch and of each message of it. */
  readonly watchdog?: Watchdog;
  /** Calls back with each new configuration, for the batches that come from then on. Returns how to stop that. */
  readonly follow?: (take: (config: Config) => void) => () => void;
}

/** Resolves when `signal` aborted and all batches came home; rejects when the queue is lost. */
export async function runSmtpWorker(options: SmtpWorkerOptions): Promise<void> {
  const { config, queue, telemetry, name, signal } = options;
  const sessionLimit = config.get('smtp_worker_sessions');
  const registry = openSessionRegistry({ config, queue });
  const sessions = new SessionPool({
    sessionLimit,
    endpointLimit: config.get('connection_cache_endpoint_limit'),
    listener: listIn(registry, config.get('scheduler_shards'), name),
  });
  const tickets = openTickets(config, queue, telemetry.log);
  const logins = openLogins(config, queue, telemetry.log);
  const stsCache = openStsCache(queue);
  const failedHandshakes = openFailedHandshakes(queue);
  const reportStore = openReportStore(queue);
  const equip = (using: Config): { readonly report: Reporting; readonly agents: DeliveryAgents } => {
    const report = reportingBy(using, telemetry);
    const shared = { sessions, tickets, logins, failedHandshakes };
    return {
      report,
      agents: new DeliveryAgents({ config: using, report, queue, shared, stsCache, reportStore }),
    };
  };
  let equipment = equip(config);
  const suppression = openSuppressionList(config, queue);
  const stopFollowing = options.follow?.((changed) => {
    const former = equipment;
    equipment = equip(changed);
    // Batches at work end with the agents that they began with.
    void former.agents.close();
  });
  const stopReports = reportCache(sessions, config.get('connection_cache_status_update_time'), telemetry);
  const share = config.get('connection_cache_share');
  const stopTelling = tellOfSessions(queue, name, sessions, share);
  try {
    const progress = options.progress?.expect('taking batches');
    const work = {
      sessions: sessionLimit,
      signal,
      name,
      ownBatches: share,
      ...(progress === undefined ? {} : { progress }),
    };
    await queue.work(work, (claimed) => {
      const { id, transport, protocol, nexthop, requests } = claimed.batch;
      const watched = options.watchdog?.watch(`batch ${id} to ${transport}:${nexthop}`);
      const { agents, report } = equipment;
      return agents
        .use(transport, protocol, requests.length, (agent) =>
          deliverClaimed(claimed, {
            queue,
            agent,
            suppression,
            telemetry: report(transport),
            onRecord: () => watched?.pat(),
            claimElsewhere: (endpoints) => registry.claimAt(endpoints, name),
          }),
        )
        .finally(() => watched?.done());
    });
  } finally {
    stopFollowing?.();
    await equipment.agents.close();
    await sessions.close();
    stopTelling();
    stopReports();
  }
}

/** Log lines of a transport whose master.cf gives it a `syslog_name` begin with that. */
function reportingBy(config: Config, telemetry: Pick<Telemetry, 'emit' | 'log'>): Reporting {
  const common = config.get('syslog_name');
  return (transport) => {
    const syslogName = config.forTransport(transport).get('syslog_name');
    if (syslogName === common) return telemetry;
    return { log: telemetry.log, emit: (event: MailEvent) => telemetry.emit({ ...event, syslogName }) };
  };
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

/** What workers share about logins: with a key, rejections too. Throws a sentence when main.cf is wrong about logins. */
function openLogins(config: Config, queue: ScriptPort, log: Telemetry['log']): SharedLogins {
  for (const protocol of ['smtp', 'lmtp'] as const) checkLogins(config, protocol);
  const warn = (sentence: string): void => log.warn(sentence);
  const file = config.get('sasl_auth_cache_key_file');
  if (file !== '') {
    const key = readFleetKey('sasl_auth_cache_key_file', file, LOGIN_KEY_USE);
    return shareLogins({ fleet: { key, rejections: openRejectionStore(queue) }, warn });
  }
  for (const name of ['smtp_sasl_auth_cache_name', 'lmtp_sasl_auth_cache_name'] as const) {
    if (config.get(name) === '') continue;
    log.info(`sasl_auth_cache_key_file is not set: each worker keeps its own ${name}`);
  }
  return shareLogins({ warn });
}
