/** A scenario through @mailfleet/smtp: a delivery agent without a queue, its hosts found by @mailfleet/routing. */
import { makeConfig } from '@mailfleet/config';
import { createHostFinder, createResolver } from '@mailfleet/routing';
import { type Batch, createDeliveryAgent, type Outcome, type Remark } from '@mailfleet/smtp';
import {
  type Account,
  contentOf,
  isAbout,
  mailboxOf,
  recipientsOf,
  type Scenario,
  type ScenarioRecipient,
  scenarioDomain,
  senderOf,
} from './scenario.ts';
import { type ScenarioServers, startServers } from './servers.ts';

const QUEUE_ID = '4Zyxwv1Tsr';

/** main.cf of both clients, but for what a scenario says. */
export const COMMON = {
  myhostname: 'client.test',
  inet_protocols: 'ipv4',
  inet_interfaces: '127.0.0.1',
  disable_dns_lookups: 'yes',
  smtp_tls_security_level: 'none',
  lmtp_tls_security_level: 'none',
};

export const runOurs = async (scenario: Scenario, index: number, nameServer: string): Promise<Account> => {
  await using servers = await startServers(scenario);
  const protocol = scenario.protocol ?? 'smtp';
  const config = makeConfig({ ...COMMON, ...servers.ports.config(scenario) });
  const remarks: Remark[] = [];
  const outcomes: Outcome[] = [];
  const agent = createDeliveryAgent({
    config,
    transport: protocol,
    protocol,
    findHosts: createHostFinder({
      config,
      protocol,
      resolver: createResolver({ servers: [nameServer] }),
      warn: (text) => remarks.push({ kind: 'remark', program: protocol, warning: true, text }),
      note: (text) => remarks.push({ kind: 'remark', program: protocol, text }),
    }),
    remark: (event) => remarks.push(event),
  });
  await agent.deliverBatch(batchOf(scenario, index, servers), {
    content: async () => contentOf(scenario),
    beforeDot: () => undefined,
    record: async (result) => {
      outcomes.push(...result.outcomes);
    },
    signal: new AbortController().signal,
  });
  const { ports } = servers;
  return {
    sessions: await servers.transcript(),
    verdicts: outcomes.map((outcome) => {
      const word = outcome.softBounce === true ? 'SOFTBOUNCE' : WORDS[outcome.kind];
      const { address, relay, status, reason } = outcome;
      return ports.normalize(`${address} ${relay} ${status} ${word} (${reason})`);
    }),
    remarks: remarks
      .filter(({ queueId, text }) => queueId !== undefined || ports.names(text) || isAbout(scenario, text))
      .map((remark) => ports.normalize(`${remark.warning === true ? 'warning: ' : ''}${remark.text}`))
      .sort(),
  };
};

const WORDS = { delivered: 'sent', deferred: 'deferred', bounced: 'bounced' } as const;

const batchOf = (scenario: Scenario, index: number, servers: ScenarioServers): Batch => {
  const protocol = scenario.protocol ?? 'smtp';
  const now = Date.now();
  return {
    id: 'b1',
    shard: 0,
    fence: 1,
    transport: protocol,
    protocol,
    nexthop: servers.ports.nexthop(scenario),
    batchedMs: now,
    requests: [
      {
        envelope: {
          queueId: QUEUE_ID,
          sender: senderOf(scenario),
          sizeBytes: contentOf(scenario).length,
          arrivalMs: now,
          createdMs: now,
          client: { address: '127.0.0.1', protocol: 'ESMTP', helo: 'injector.test' },
          ...(scenario.encoding === undefined ? {} : { encoding: scenario.encoding }),
          ...(scenario.smtputf8 === undefined ? {} : { smtputf8: scenario.smtputf8 }),
          ...(scenario.envid === undefined ? {} : { envid: scenario.envid }),
          ...(scenario.ret === undefined ? {} : { ret: scenario.ret }),
        },
        recipients: [...recipientsOf(scenario)].sort(byAddress).map((recipient, position) => {
          const address = `${recipient.localPart}@${scenarioDomain(index)}`;
          return {
            index: position,
            address,
            // As Postfix's smtpd notes it for every recipient.
            orcpt: recipient.orcpt ?? `rfc822;${mailboxOf(recipient, index)}`,
            ...(recipient.notify === undefined ? {} : { notify: recipient.notify }),
          };
        }),
        contentShard: 0,
        activatedMs: now,
      },
    ],
  };
};

/** The order in which Postfix's queue manager hands recipients over. */
const byAddress = (one: ScenarioRecipient, other: ScenarioRecipient): number =>
  `${one.localPart}@` < `${other.localPart}@` ? -1 : 1;
