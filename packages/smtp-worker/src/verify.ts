/**
 * Address probes: asks the server that mail for an address would go to whether it takes it, and sends nothing. Past the queue and its
 * limits, from this process: for an operator's question, not for a list of addresses.
 */
import type { Config } from '@mailfleet/config';
import type { Router } from '@mailfleet/routing';
import { deliverMessage } from '@mailfleet/smtp';
import type { MailEvent } from '@mailfleet/telemetry';
import { DeliveryAgents, type Reporting } from './agents.ts';

export interface VerifyOptions {
  readonly config: Config;
  readonly router: Pick<Router, 'route'>;
  /** Empty for the null sender. */
  readonly sender: string;
  readonly log: ReturnType<Reporting>['log'];
  /** Sees what a worker would log. */
  readonly emit?: (event: MailEvent) => void;
}

export interface Verdict {
  /** `unknown`: nobody could say for now. */
  readonly kind: 'deliverable' | 'undeliverable' | 'unknown';
  readonly address: string;
  readonly transport: string;
  readonly relay: string;
  readonly status: string;
  readonly reason: string;
}

const KINDS = { delivered: 'deliverable', bounced: 'undeliverable', deferred: 'unknown' } as const;

/** Never rejects but for a bug. */
export async function verifyAddress(recipient: string, options: VerifyOptions): Promise<Verdict> {
  const { config, router, sender, log, emit = () => undefined } = options;
  const route = await router.route(recipient, sender);
  const { address } = route;
  if (route.kind === 'error') return verdictOf('unknown', address, '', route.status, route.reason);
  const { transport, agent: protocol, nexthop } = route;
  switch (protocol) {
    case 'error': {
      const [, status = '5.0.0', reason = nexthop] = /^(5\.\d{1,3}\.\d{1,3})\s+(.*)$/s.exec(nexthop) ?? [];
      return verdictOf('undeliverable', address, transport, status, reason);
    }
    case 'discard':
      return verdictOf('deliverable', address, transport, '2.0.0', nexthop);
    case 'retry':
      return verdictOf('unknown', address, transport, '4.0.0', nexthop);
    case 'none':
      return verdictOf('unknown', address, transport, '4.3.0', 'mail transport unavailable');
  }
  const agents = new DeliveryAgents({
    config,
    report: () => ({ emit, log }),
    queue: { reportSite: async () => undefined },
    shared: {},
  });
  try {
    const result = await agents.use(transport, protocol, 1, (agent) =>
      deliverMessage(agent, {
        nexthop,
        sender,
        recipients: [address],
        content: Buffer.alloc(0),
        probe: true,
      }),
    );
    const [outcome] = result.outcomes;
    if (outcome === undefined) throw new Error(`the probe of ${address} left no outcome`);
    const { kind, relay, status, reason } = outcome;
    return { ...verdictOf(KINDS[kind], address, transport, status, reason), relay };
  } finally {
    await agents.close();
  }
}

function verdictOf(
  kind: Verdict['kind'],
  address: string,
  transport: string,
  status: string,
  reason: string,
): Verdict {
  return { kind, address, transport, relay: 'none', status, reason };
}
