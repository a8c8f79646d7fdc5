/**
 * Whether a batch may use parked sessions, and under which names sessions are parked (smtp(8), `smtp_connection_cache_*`).
 *
 * The endpoint key is the whole security argument: a session serves only who computes the identical key, so that everything
 * that would make it wrong for another use must be in it. A destination key only says where to look first.
 * Where there are passwords, `login` tells of all that credentials depend on (sasl/logins.ts); it is empty where there are none.
 */
import { createHash } from 'node:crypto';
import type { Config } from '@mailfleet/config';
import { matchDomains } from '@mailfleet/lookup';
import { nexthopDomain, policyTerms, requiresMatch, type TlsPolicy } from '@mailfleet/tls';
import type { Batch, Protocol } from '../delivery.ts';
import type { Host } from '../hosts.ts';

/** load: may look for parked sessions; store: may park the sessions that it opens. */
export interface ReusePolicy {
  readonly load: boolean;
  readonly store: boolean;
}

export const noReuse: ReusePolicy = { load: false, store: false };
const always: ReusePolicy = { load: true, store: true };

/** Where a batch goes, and what qmgr says of that destination. */
type CachingHints = Pick<Batch, 'nexthop' | 'connectionLoad' | 'connectionStore'>;

export interface ReuseRules {
  /** Part of every key: the service and all of its configuration that a server or its peer can notice. */
  readonly identity: string;
  /** How long a session may be parked, in milliseconds. */
  readonly idleLimitMs: number;
  /** @param warn is told when a table of ours cannot be asked: the destination then counts as not listed */
  policyFor(batch: CachingHints, warn: (text: string) => void): Promise<ReusePolicy>;
}

/** What a server sees of us, or we make of its words, before the first transaction. */
const noticed = [
  'smtp_helo_name',
  'smtp_bind_address',
  'smtp_bind_address6',
  'smtp_discard_ehlo_keywords',
  'smtp_discard_ehlo_keyword_address_maps',
  'smtp_reply_filter',
  'smtp_pix_workarounds',
  'smtp_pix_workaround_maps',
  'smtp_tls_wrappermode',
  'smtp_tls_CAfile',
  'smtp_tls_CApath',
  'smtp_tls_cert_file',
  'smtp_tls_key_file',
  'smtp_tls_dcert_file',
  'smtp_tls_dkey_file',
  'smtp_tls_eccert_file',
  'smtp_tls_eckey_file',
  'smtp_tls_chain_files',
  'smtp_tls_scert_verifydepth',
  'smtp_tls_fingerprint_digest',
  'smtp_sasl_security_options',
  'smtp_sasl_tls_security_options',
  'smtp_sasl_tls_verified_security_options',
  'smtp_sasl_mechanism_filter',
  'smtp_send_dummy_mail_auth',
] as const;

export const reuseRules = (config: Config, transport: string, protocol: Protocol): ReuseRules => {
  const listed = matchDomains(config.getFor(protocol, 'smtp_connection_cache_destinations'));
  const onDemand = config.getFor(protocol, 'smtp_connection_cache_on_demand');
  // Before there was a cache to share, this switched the LMTP client's own.
  const lmtpSwitch = protocol === 'lmtp' ? config.get('lmtp_cache_connection') : undefined;
  const values = noticed.map((name) => config.getFor(protocol, name));
  return {
    identity: createHash('sha256')
      .update(
        JSON.stringify([
          transport,
          protocol,
          config.get('myhostname'),
          config.get('inet_interfaces'),
          values,
        ]),
      )
      .digest('base64url'),
    idleLimitMs: Math.min(
      config.getFor(protocol, 'smtp_connection_cache_time_limit'),
      config.get('connection_cache_ttl_limit'),
    ),
    policyFor: async ({ nexthop, connectionLoad, connectionStore }, warn) => {
      if (lmtpSwitch !== undefined) return lmtpSwitch ? always : noReuse;
      const answer = await listed.match(cacheName(nexthop));
      if (answer.kind === 'match') return always;
      if (answer.kind === 'error') warn(`${protocol}_connection_cache_destinations: ${answer.reason}`);
      if (!onDemand) return noReuse;
      return { load: connectionLoad === true, store: connectionStore === true };
    },
  };
};

/** The name that `smtp_connection_cache_destinations` lists: no brackets, no port; of a UNIX-domain socket the path. */
const cacheName = (nexthop: string): string =>
  nexthop.startsWith('unix:') ? nexthop.slice('unix:'.length) : nexthopDomain(nexthop.replace(/^inet:/, ''));

/** Where the mail wants to go. @param sender where credentials depend on it */
export const destinationKey = (rules: ReuseRules, nexthop: string, sender?: string): string =>
  JSON.stringify([rules.identity, nexthop, ...(sender === undefined ? [] : [sender])]);

/** @param destination the nexthop or fallback relay that the host was found for: part of the key where names are verified */
export const endpointKey = (
  rules: ReuseRules,
  { address, port }: Host,
  policy: TlsPolicy,
  destination: string,
  login: readonly string[],
): string => {
  const { level } = policy;
  const terms = level === 'none' ? '' : policyTerms(policy);
  const verified = requiresMatch(level) ? [destination] : [];
  return JSON.stringify([rules.identity, address, port, level, terms, verified, login]);
};

/**
 * Which TLS sessions a connection may resume: those of the same service, nexthop and server, made under the same policy. What their full
 * handshake proved then holds for this one.
 * @param trust `trustTerms`: whom this process trusts by now
 */
export const sessionKey = (
  rules: ReuseRules,
  { host, address, port }: Host,
  policy: TlsPolicy,
  destination: string,
  trust: string,
): string => JSON.stringify([rules.identity, trust, destination, host, address, port, policyTerms(policy)]);
