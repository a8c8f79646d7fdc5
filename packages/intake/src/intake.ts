/**
 * What every way in shares: configuration, queue, routes and the lists that say who may do what. Made once per process by
 * `createIntake`; holds no connection of its own, so there is nothing to close.
 */
import type { Config } from '@mailfleet/config';
import { type MatchList, matchDomains, matchNetworks, tableOptions } from '@mailfleet/lookup';
import { type MilterSettings, milterSettings } from '@mailfleet/milter';
import { type FilterPlan, openReceiptPlan } from '@mailfleet/mime';
import type { IntakePort, SuppressionPort, TranscriptPort } from '@mailfleet/queue';
import { createRouter, type Router } from '@mailfleet/routing';
import type { Telemetry } from '@mailfleet/telemetry';
import type { AddressRules } from './address.ts';

const QUEUE_DEADLINE_MS = 10_000;

export interface IntakeOptions {
  readonly config: Config;
  readonly queue: IntakePort & TranscriptPort & SuppressionPort;
  readonly telemetry: Pick<Telemetry, 'emit' | 'log'>;
  /**
   * How long the queue may take to answer (default 10 seconds), after which the client is told to try again and the queue takes
   * the message no more. Only what was carried out in time and not answered in time goes out twice, which is better than never.
   */
  readonly queueDeadlineMs?: number;
}

export interface Intake extends IntakeOptions {
  readonly queueDeadlineMs: number;
  readonly router: Router;
  /** Clients that may relay without a password. */
  readonly mynetworks: MatchList;
  /** Domains that anybody may send to: relay_domains and mydestination. */
  readonly ownDomains: MatchList;
  /** Whether addresses and headers in UTF-8 are taken (RFC 6531). */
  readonly smtputf8: boolean;
  /** What an address may be, and what completes it. @param mayUtf8 SMTPUTF8 was asked for, or need not be */
  addressRules(mayUtf8: boolean): AddressRules;
  /** header_checks and its kin; undefined: contents are not looked into. */
  readonly checks: FilterPlan | undefined;
  /** Milters for mail that does not come by SMTP; undefined: there are none. */
  readonly milters: MilterSettings | undefined;
}

export function createIntake(options: IntakeOptions): Intake {
  const { config } = options;
  const smtputf8 = config.get('smtputf8_enable');
  const strict = config.get('strict_smtputf8');
  const completion = {
    ...(config.get('append_at_myorigin') ? { origin: config.get('myorigin') } : {}),
    ...(config.get('append_dot_mydomain') ? { mydomain: config.get('mydomain') } : {}),
  };
  const parentMatchesSubdomains = config.get('parent_domain_matches_subdomains').includes('relay_domains');
  const ofTables = tableOptions(config);
  const relayDomains = matchDomains(config.get('relay_domains'), { ...ofTables, parentMatchesSubdomains });
  const mydestination = matchDomains(config.get('mydestination'), ofTables);
  return {
    queueDeadlineMs: QUEUE_DEADLINE_MS,
    ...options,
    router: createRouter(config, { warn: (sentence) => options.telemetry.log.warn(sentence) }),
    mynetworks: matchNetworks(config.get('mynetworks'), ofTables),
    ownDomains: {
      match: async (domain) => {
        const result = await mydestination.match(domain);
        return result.kind === 'miss' ? relayDomains.match(domain) : result;
      },
    },
    smtputf8,
    checks: openReceiptPlan(config, (sentence) => options.telemetry.log.warn(sentence)),
    milters: milterSettings(config),
    addressRules: (mayUtf8) => ({ smtputf8: smtputf8 && (mayUtf8 || !strict), ...completion }),
  };
}

/** Rejects when the queue does not answer in time. */
export async function withinDeadline<T>(intake: Intake, answer: Promise<T>): Promise<T> {
  const { queueDeadlineMs } = intake;
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    const sentence = `the queue did not answer within ${queueDeadlineMs / 1000}s; check the Redis of redis_url`;
    timer = setTimeout(() => reject(new Error(sentence)), queueDeadlineMs);
  });
  try {
    return await Promise.race([answer, silence]);
  } finally {
    clearTimeout(timer);
  }
}
