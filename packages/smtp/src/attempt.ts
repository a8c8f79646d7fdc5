/**
 * Who still has to be served in one delivery request, and what was decided for the others.
 *
 * At the start of a session every open recipient is unmarked; by its end each is dropped (an outcome was recorded) or kept
 * for the next host. The first digit of a status decides: 4 may be tried elsewhere while hosts remain, 5 bounces at
 * once. A failure of the whole site may also become the hop status, which throttles the destination: the first one that
 * really deferred someone, unless a session of this request ran its transaction to the end.
 */
import type { MailEvent } from '@mailfleet/telemetry';
import type { RequireTlsAction } from '@mailfleet/tls';

import type { ContentRules } from './content/content-rules.ts';
import type { WireAddresses } from './content/generic-rules.ts';
import type { DebugPeers } from './debug-peers.ts';
import type {
  DeliveryRequest,
  DsnStatus,
  HopStatus,
  Outcome,
  OutcomeKind,
  Recipient,
  RequestResult,
  TimelineStep,
  Transcript,
} from './delivery.ts';
import type { HostMemory } from './host-memory.ts';
import { type Reply, replyText } from './reply.ts';
import type { AgentSettings } from './settings.ts';

export type Remark = Extract<MailEvent, { kind: 'remark' }>;

/** What every part of the engine may use. */
export interface Surroundings {
  readonly settings: AgentSettings;
  readonly remark: (event: Remark) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that never jumps. */
  readonly steadyNow: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** The port where our own name means a loop: elsewhere it may be a second instance. */
  readonly mailPort: number;
  readonly aheadMemory: HostMemory;
  readonly chunkingMemory: HostMemory;
  /** `debug_peer_list`; undefined: nobody is listed. */
  readonly debugPeers?: DebugPeers | undefined;
  readonly contentRules: ContentRules;
}

export interface Failure {
  readonly status: DsnStatus;
  readonly reason: string;
  /** What a delivery record says of TLS when no session can tell. */
  readonly tlsStatus?: string;
  /** The server's words, when they decided. */
  readonly reply?: Reply;
}

/**
 * site: the host or the way to it; message: this message at this host; softened: a hard code that other hosts may not
 * share; untold-site: like site, but never throttles (a failed opportunistic handshake).
 */
export type FailureScope = 'site' | 'message' | 'softened' | 'untold-site';

type Mark = 'unmarked' | 'drop' | 'keep';

/** What outcomes say of the session that made them. */
interface SessionFacts {
  readonly relay: string;
  readonly host?: string;
  readonly connectionUse: number;
  readonly tls?: string;
  readonly cipher?: string;
  readonly tlsStatus?: string;
  /** The server offered DSN, so that it reports successes. */
  readonly dsn: boolean;
}

const noSession: SessionFacts = { relay: 'none', connectionUse: 1, dsn: false };

const wellFormed = /^[245]\.\d{1,3}\.\d{1,3}$/;

export class Attempt {
  readonly request: DeliveryRequest;
  readonly #around: Surroundings;
  readonly #handedOffMs: number;
  readonly #outcomes: Outcome[] = [];
  readonly #steps: TimelineStep[] = [];
  readonly #transcripts: Transcript[] = [];
  #recipients: readonly Recipient[];
  #marks: Mark[];
  #session: SessionFacts = noSession;
  #setUpMs: number | undefined;
  #doneMs: number | undefined;
  #hopStatus: HopStatus | undefined;
  /** A session ran its transaction to a normal end. */
  #complete = false;
  /** No other host is left to try after this one. */
  finalServer = false;
  /** Why recipients were last kept for another host. */
  lastKept: Failure | undefined;
  /** What is wrong with the message itself. */
  corruption: string | undefined;
  /** The message cannot go to a server without SMTPUTF8. */
  needsSmtputf8 = false;
  /** How strictly its REQUIRETLS request is honoured at the destination at hand; undefined: there is none, or it does not count. */
  requireTls: RequireTlsAction | undefined;
  /** Addresses for commands, in place of the request's own. */
  wire: WireAddresses | undefined;

  constructor(request: DeliveryRequest, around: Surroundings) {
    this.request = request;
    this.#around = around;
    this.#handedOffMs = around.now();
    this.#recipients = request.recipients;
    this.#marks = request.recipients.map(() => 'unmarked');
  }

  /** TLS may be left out for it: it says so, and nothing else of it or of main.cf says otherwise. */
  get tlsOptional(): boolean {
    const { honoursTlsRequired } = this.#around.settings;
    return honoursTlsRequired && this.request.envelope.tlsOptional === true && !this.asksRequireTls;
  }

  /** It asks for REQUIRETLS, and main.cf knows of that. */
  get asksRequireTls(): boolean {
    return this.#around.settings.requireTlsEnabled && this.request.envelope.requireTls === true;
  }

  get queueId(): string {
    return this.request.envelope.queueId;
  }

  /** Recipients of the session at hand, in order. */
  get recipients(): readonly Recipient[] {
    return this.#recipients;
  }

  get hopStatus(): HopStatus | undefined {
    return this.#hopStatus;
  }

  isUnmarked(position: number): boolean {
    return this.#marks[position] === 'unmarked';
  }

  get anyUnmarked(): boolean {
    return this.#marks.includes('unmarked');
  }

  /** Someone waits for another host. */
  get anyKept(): boolean {
    return this.#marks.includes('keep');
  }

  step(step: string, detail?: string): void {
    this.#steps.push({ atMs: this.#around.now(), step, ...(detail === undefined ? {} : { detail }) });
  }

  remark(text: string, warning = false): void {
    this.#around.remark({
      kind: 'remark',
      program: this.#around.settings.protocol,
      queueId: this.queueId,
      text,
      ...(warning ? { warning } : {}),
    });
  }

  /** No notices about notices: mail of the null sender and of the double-bounce address has none. */
  addTranscript(transcript: Transcript): void {
    const { sender } = this.request.envelope;
    const { doubleBounceAddress } = this.#around.settings;
    if (sender !== '' && sender.toLowerCase() !== doubleBounceAddress) this.#transcripts.push(transcript);
  }

  startSession(facts: SessionFacts): void {
    this.#session = facts;
  }

  /** Facts that only the handshake could tell. */
  updateSession(facts: Partial<SessionFacts>): void {
    this.#session = { ...this.#session, ...facts };
  }

  /** Kept recipients become the list of the next session. */
  endSession(): void {
    if (this.#marks.every((mark) => mark === 'drop')) this.#recipients = [];
    else this.#recipients = this.#recipients.filter((_, position) => this.#marks[position] !== 'drop');
    this.#marks = this.#recipients.map(() => 'unmarked');
    this.#session = noSession;
    this.#setUpMs = undefined;
    this.#doneMs = undefined;
  }

  /** MAIL is being built: set-up is over. */
  setUpDone(): void {
    this.#setUpMs = this.#around.now();
  }

  /** The end-of-data reply is here. */
  transferDone(): void {
    this.#doneMs = this.#around.now();
  }

  sessionCompleted(): void {
    this.#complete = true;
  }

  /** A failure of all recipients that have no decision yet. */
  failAll(scope: FailureScope, failure: Failure): void {
    if (!this.anyUnmarked) return;
    const { softBounce } = this.#around.settings;
    const soft = failure.status.startsWith('4') || (scope === 'softened' && !this.finalServer);
    if (!this.finalServer && (soft || softBounce)) {
      this.remark(failure.reason);
      this.lastKept = failure;
      this.#marks = this.#marks.map((mark) => (mark === 'unmarked' ? 'keep' : mark));
      return;
    }
    this.transferDone();
    for (let position = 0; position < this.#marks.length; position++) {
      if (this.#marks[position] === 'unmarked') this.#recordFailure(position, failure, this.#doneMs);
    }
    const deferred = soft || softBounce;
    if (scope === 'site' && deferred && !this.#complete) {
      this.#hopStatus ??= { status: softStatus(failure.status), reason: failure.reason };
    }
  }

  failOne(position: number, failure: Failure): void {
    const soft = failure.status.startsWith('4') || this.#around.settings.softBounce;
    if (soft && !this.finalServer) {
      this.remark(failure.reason);
      this.lastKept = failure;
      this.#marks[position] = 'keep';
      return;
    }
    this.#recordFailure(position, failure, this.#around.now());
  }

  deliver(position: number, reply: Reply): void {
    const final = this.#around.settings.assumeFinal && !this.#session.dsn;
    this.#record(position, 'delivered', final ? 'delivered' : 'relayed', reply.status, replyText(reply), {
      reply,
    });
  }

  /** Another transport delivered to this recipient, or could not. */
  adopt(outcome: Outcome): void {
    this.#recipients = this.#recipients.filter(({ index }) => index !== outcome.recipient);
    this.#marks = this.#recipients.map(() => 'unmarked');
    this.#outcomes.push(outcome);
  }

  /** Nobody was reached who could decide: the last known reason holds for all that are left. */
  giveUp(failure: Failure): void {
    this.finalServer = true;
    const { tlsStatus } = failure;
    this.startSession({ ...noSession, ...(tlsStatus === undefined ? {} : { tlsStatus }) });
    this.failAll('site', failure);
    this.endSession();
  }

  result(): RequestResult {
    return {
      queueId: this.queueId,
      outcomes: this.#outcomes,
      steps: this.#steps,
      ...(this.#hopStatus === undefined ? {} : { hopStatus: this.#hopStatus }),
      ...(this.corruption === undefined ? {} : { corruption: this.corruption }),
      ...(this.#transcripts.length === 0 ? {} : { transcripts: this.#transcripts }),
    };
  }

  #recordFailure(position: number, failure: Failure, doneMs: number | undefined): void {
    const extra = { ...(failure.reply ? { reply: failure.reply } : {}), ...(doneMs ? { doneMs } : {}) };
    if (failure.status.startsWith('4')) {
      this.#record(position, 'deferred', 'delayed', failure.status, failure.reason, extra);
    } else if (this.#around.settings.softBounce) {
      this.#record(position, 'deferred', 'delayed', softStatus(failure.status), failure.reason, {
        ...extra,
        softBounce: true,
      });
    } else {
      this.#record(position, 'bounced', 'failed', failure.status, failure.reason, extra);
    }
  }

  #record(
    position: number,
    kind: OutcomeKind,
    action: Outcome['action'],
    status: DsnStatus,
    reason: string,
    extra: { readonly reply?: Reply; readonly doneMs?: number; readonly softBounce?: boolean },
  ): void {
    const recipient = this.#recipients[position];
    if (recipient === undefined) throw new Error(`no recipient at position ${position} of ${this.queueId}`);
    const now = this.#around.now();
    const setUpMs = this.#setUpMs ?? now;
    const session = this.#session;
    const digit = kind === 'delivered' ? '2' : kind === 'deferred' ? '4' : '5';
    this.#marks[position] = 'drop';
    this.#outcomes.push({
      recipient: recipient.index,
      address: recipient.address,
      kind,
      status: status.startsWith(digit) && wellFormed.test(status) ? status : `${digit}.0.0`,
      reason,
      relay: session.relay,
      action,
      ...(extra.reply === undefined || session.host === undefined
        ? {}
        : { remoteMta: session.host, reply: replyText(extra.reply) }),
      ...(session.connectionUse > 1 ? { connectionUse: session.connectionUse } : {}),
      ...(session.tls === undefined ? {} : { tls: session.tls }),
      ...(session.cipher === undefined ? {} : { cipher: session.cipher }),
      ...(session.tlsStatus === undefined || !this.#around.settings.logTlsFeatureStatus
        ? {}
        : { tlsStatus: session.tlsStatus }),
      ...(extra.softBounce === true ? { softBounce: true } : {}),
      ...(kind === 'delivered' && session.dsn ? { dsnPassedOn: true } : {}),
      times: {
        arrivalMs: this.request.envelope.arrivalMs,
        activatedMs: this.request.activatedMs,
        handedOffMs: this.#handedOffMs,
        setUpMs,
        doneMs: this.#setUpMs === undefined ? setUpMs : (extra.doneMs ?? this.#doneMs ?? now),
      },
    });
  }
}

const softStatus = (status: DsnStatus): DsnStatus => `4${status.slice(1)}`;
