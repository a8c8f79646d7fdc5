/**
 * One session with one server: the connection, what the server offers, and whether another transaction may use it.
 *
 * A session is reusable until something makes its state doubtful: an I/O failure, a line that is no reply, a reply code
 * that signals a protocol error, a failed handshake. Refused senders and recipients do not.
 */
import type { Socket } from 'node:net';
import { type DialogueObserver, DialogueRecorder, DialogueRedactor } from '@mailfleet/telemetry';
import type { Opening } from './ahead.ts';
import type { Attempt, Surroundings } from './attempt.ts';
import { type Endpoint, nameAddress, nameAddressPort } from './connect.ts';
import { Connection } from './connection.ts';
import { type Features, noFeatures } from './ehlo.ts';
import type { ReplyFilter } from './reply.ts';
import { redact } from './sasl/redact.ts';
import type { TlsFinding } from './tls/report-result.ts';
import { featureStatus } from './tls/requiretls.ts';

export class Session {
  readonly connection: Connection;
  endpoint: Endpoint;
  /** `H[A]` */
  name: string;
  /** `H[A]:P` */
  relay: string;
  readonly #around: Surroundings;
  readonly startedMs: number;
  features: Features = noFeatures;
  reusable = true;
  /** Transactions begun, the current one included. */
  uses = 0;
  /** TLS protocol version; undefined in clear. */
  tls: string | undefined;
  /** OpenSSL's name of the cipher. */
  cipher: string | undefined;
  /** The level that was wanted, and what became of it: `tls=` of delivery records. */
  tlsStatus: string | undefined;
  /** The certificate is one that the policy demands. */
  tlsMatched = false;
  /** The server proved who it is, under a policy that wanted it to. */
  authenticated = false;
  /** What TLS reports say of its handshake. */
  finding: TlsFinding | undefined;
  /** There are, or may be, credentials for this server. */
  hasLogin = false;
  /** What no log line may repeat. */
  secrets: readonly string[] = [];
  /** The log line of its handshake, when there was one. */
  tlsSummary: string | undefined;
  /** A failed conversation inside TLS may be repeated in clear. */
  plaintextRetry = false;
  /** PIX workaround: let the content go out before the dot. */
  delayDot = false;
  /** The name it may be parked under; undefined: never. */
  endpointKey: string | undefined;
  /** What was written behind the last dot: the session now belongs to that request. */
  ahead: Opening | undefined;
  #aheadLost = false;
  /** The request being served, for log lines. */
  attempt: Attempt | undefined;
  /** From 1 on the dialogue goes to the log (`debug_peer_list`). */
  verbosity = 0;
  /** Kept only where `notify_classes` may want it. */
  readonly #recorder: DialogueRecorder | undefined;
  readonly #errors = new Set<'protocol' | 'data'>();

  constructor(socket: Socket, endpoint: Endpoint, around: Surroundings, filter?: ReplyFilter) {
    this.endpoint = endpoint;
    this.#around = around;
    this.name = nameAddress(endpoint);
    this.relay = nameAddressPort(endpoint);
    this.startedMs = around.now();
    const { settings, steadyNow } = around;
    const recorder = settings.transcriptClasses.size > 0 ? new DialogueRecorder('client') : undefined;
    this.#recorder = recorder;
    const observer = recorder && {
      sent: (text: string) => recorder.client(redact(text, this.secrets)),
      received: (text: string) => recorder.server(redact(text, this.secrets)),
    };
    this.connection = new Connection(
      socket,
      {
        ...settings,
        steadyNow,
        ...(filter ? { filter } : {}),
        observers: [...(observer ? [observer] : []), ...(around.debugPeers ? [this.#dialogueLog()] : [])],
      },
      {
        onLongLine: (head) =>
          this.#warn(`${this.relay}: response longer than ${around.settings.lineLengthLimit}: ${head}...`),
        onGarbage: (line) => this.#onGarbage(line),
        onReplaced: (line, replacement) =>
          this.#remark(`${this.relay}: replacing server reply "${line}" with "${replacement}"`, false),
        onDataError: (why) => this.#remark(`${settings.protocol}_reply_filter lookup error: ${why}`, true),
      },
    );
  }

  /** Commands and replies as log lines, with the marks of smtp(8). */
  #dialogueLog(): DialogueObserver {
    const redactor = new DialogueRedactor();
    const show = (mark: string, lines: readonly string[]): void => {
      if (this.verbosity === 0) return;
      for (const line of lines) this.#remark(`${mark} ${this.relay}: ${line}`, false);
    };
    return {
      sent: (text) => show('>', redactor.client(redact(text, this.secrets))),
      received: (text) => show('<', redactor.server(redact(text, this.secrets))),
    };
  }

  /** An error that the postmaster may want to hear of; a server that breaks the protocol serves no other message. */
  wentWrong(error: 'protocol' | 'data'): void {
    this.#errors.add(error);
    if (error === 'protocol') this.reusable = false;
  }

  /** The transaction at hand is over: its transcript, where it had an error of a class that is told, goes to its attempt. */
  transactionOver(attempt: Attempt): void {
    const { transcriptClasses } = this.#around.settings;
    const classes = [...this.#errors].filter((error) => transcriptClasses.has(error));
    if (this.#recorder !== undefined && classes.length > 0) {
      attempt.addTranscript({ classes, relay: this.relay, lines: this.#recorder.lines() });
    }
    this.#errors.clear();
  }

  /** The same server under the name by which another destination knows it. */
  nameAs(endpoint: Endpoint): void {
    this.endpoint = endpoint;
    this.name = nameAddress(endpoint);
    this.relay = nameAddressPort(endpoint);
  }

  /** What outcomes of a transaction on this session say about it. */
  facts(): Parameters<Attempt['startSession']>[0] {
    return {
      relay: this.relay,
      host: this.endpoint.host,
      connectionUse: this.uses,
      dsn: this.features.dsn,
      ...(this.tls === undefined ? {} : { tls: this.tls }),
      ...(this.cipher === undefined ? {} : { cipher: this.cipher }),
      ...(this.tlsStatus === undefined
        ? {}
        : { tlsStatus: featureStatus(this.tlsStatus, this.attempt, this) }),
    };
  }

  /** May serve one more request: healthy, and within the limits of time and count. */
  mayServeAnother(): boolean {
    const { reuseTimeLimitMs, reuseCountLimit } = this.#around.settings;
    if (this.ahead !== undefined) return this.reusable && this.connection.failure === undefined;
    return (
      this.reusable &&
      this.connection.failure === undefined &&
      // Words nobody asked for, a 421 before hanging up most likely.
      this.connection.unread === 0 &&
      this.#around.now() - this.startedMs < reuseTimeLimitMs &&
      (reuseCountLimit === 0 || this.uses <= reuseCountLimit)
    );
  }

  /** Whether a server that was not heard of for a while still answers: RSET, as smtp(8) probes a cached connection. */
  async isAlive(): Promise<boolean> {
    const { connection } = this;
    connection.write('RSET\r\n');
    const reply = await connection.readReply(this.#around.settings.timeouts.rset);
    return typeof reply !== 'string' && !reply.garbled && Math.trunc(reply.code / 100) === 2 && this.reusable;
  }

  /** Says goodbye (unless the connection is dead) and closes. */
  async quit(): Promise<void> {
    const { connection } = this;
    if (this.ahead !== undefined) {
      // The server may wait for content: a QUIT would be taken for some.
      connection.destroy();
      return;
    }
    if (connection.failure === undefined) {
      connection.write('QUIT\r\n');
      const { skipQuitResponse, timeouts } = this.#around.settings;
      if (!skipQuitResponse) await connection.readReply(timeouts.quit);
    }
    connection.close();
  }

  /** What was sent ahead is lost, and the session with it; says so once the host gets no more of it. */
  aheadFailed(attempt: Attempt): void {
    this.reusable = false;
    if (this.#aheadLost) return;
    this.#aheadLost = true;
    if (!this.#around.aheadMemory.failed(this.endpoint)) return;
    attempt.remark(
      `host ${this.relay} did not answer a transaction sent along with the end of data: from now on it gets one after the other`,
    );
  }

  #warn(text: string): void {
    this.#remark(text, true);
  }

  #remark(line: string, warning: boolean): void {
    const text = redact(line, this.secrets);
    if (this.attempt !== undefined) this.attempt.remark(text, warning);
    else {
      const { protocol } = this.#around.settings;
      this.#around.remark({ kind: 'remark', program: protocol, text, ...(warning ? { warning } : {}) });
    }
  }

  #onGarbage(line: string): void {
    this.wentWrong('protocol');
    if (!this.features.pipelining) return;
    const { protocol, helpfulWarnings } = this.#around.settings;
    this.#warn(`non-${protocol === 'lmtp' ? 'LMTP' : 'ESMTP'} response from ${this.relay}: ${line}`);
    if (helpfulWarnings) {
      this.#warn(
        `to prevent loss of mail, turn off command pipelining for ${this.endpoint.address} with the ` +
          `${protocol === 'lmtp' ? 'lmtp_discard_lhlo' : 'smtp_discard_ehlo'}_keyword_address_maps parameter`,
      );
    }
  }
}
