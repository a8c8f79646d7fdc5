/**
 * For the tests beside it: an agent whose destination is a list of scripted servers, and everything it said and recorded.
 * Servers on 127.0.0.x stand for hosts mx1.test, mx2.test, … in order of preference.
 */
import { makeConfig } from '@mailfleet/config';
import type { SessionTickets } from '@mailfleet/tls';
import { type BatchIo, createDeliveryAgent, type DeliveryAgentOptions } from './agent.ts';
import type {
  Batch,
  DeliveryRequest,
  Envelope,
  Outcome,
  Protocol,
  Recipient,
  RequestResult,
} from './delivery.ts';
import type { FindHosts, Host } from './hosts.ts';
import type { SessionPool } from './reuse/session-pool.ts';

export interface Server {
  readonly host: string;
  readonly port: number;
}

export interface TestDelivery {
  readonly protocol?: Protocol;
  readonly servers?: readonly Server[];
  readonly nexthop?: string;
  readonly findHosts?: FindHosts;
  readonly resolver?: DeliveryAgentOptions['resolver'];
  readonly mtaSts?: DeliveryAgentOptions['mtaSts'];
  readonly tlsReports?: DeliveryAgentOptions['tlsReports'];
  readonly config?: Readonly<Record<string, string>>;
  /** Recipients of each request; one request to one recipient by default. */
  readonly requests?: readonly (readonly string[])[];
  /** The same with all that a recipient may have; in place of `requests`. */
  readonly recipients?: readonly (readonly Omit<Recipient, 'index'>[])[];
  readonly envelope?: Partial<Envelope>;
  /** Envelope sender of each request, where they differ. */
  readonly senders?: readonly string[];
  readonly content?: string | Buffer | ((request: DeliveryRequest) => ReturnType<BatchIo['content']>);
  readonly signal?: AbortSignal;
  readonly environment?: DeliveryAgentOptions['environment'];
  readonly agentFor?: DeliveryAgentOptions['agentFor'];
  /** Shared by several calls: what one parks the next may take. */
  readonly sessions?: SessionPool;
  readonly logins?: DeliveryAgentOptions['logins'];
  /** TLS sessions that may be resumed, likewise. */
  readonly tickets?: SessionTickets;
  readonly failedHandshakes?: DeliveryAgentOptions['failedHandshakes'];
  /** The scheduler's hints. */
  readonly caching?: 'load' | 'load-store';
  readonly handOver?: BatchIo['handOver'];
  readonly onRecord?: (result: RequestResult) => void | Promise<void>;
  /** How long the messages waited before they became active. */
  readonly waitedMs?: number;
}

export interface TestResult {
  readonly results: readonly RequestResult[];
  /** All outcomes in order of decision. */
  readonly outcomes: readonly Outcome[];
  /** `kind status reason` of each outcome. */
  readonly verdicts: readonly string[];
  readonly returned: readonly string[];
  /** Log lines: `QID: warning: text` with the parts that apply. */
  readonly remarks: readonly string[];
  readonly dots: readonly (readonly number[])[];
}

export const hostsOf = (servers: readonly Server[]): Host[] =>
  servers.map((server, index) => ({
    host: `mx${index + 1}.test`,
    address: server.host,
    port: server.port,
    preference: 10 * (index + 1),
  }));

export const requestTo = (
  recipients: readonly string[],
  queueId = 'Q1',
  envelope: Partial<Envelope> = {},
): DeliveryRequest => {
  const now = Date.now();
  return {
    envelope: {
      queueId,
      sender: 'sender@example.org',
      sizeBytes: 20,
      arrivalMs: now,
      createdMs: now,
      ...envelope,
    },
    recipients: recipients.map((address, index) => ({ index, address })),
    contentShard: 0,
    activatedMs: now,
  };
};

export const batchOf = (
  requests: readonly DeliveryRequest[],
  nexthop: string,
  protocol: Protocol = 'smtp',
): Batch => ({
  id: 'b1',
  shard: 0,
  fence: 1,
  transport: protocol,
  protocol,
  nexthop,
  batchedMs: Date.now(),
  requests,
});

const toRecipients = (addresses: readonly string[]): Omit<Recipient, 'index'>[] =>
  addresses.map((address) => ({ address }));

export const deliver = async (delivery: TestDelivery): Promise<TestResult> => {
  const protocol = delivery.protocol ?? 'smtp';
  const remarks: string[] = [];
  const results: RequestResult[] = [];
  const dots: (readonly number[])[] = [];
  const hosts = hostsOf(delivery.servers ?? []);
  const agent = createDeliveryAgent({
    config: makeConfig({
      myhostname: 'client.test',
      smtp_tls_security_level: 'none',
      ...delivery.config,
    }),
    transport: protocol,
    protocol,
    ...(delivery.environment ? { environment: delivery.environment } : {}),
    ...(delivery.agentFor ? { agentFor: delivery.agentFor } : {}),
    ...(delivery.sessions ? { sessions: delivery.sessions } : {}),
    ...(delivery.tlsReports ? { tlsReports: delivery.tlsReports } : {}),
    ...(delivery.mtaSts ? { mtaSts: delivery.mtaSts } : {}),
    ...(delivery.resolver ? { resolver: delivery.resolver } : {}),
    ...(delivery.logins ? { logins: delivery.logins } : {}),
    ...(delivery.failedHandshakes ? { failedHandshakes: delivery.failedHandshakes } : {}),
    ...(delivery.tickets ? { tickets: delivery.tickets } : {}),
    findHosts: delivery.findHosts ?? (async () => ({ kind: 'found', hosts, finalNexthop: false })),
    remark: ({ queueId, warning, text }) =>
      remarks.push(
        `${queueId === undefined ? '' : `${queueId}: `}${warning === true ? 'warning: ' : ''}${text}`,
      ),
  });
  const asked = delivery.recipients ?? (delivery.requests ?? [['one@example.com']]).map(toRecipients);
  const requests = asked.map((recipients, position): DeliveryRequest => {
    const sender = delivery.senders?.[position];
    const request = requestTo([], `Q${position + 1}`, {
      ...delivery.envelope,
      ...(sender === undefined ? {} : { sender }),
    });
    return {
      ...request,
      recipients: recipients.map((recipient, index) => ({ ...recipient, index })),
      activatedMs: request.envelope.arrivalMs + (delivery.waitedMs ?? 0),
    };
  });
  const content = delivery.content ?? 'Subject: test\r\n\r\nHello\r\n';
  const { returned } = await agent.deliverBatch(
    {
      ...batchOf(requests, delivery.nexthop ?? 'example.com', protocol),
      ...(delivery.caching ? { connectionLoad: true } : {}),
      ...(delivery.caching === 'load-store' ? { connectionStore: true } : {}),
    },
    {
      content: async (request) => (typeof content === 'function' ? content(request) : Buffer.from(content)),
      beforeDot: (_, recipients) => dots.push(recipients),
      record: async (result) => {
        results.push(result);
        await delivery.onRecord?.(result);
      },
      signal: delivery.signal ?? new AbortController().signal,
      ...(delivery.handOver ? { handOver: delivery.handOver } : {}),
    },
  );
  const outcomes = results.flatMap((result) => result.outcomes);
  return {
    results,
    outcomes,
    verdicts: outcomes.map((outcome) => `${outcome.kind} ${outcome.status} ${outcome.reason}`),
    returned,
    remarks,
    dots,
  };
};
