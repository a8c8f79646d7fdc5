/**
 * TLS and the hosts of one request: the policy for each, what the domain's report is told of it, and the fleet's memory of servers whose
 * handshakes fail.
 */
import {
  type FailedHandshakes,
  type InvalidPolicy,
  isKnownToFail,
  requiresTls,
  type ServerFacts,
  type TlsPolicies,
  type TlsPolicy,
} from '@mailfleet/tls';
import type { Attempt, Failure, Surroundings } from '../attempt.ts';
import { nameAddressPort } from '../connect.ts';
import { type Element, nameOf } from '../element.ts';
import { isOpportunistic } from '../handshake.ts';
import type { Host } from '../hosts.ts';
import type { Session } from '../session.ts';
import { reportFinding, reportPolicyFailure, type TlsReports } from './report-result.ts';
import { featureStatus } from './requiretls.ts';
import { routedDomain } from './routed-domain.ts';

export interface HostTlsOptions {
  readonly around: Surroundings;
  readonly policies: TlsPolicies;
  /** Undefined: nobody reports on TLS. */
  readonly tlsReports: TlsReports | undefined;
  /** Undefined: nobody remembers servers whose handshakes fail. */
  readonly failedHandshakes: FailedHandshakes | undefined;
}

/** For the second try of an opportunistic session. */
export const plaintext: TlsPolicy = {
  kind: 'policy',
  level: 'none',
  match: [],
  protocols: [],
  ciphers: 'medium',
  excludeCiphers: [],
  serverName: '',
  connectionReuse: true,
};

export class HostTls {
  readonly #options: HostTlsOptions;
  /** Policies of the request at hand, mistakes included: a table that changes meanwhile does not split it. */
  readonly #policies = new Map<string, TlsPolicy | InvalidPolicy>();
  /** Of these the invalid ones that were reported. */
  readonly #reported = new Set<string>();

  constructor(options: HostTlsOptions) {
    this.#options = options;
  }

  /** Another request. */
  begin(): void {
    this.#policies.clear();
    this.#reported.clear();
  }

  /** The policy for a host; a failure, or undefined: this host must be left out. */
  async policyFor(attempt: Attempt, element: Element, host: Host): Promise<TlsPolicy | Failure | undefined> {
    const { policies, around } = this.#options;
    const { protocol, tlsWrapperMode } = around.settings;
    const name = policyName(element, host);
    let policy = this.#policies.get(name);
    if (policy === undefined) {
      policy = await policies.policyFor(
        nameOf(element),
        host.host,
        element.kind === 'unix' ? undefined : factsOf(host),
        { optional: attempt.tlsOptional, domain: domainOf(attempt, element) },
      );
      this.#policies.set(name, policy);
      for (const warning of policy.warnings ?? []) attempt.remark(warning, true);
    }
    if (policy.kind === 'invalid') {
      const { status, reason } = policy;
      return { status, reason, tlsStatus: featureStatus('unknown?', attempt) };
    }
    if (tlsWrapperMode && !requiresTls(policy.level)) {
      attempt.remark(
        `${protocol}_tls_wrappermode requires "${protocol}_tls_security_level = encrypt" (or stronger)`,
        true,
      );
      return undefined;
    }
    if (element.kind === 'unix' && policy.level === 'may') {
      attempt.remark(`${element.path}: opportunistic TLS is not used over UNIX-domain sockets`, true);
      return { ...policy, level: 'none' };
    }
    return policy;
  }

  /** Whether TLS failed with this server lately, and this message may go without. */
  async isKnownToFail(attempt: Attempt, session: Session, host: Host, policy: TlsPolicy): Promise<boolean> {
    const { failedHandshakes, around } = this.#options;
    const { settings } = around;
    if (failedHandshakes === undefined || settings.fallbackMs === 0) return false;
    if (!isOpportunistic(policy, attempt, session, settings)) return false;
    if (!(await isKnownToFail(failedHandshakes, host))) return false;
    attempt.remark(
      `${session.relay}: TLS handshakes failed lately, delivering in clear (${settings.protocol}_tls_fallback_time)`,
    );
    return true;
  }

  /** TLS failed with this server, and it answers in clear. */
  rememberFailure(host: Host): void {
    const { failedHandshakes, around } = this.#options;
    const { fallbackMs, protocol } = around.settings;
    if (failedHandshakes === undefined || fallbackMs === 0) return;
    failedHandshakes.remember(host, fallbackMs);
    around.remark({
      kind: 'remark',
      program: protocol,
      text: `${nameAddressPort(host)}: no TLS will be tried for ${fallbackMs / 1000} s where it is optional (${protocol}_tls_fallback_time)`,
    });
  }

  /** The handshake's result, for the domain's report. */
  report(
    attempt: Attempt,
    element: Element | undefined,
    host: Host,
    policy: TlsPolicy,
    { finding }: Session,
    localAddress: string | undefined,
    opened: boolean,
  ): void {
    const { tlsReports: reports, around } = this.#options;
    const domain = element && domainOf(attempt, element);
    if (reports === undefined || domain === undefined || attempt.tlsOptional) return;
    if (finding?.kind === 'success' && finding.resumed && around.settings.skipsReusedHandshakes) return;
    if (opened && finding?.kind !== 'failure' && policy.failure !== undefined) {
      // In clear too: whoever keeps the policy from us may also keep STARTTLS from us.
      reportPolicyFailure(policy, { reports, domain, host }, false);
    } else if (finding !== undefined) {
      reportFinding(finding, { reports, domain, host, policy, localAddress });
    }
  }

  /** A mail host that must be left out, once for each message: for the domain's report. */
  reportSkipped(attempt: Attempt, element: Element, host: Host): void {
    const { tlsReports: reports } = this.#options;
    const domain = domainOf(attempt, element);
    const name = policyName(element, host);
    const policy = this.#policies.get(name);
    if (reports === undefined || domain === undefined || policy?.kind !== 'invalid') return;
    if (this.#reported.has(name)) return;
    this.#reported.add(name);
    reportPolicyFailure(policy, { reports, domain, host }, true);
  }
}

/** Servers of one name, port and destination have one policy. */
const policyName = (element: Element, host: Host): string =>
  JSON.stringify([nameOf(element), host.host, host.port]);

/** What DANE asks about a server. */
const factsOf = ({ host, port, canonicalName = host, validated = false, mx }: Host): ServerFacts => ({
  host,
  port,
  canonicalName,
  validated,
  ...(mx === undefined ? {} : { mx }),
});

const domainOf = (attempt: Attempt, element: Element): string | undefined =>
  element.kind === 'unix' || element.fallback
    ? undefined
    : routedDomain(attempt.request.recipients, element.destination);
