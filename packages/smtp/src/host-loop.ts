/**
 * Delivers one request: tries the session that the last request left, then host after host, destination after destination,
 * fallback relay after fallback relay, while recipients remain (smtp(8), section "destination syntax"; RFC 5321 section 5.1).
 *
 * The order of events decides what a failure means: `finalServer` is set before each session, because a soft failure at
 * the last host is recorded where it would be passed on to the next at any other.
 */
import type { SourceAddresses } from '@mailfleet/routing';
import type { RequireTlsPolicy, Resumption, TlsClient, TlsPolicy } from '@mailfleet/tls';
import type { NextRequest } from './ahead.ts';
import type { Attempt, Failure } from './attempt.ts';
import { connectTo, nameAddressPort } from './connect.ts';
import type { RepeatableContent } from './content/prefetch.ts';
import { type Element, nameOf } from './element.ts';
import { shakeHands, unmetDemand } from './handshake.ts';
import type { FindHosts, Host, HostLookup } from './hosts.ts';
import type { BatchReuse } from './reuse/batch-reuse.ts';
import type { Sasl } from './sasl/login.ts';
import type { ServerMaps } from './server-maps.ts';
import { Session } from './session.ts';
import { HostTls, type HostTlsOptions, plaintext } from './tls/host-tls.ts';
import { Transaction, type TransactionEnd } from './transaction.ts';

interface KeptSession {
  readonly session: Session;
  readonly host: Host;
  /** Position of its destination in the list. */
  readonly element: number;
  /** Its request was served by no other host before: it is found by the request's nexthop too. */
  readonly bound: boolean;
  /** Sender of its last request. */
  readonly sender: string;
}

export interface HostLoopOptions extends HostTlsOptions {
  readonly findHosts: FindHosts;
  readonly tls: TlsClient;
  /** How strictly REQUIRETLS is honoured; undefined: nobody asks for it. */
  readonly requireTls: RequireTlsPolicy | undefined;
  readonly maps: ServerMaps;
  /** The batch's nexthop as written. */
  readonly nexthop: string;
  readonly elements: readonly Element[];
  /** Where connections come from unless main.cf says so. */
  readonly source: SourceAddresses;
  /** Mail that loops back to us has another way to go. */
  readonly mayPassOn: boolean;
  /** Sessions of earlier batches; undefined: every batch opens its own. */
  readonly reuse: BatchReuse | undefined;
  /** Undefined: nobody logs in. */
  readonly sasl: Sasl | undefined;
  /** Begins to look for a TLS session to resume. */
  readonly resume: (host: Host, policy: TlsPolicy, destination: string) => Resumption | undefined;
}

/** How one request goes out. */
export interface RequestIo {
  readonly content: RepeatableContent;
  readonly beforeDot: (recipients: readonly number[]) => void;
  /** Another request waits for the session. */
  readonly wanted: () => boolean;
  /** That request, when its content is at hand. */
  readonly next: () => NextRequest | undefined;
}

/** Servers speak TLS from the first byte there (RFC 8314 section 3.3). */
const SMTPS_PORT = 465;

/** What became of one address. */
type Visit = 'no-session' | 'session';

/** The host loop of one batch: keeps lookups and the open session between requests. */
export class HostLoop {
  readonly #options: HostLoopOptions;
  readonly #lookups = new Map<number, HostLookup>();
  #kept: KeptSession | undefined;
  /** The last lookup or connect failure of the request at hand. */
  #last: Failure | undefined;
  /** Nothing of the batch was begun: no transaction, no connection. */
  #untouched = true;
  /** No host has served the request at hand yet. */
  #unserved = true;
  readonly #tls: HostTls;

  constructor(options: HostLoopOptions) {
    this.#options = options;
    this.#tls = new HostTls(options);
  }

  /**
   * Serves one request to the end: afterwards every recipient of the attempt has an outcome, or, with `looped`, those that are
   * left are for the transport that takes mail of ours (`best_mx_transport`). With `handed-over` nothing was done.
   */
  async deliver(attempt: Attempt, io: RequestIo): Promise<'done' | 'looped' | 'handed-over'> {
    const { elements } = this.#options;
    this.#last = undefined;
    this.#unserved = true;
    this.#tls.begin();
    let position = this.#kept?.element ?? 0;
    let lastTried: Element | undefined;
    for (; position < elements.length && attempt.recipients.length > 0; position++) {
      const element = elements[position];
      if (element === undefined) break;
      lastTried = element;
      const lookup = await this.#lookUp(position, element);
      let finalNexthop = position === elements.length - 1;
      if (lookup.kind === 'failed') {
        this.#last = lookup;
        finalNexthop ||= lookup.finalNexthop === true;
        if (position === 0) this.#options.reuse?.disable();
      } else {
        finalNexthop ||= lookup.finalNexthop;
        if (await this.#askRequireTls(attempt, element)) {
          const end = await this.#tryHosts(attempt, io, position, element, lookup, finalNexthop);
          if (end === 'handed-over') return end;
        }
      }
      if (finalNexthop) break;
    }
    if (this.#kept !== undefined && !io.wanted()) await this.close();
    if (attempt.recipients.length === 0) return 'done';
    return this.#giveUp(attempt, lastTried);
  }

  /** Finds out how strictly a destination must honour REQUIRETLS; false: nobody knows, so it is left out. */
  async #askRequireTls(attempt: Attempt, element: Element): Promise<boolean> {
    const { requireTls } = this.#options;
    attempt.requireTls = undefined;
    if (requireTls === undefined || attempt.request.envelope.requireTls !== true) return true;
    const found = await requireTls.actionFor(nameOf(element));
    if ('error' in found) {
      attempt.remark(found.error, true);
      this.#last = { status: '4.7.10', reason: 'REQUIRETLS policy lookup error' };
      return false;
    }
    if (found.action !== 'disable') attempt.requireTls = found.action;
    return true;
  }

  /** Parks or ends the kept session, if there is one. */
  async close(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept !== undefined) await this.#letGo(kept);
  }

  async #letGo(kept: KeptSession): Promise<void> {
    const { reuse } = this.#options;
    if (reuse?.mayPark(kept.session) !== true) {
      await kept.session.quit();
      return;
    }
    const element = this.#options.elements[kept.element];
    const bound = kept.bound && element !== undefined;
    const { host, sender } = kept;
    reuse.park(kept.session, bound ? { destination: nameOf(element), host, sender } : undefined);
  }

  async #lookUp(position: number, element: Element): Promise<HostLookup> {
    if (element.kind === 'unix') {
      const { myhostname } = this.#options.around.settings;
      return {
        kind: 'found',
        hosts: [{ host: myhostname, address: element.path, port: 0, preference: 0 }],
        finalNexthop: true,
      };
    }
    const known = this.#lookups.get(position);
    if (known !== undefined) return known;
    const lookup = await this.#options.findHosts(element.destination);
    this.#lookups.set(position, lookup);
    const { protocol, tlsWrapperMode } = this.#options.around.settings;
    if (!tlsWrapperMode && lookup.kind === 'found' && lookup.hosts.some(({ port }) => port === SMTPS_PORT)) {
      this.#remark(
        `SMTPS wrappermode (TCP port 465) requires setting "${protocol}_tls_wrappermode = yes", and "${protocol}_tls_security_level = encrypt" (or stronger)`,
        false,
      );
    }
    return lookup;
  }

  async #tryHosts(
    attempt: Attempt,
    io: RequestIo,
    position: number,
    element: Element,
    lookup: Extract<HostLookup, { kind: 'found' }>,
    finalNexthop: boolean,
  ): Promise<'tried' | 'handed-over'> {
    const { addressLimit, sessionLimit } = this.#options.around.settings;
    const best = lookup.bestPreference ?? Math.min(...lookup.hosts.map((host) => host.preference));
    let hosts = addressLimit > 0 ? lookup.hosts.slice(0, addressLimit) : lookup.hosts;
    let sessions = 0;
    const spent = (): boolean => sessionLimit > 0 && sessions >= sessionLimit;

    for await (const open of this.#openSessions(attempt, position, element, () => hosts, best)) {
      const others = hosts.filter((host) => !sameEndpoint(host, open.host));
      sessions++;
      attempt.finalServer = finalNexthop && (others.length === 0 || spent());
      const end = await this.#reuse(attempt, io, open);
      if (end === 'stale') {
        sessions--;
      } else {
        hosts = others;
        if (end === 'retry-plaintext') {
          await this.#visit(attempt, io, open.element, open.host, plaintext, best, () => {
            attempt.finalServer = finalNexthop && (hosts.length === 0 || spent());
          });
        }
      }
      if (attempt.recipients.length === 0 || spent()) return 'tried';
    }

    if (this.#untouched) {
      this.#untouched = false;
      if ((await this.#options.reuse?.handOver(attempt)) === true) return 'handed-over';
    }
    for (const [index, host] of hosts.entries()) {
      if (attempt.recipients.length === 0 || spent()) return 'tried';
      const policy = await this.#policyFor(attempt, element, host);
      if (policy === undefined) {
        this.#tls.reportSkipped(attempt, element, host);
        continue;
      }
      const isLast = index === hosts.length - 1;
      // Hosts of the best preference were asked above.
      const parked =
        host.preference === best
          ? undefined
          : await this.#takeParked(attempt, position, element, host, policy);
      if (parked !== undefined) {
        sessions++;
        attempt.finalServer = finalNexthop && (isLast || spent());
        if ((await this.#reuse(attempt, io, parked)) !== 'stale') continue;
        sessions--;
      }
      attempt.finalServer = finalNexthop && isLast;
      const visit = await this.#visit(attempt, io, position, host, policy, best, () => {
        sessions++;
        attempt.finalServer = finalNexthop && (isLast || spent());
      });
      if (visit === 'session') this.#last = attempt.lastKept ?? this.#last;
    }
    return 'tried';
  }

  /**
   * Sessions that are open already, in the order in which smtp(8) asks for them: the one that the last request left; one that served
   * this nexthop lately, whatever host that was; those to hosts of the best preference.
   */
  async *#openSessions(
    attempt: Attempt,
    position: number,
    element: Element,
    hosts: () => readonly Host[],
    best: number,
  ): AsyncGenerator<KeptSession> {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept !== undefined && kept.element === position && kept.session.mayServeAnother()) yield kept;
    else if (kept !== undefined) await this.#letGo(kept);

    const { reuse } = this.#options;
    if (reuse === undefined || !reuse.mayLoad) return;
    if (position === 0) {
      const found = await this.#findByDestination(attempt, reuse);
      reuse.foundByDomain(found !== undefined);
      if (found !== undefined) yield found;
    }
    for (const host of hosts()) {
      if (host.preference !== best || !hosts().includes(host)) continue;
      const policy = await this.#policyFor(attempt, element, host);
      const parked = policy && (await this.#takeParked(attempt, position, element, host, policy));
      if (parked !== undefined) yield parked;
    }
  }

  async #findByDestination(attempt: Attempt, reuse: BatchReuse): Promise<KeptSession | undefined> {
    const { elements } = this.#options;
    for (const { destination, host } of reuse.bindings(attempt)) {
      const position = elements.findIndex((each) => nameOf(each) === destination);
      const element = elements[position];
      const policy = element && (await this.#policyFor(attempt, element, host));
      const parked = policy && (await this.#takeParked(attempt, position, element, host, policy, 'domain'));
      if (parked !== undefined) return parked;
    }
    return undefined;
  }

  async #takeParked(
    attempt: Attempt,
    position: number,
    element: Element,
    host: Host,
    policy: TlsPolicy,
    by: 'domain' | 'address' = 'address',
  ): Promise<KeptSession | undefined> {
    const session = await this.#options.reuse?.take(attempt, policy, host, nameOf(element), by);
    if (session === undefined) return undefined;
    if (session.tlsSummary !== undefined) {
      this.#remark(session.tlsSummary.replace(' established to ', ' reused to '), false);
    }
    return { session, host, element: position, bound: false, sender: attempt.request.envelope.sender };
  }

  /** One more transaction on a session that is open. */
  async #reuse(
    attempt: Attempt,
    io: RequestIo,
    kept: KeptSession,
  ): Promise<'done' | 'stale' | 'retry-plaintext'> {
    const { session } = kept;
    this.#untouched = false;
    session.attempt = attempt;
    session.uses++;
    session.verbosity = await this.#verbosityFor(kept.element, kept.host);
    if (session.verbosity >= 2)
      attempt.remark(`using the session with ${session.relay}, use ${session.uses}`);
    attempt.startSession(session.facts());
    const unmet = unmetDemand(session, attempt);
    if (unmet !== undefined) {
      attempt.failAll('softened', unmet);
      attempt.endSession();
      await session.quit();
      return 'done';
    }
    const end = await this.#transact(attempt, io, session);
    await this.#settle(attempt, io, kept, end);
    if (attempt.lastKept !== undefined) this.#last = attempt.lastKept;
    return end.kind === 'stale' || end.kind === 'retry-plaintext' ? end.kind : 'done';
  }

  /** Connects to one address and holds one transaction there, in clear too where the policy is opportunistic. */
  async #visit(
    attempt: Attempt,
    io: RequestIo,
    element: number,
    host: Host,
    policy: TlsPolicy,
    bestPreference: number,
    onSession: () => void,
  ): Promise<Visit> {
    const { around, tls, maps, nexthop, source, sasl } = this.#options;
    const { settings } = around;
    this.#options.reuse?.makeRoom();
    const destination = this.#options.elements[element];
    const resumption = destination && this.#options.resume(host, policy, nameOf(destination));
    const verbosity = await this.#verbosityFor(element, host);
    if (verbosity >= 2) {
      attempt.remark(
        `trying ${nameAddressPort(host)}, preference ${host.preference}, TLS level ${policy.level}`,
      );
    }
    const connected = await connectTo(host, settings, source, (text) => this.#remark(text, true));
    if (connected.kind === 'failed') {
      if (host.port !== 0) this.#remark(connected.reason, false);
      this.#last = connected;
      return 'no-session';
    }
    const { localAddress } = connected.socket;
    const session = new Session(connected.socket, host, around, maps.replyFilter);
    this.#options.reuse?.use(session);
    session.attempt = attempt;
    session.uses = 1;
    session.verbosity = verbosity;
    attempt.step('connected', session.relay);
    attempt.startSession(session.facts());
    const best = host.preference === bestPreference;
    const { sender } = attempt.request.envelope;
    const place = {
      sender,
      host: host.host,
      destination: destination === undefined ? '' : nameOf(destination),
    };
    const login = await sasl?.find(place);
    session.hasLogin = login !== undefined && login.kind !== 'none';
    const used = (await this.#tls.isKnownToFail(attempt, session, host, policy)) ? plaintext : policy;
    if (used === plaintext) session.tlsStatus = 'may:none';
    let end = await shakeHands({
      ...{ around, attempt, session, nexthop, best, tls, maps, resumption },
      policy: used,
    });
    this.#tls.report(attempt, destination, host, used, session, localAddress, end.kind === 'ready');
    if (end.kind === 'ready' && sasl !== undefined && login !== undefined) {
      end = await sasl.logIn(session, attempt, login);
    }
    if (end.kind === 'retry-plaintext') {
      session.connection.destroy();
      attempt.endSession();
      const { handshake } = end;
      return await this.#visit(attempt, io, element, host, plaintext, bestPreference, () => {
        // It answers in clear: the handshake was to blame.
        if (handshake === true) this.#tls.rememberFailure(host);
        onSession();
      });
    }
    if (end.kind === 'failed') {
      if (end.final === true) attempt.finalServer = true;
      attempt.startSession(session.facts());
      attempt.failAll(end.scope, end.failure);
      session.transactionOver(attempt);
      attempt.endSession();
      if (end.quit) await session.quit();
      else session.connection.destroy();
      return 'session';
    }
    onSession();
    if (destination !== undefined && login?.kind !== 'error') {
      const terms = (login && sasl?.terms(place, login)) ?? [];
      this.#options.reuse?.adopt(session, used, host, place.destination, terms);
    }
    attempt.startSession(session.facts());
    const transaction = await this.#transact(attempt, io, session);
    await this.#settle(attempt, io, { session, host, element, bound: false, sender }, transaction);
    if (transaction.kind === 'retry-plaintext') {
      return await this.#visit(attempt, io, element, host, plaintext, bestPreference, () => undefined);
    }
    return 'session';
  }

  /** How much of the dialogue with a host goes to the log; 0 for the usual. */
  async #verbosityFor(position: number, host: Host): Promise<number> {
    const { debugPeers } = this.#options.around;
    const element = this.#options.elements[position];
    if (debugPeers === undefined || element === undefined) return 0;
    return await debugPeers.levelFor(nameOf(element), host);
  }

  async #transact(attempt: Attempt, io: RequestIo, session: Session): Promise<TransactionEnd> {
    const content = await io.content.take();
    if (content === undefined) {
      attempt.failAll('message', { status: '4.3.0', reason: 'unreadable mail queue entry' });
      return { kind: 'untouched' };
    }
    return await new Transaction({
      around: this.#options.around,
      attempt,
      session,
      content,
      again: () => io.content.take(),
      beforeDot: io.beforeDot,
      keeps: () => io.wanted() || this.#options.reuse?.mayPark(session) === true,
      next: io.next,
    }).run();
  }

  /** After a transaction: keeps the session for the next request, or ends it in the way its state allows. */
  async #settle(attempt: Attempt, io: RequestIo, kept: KeptSession, end: TransactionEnd): Promise<void> {
    const { session } = kept;
    const healthy = session.reusable && session.connection.failure === undefined;
    if (session.ahead !== undefined && !healthy) session.aheadFailed(attempt);
    session.transactionOver(attempt);
    attempt.endSession();
    session.attempt = undefined;
    // Only the host that served a request first is what its nexthop leads to; the others had its leavings.
    const bound = this.#unserved;
    if (end.kind === 'done' || end.kind === 'untouched') this.#unserved = false;
    const settled = { ...kept, bound, sender: attempt.request.envelope.sender };
    switch (end.kind) {
      case 'done':
      case 'untouched':
        if (end.kind === 'done' && !end.open) session.connection.close();
        else if (io.wanted() && attempt.recipients.length === 0 && session.mayServeAnother()) {
          this.#kept = settled;
        } else if (end.kind === 'untouched' && this.#options.reuse?.mayPark(session) !== true) {
          session.connection.close();
        } else await this.#letGo(settled);
        return;
      case 'broken':
      case 'stale':
      case 'retry-plaintext':
        session.connection.destroy();
    }
  }

  /** The policy for a host; undefined: this host must be left out. */
  async #policyFor(attempt: Attempt, element: Element, host: Host): Promise<TlsPolicy | undefined> {
    const found = await this.#tls.policyFor(attempt, element, host);
    if (found === undefined || !('status' in found)) return found;
    this.#last = found;
    return undefined;
  }

  /** No session decided: the last known reason becomes the outcome, softened where our own configuration is to blame. */
  #giveUp(attempt: Attempt, element: Element | undefined): 'done' | 'looped' {
    const { elements, around } = this.#options;
    const failure = this.#last ?? {
      status: '4.3.0',
      reason: 'server unavailable or unable to receive mail',
    };
    const first = elements[0];
    if (failure.status.startsWith('5')) {
      const { relayhost, protocol } = around.settings;
      if (element?.kind === 'tcp' && element.fallback) {
        attempt.remark(`${protocol}_fallback_relay configuration problem`, true);
        attempt.giveUp({ status: '4.3.5', reason: failure.reason });
        return 'done';
      }
      if (
        protocol === 'smtp' &&
        relayhost !== '' &&
        first?.kind === 'tcp' &&
        first.destination === relayhost
      ) {
        attempt.remark('relayhost configuration problem', true);
        attempt.giveUp({ status: '4.3.5', reason: failure.reason });
        return 'done';
      }
      if (failure.status === '5.4.6' && this.#options.mayPassOn) return 'looped';
    }
    attempt.giveUp(failure);
    return 'done';
  }

  #remark(text: string, warning: boolean): void {
    const { around } = this.#options;
    around.remark({
      kind: 'remark',
      program: around.settings.protocol,
      text,
      ...(warning ? { warning } : {}),
    });
  }
}

const sameEndpoint = (one: Host, other: Host): boolean =>
  one.address === other.address && one.port === other.port;
