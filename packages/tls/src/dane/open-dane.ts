/**
 * DANE as one function of a server: prerequisites of main.cf, lookups, decision. What main.cf lacks is told with each delivery, as in
 * Postfix, because mail then goes out with less protection than the level's name says.
 */
import type { Config } from '@mailfleet/config';
import { type DaneOutcome, decideByMx, decideByTlsa, type MxFacts, withoutDane } from './decide.ts';
import { type DaneDns, type DaneHost, findTlsa } from './find-tlsa.ts';
import { parseDaneDigests } from './tlsa.ts';

/** What host lookup found out about a server. */
export interface ServerFacts extends DaneHost {
  readonly mx?: MxFacts;
}

export interface Dane {
  /** @returns with `misconfigured` why main.cf makes DANE impossible */
  resolve(
    level: 'dane' | 'dane-only',
    server: ServerFacts | undefined,
  ): Promise<DaneOutcome & { readonly misconfigured?: string }>;
}

/** @param dns undefined: nobody can ask for TLSA records */
export const openDane = (config: Config, protocol: 'smtp' | 'lmtp', dns: DaneDns | undefined): Dane => {
  const parsed = parseDaneDigests(config.get('tls_dane_digests'));
  const lacking = 'error' in parsed ? `tls_dane_digests: ${parsed.error}` : prerequisite(config, protocol);
  const digests = 'error' in parsed ? new Map<number, string>() : parsed.digests;
  const force = config.getFor(protocol, 'smtp_tls_force_insecure_host_tlsa_lookup');
  const insecureMxPolicy = config.get('smtp_tls_dane_insecure_mx_policy');
  return {
    resolve: async (level, server) => {
      if (server === undefined) {
        const misconfigured = `the "${level}" security level is invalid for delivery via unix-domain sockets`;
        return { kind: 'invalid', reason: misconfigured, misconfigured };
      }
      if (lacking !== undefined || dns === undefined) {
        const misconfigured = `${level} configured, but ${lacking ?? 'no validating resolver is in use'}`;
        return { ...withoutDane(level, misconfigured), misconfigured };
      }
      const demand = {
        level,
        insecureMxPolicy,
        digests,
        ...(server.mx === undefined ? {} : { mx: server.mx }),
      };
      return decideByMx(demand) ?? decideByTlsa(demand, await findTlsa(server, force, dns));
    },
  };
};

/** What main.cf lacks. */
const prerequisite = (config: Config, protocol: 'smtp' | 'lmtp'): string | undefined => {
  const lookups: readonly string[] = config.getFor(protocol, 'smtp_host_lookup');
  const options: readonly string[] = config.getFor(protocol, 'smtp_dns_resolver_options');
  if (config.getFor(protocol, 'smtp_dns_support_level') !== 'dnssec' || !lookups.includes('dns')) {
    return `DNSSEC lookups are disabled; set "${protocol}_dns_support_level = dnssec"`;
  }
  if (options.includes('res_defnames') || options.includes('res_dnsrch')) {
    return `${protocol}_dns_resolver_options appends domains to names`;
  }
  if (protocol === 'smtp' && config.get('ignore_mx_lookup_error')) {
    return 'ignore_mx_lookup_error = yes makes MX lookups insecure';
  }
  return undefined;
};
