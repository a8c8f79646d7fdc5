/**
 * The delivery worker, smtp(8) and lmtp(8) of the fleet: claims batches, up to `smtp_worker_sessions` at a time, and
 * delivers each over one session. It owns nothing but its sockets: kill it, and its batches go to another worker
 * within `batch_lease_time`. When `signal` aborts it finishes the transactions in flight and gives the rest back.
 */
import type { Config } from '@mailfleet/config';
import type { WorkerPort } from '@mailfleet/queue';
import { createHostFinder, createResolver, transportAgent } from '@mailfleet/routing';
import { createDeliveryAgent, type DeliveryAgent, type Protocol } from '@mailfleet/smtp';
import type { Progress, Telemetry } from '@mailfleet/telemetry';
import { deliverClaimed } from './deliver-batch.ts';
import { tellingSites } from './mx-site.ts';

export interface SmtpWorkerOptions {
  readonly config: Config;
  readonly queue: WorkerPort;
  readonly telemetry: Pick<Telemetry, 'emit' | 'log'>;
  /** Unique per process; shown in timelines. */
  readonly name: string;
  readonly signal: AbortSignal;
  readonly progress?: Progress;
}

/** Resolves when `signal` aborted and all batches came home; rejects when the queue is lost. */
export async function runSmtpWorker(options: SmtpWorkerOptions): Promise<void> {
  const { config, queue, telemetry, name, signal } = options;
  const agentFor = makeAgents(config, telemetry, queue);
  const progress = options.progress?.expect('taking batches');
  const work = {
    sessions: config.get('smtp_worker_sessions'),
    signal,
    name,
    ...(progress === undefined ? {} : { progress }),
  };
  await queue.work(work, (claimed) => {
    const { transport, protocol } = claimed.batch;
    return deliverClaimed(claimed, { queue, agent: agentFor(transport, protocol), telemetry });
  });
}

/** One agent per (transport, protocol), made when its first batch comes; all share the resolver's cache. */
function makeAgents(
  config: Config,
  telemetry: Pick<Telemetry, 'emit' | 'log'>,
  queue: WorkerPort,
): (transport: string, protocol: Protocol) => DeliveryAgent {
  const resolver = createResolver({ servers: config.get('dns_servers') });
  const rollup = config.get('destination_site_rollup');
  const agents = new Map<string, DeliveryAgent>();
  const agentFor = (transport: string, protocol: Protocol): DeliveryAgent => {
    const key = `${protocol} ${transport}`;
    let agent = agents.get(key);
    if (agent === undefined) {
      const findHosts = createHostFinder({
        config,
        protocol,
        resolver,
        warn: (text) => telemetry.emit({ kind: 'remark', program: protocol, warning: true, text }),
        note: (text) => telemetry.emit({ kind: 'remark', program: protocol, text }),
      });
      agent = createDeliveryAgent({
        config,
        transport,
        protocol,
        findHosts: rollup
          ? tellingSites(findHosts, transport, queue, (sentence) => telemetry.log.warn(sentence))
          : findHosts,
        remark: telemetry.emit,
        agentFor: (other) => {
          const its = transportAgent(other);
          return its === 'smtp' || its === 'lmtp' ? agentFor(other, its) : undefined;
        },
      });
      agents.set(key, agent);
    }
    return agent;
  };
  return agentFor;
}
