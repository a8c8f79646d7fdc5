/**
 * One connection's part in session resumption: the lookup, begun before the connection so that it costs it no time, and what becomes of
 * the session that the handshake brings. The first ticket of a connection is kept, the others are dropped, as in Postfix.
 *
 * Node calls a resumed session authorized whatever its full handshake found, and shows no certificate: `inherited` is all that is known.
 */
import type { TLSSocket } from 'node:tls';
import type { PeerVerdict } from '../peer.ts';
import type { KnownSession, ProvenPeer, SessionTickets } from './session-tickets.ts';

export interface ResumptionOptions {
  readonly tickets: SessionTickets;
  readonly key: string;
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

export class Resumption {
  readonly #options: ResumptionOptions;
  readonly #lookup: Promise<KnownSession | undefined>;
  #offered: KnownSession | undefined;
  #ticket: Buffer | undefined;
  #accepted: ProvenPeer | undefined;
  #kept = false;
  #endsMs: number;

  /** Begins the lookup. */
  constructor(options: ResumptionOptions) {
    this.#options = options;
    this.#endsMs = options.nowMs + options.lifetimeMs;
    this.#lookup = options.tickets.find(options.key);
  }

  /** What the handshake may offer. */
  async options(): Promise<{ readonly session?: Buffer }> {
    this.#offered = await this.#lookup;
    return this.#offered === undefined ? {} : { session: this.#offered.session };
  }

  /** Listener for the socket's `session`, which may come before the verdict. */
  readonly onSession = (session: Buffer): void => {
    this.#ticket ??= session;
    this.#keep();
  };

  /** The proof of the session that was resumed; undefined after a full handshake. */
  inherited(socket: Pick<TLSSocket, 'isSessionReused'>): ProvenPeer | undefined {
    return socket.isSessionReused() ? this.#offered?.proven : undefined;
  }

  /** The handshake is over. One that its policy does not accept is never resumed. */
  concluded(verdict: PeerVerdict, inherited: ProvenPeer | undefined): void {
    if (!verdict.accepted) {
      this.failed();
      return;
    }
    if (inherited !== undefined && this.#offered !== undefined) this.#endsMs = this.#offered.endsMs;
    const { kind, distrust } = verdict;
    this.#accepted = inherited ?? { kind, ...(distrust === undefined ? {} : { distrust }) };
    this.#keep();
  }

  failed(): void {
    if (this.#offered !== undefined) this.#options.tickets.forget(this.#options.key);
  }

  #keep(): void {
    if (this.#kept || this.#ticket === undefined || this.#accepted === undefined) return;
    this.#kept = true;
    this.#options.tickets.keep(this.#options.key, {
      session: this.#ticket,
      proven: this.#accepted,
      endsMs: this.#endsMs,
    });
  }
}
