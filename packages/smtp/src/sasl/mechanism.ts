/**
 * What a SASL mechanism is to the login that runs it (RFC 4422): a step machine over octets. It does no I/O, knows no SMTP and no
 * base64, and never puts a secret into a reason.
 */

/** Who logs in, and how that is proved. Never logged, never written anywhere. */
interface Credentials {
  readonly user: string;
  /** The password, or the access token of an OAuth mechanism. */
  readonly secret: string;
}

/** Ties a login to the TLS session that it happens in (RFC 5056). */
export interface ChannelBinding {
  readonly type: 'tls-exporter' | 'tls-unique' | 'tls-server-end-point';
  readonly data: Buffer;
}

export interface MechanismContext {
  readonly credentials: Credentials;
  /** `send_cyrus_sasl_authzid`: whom to act as; empty: whoever logs in. */
  readonly authorizationId: string;
  /** Registered service name (RFC 4422 section 4): `smtp` or `lmtp`. */
  readonly service: string;
  readonly host: string;
  /** Undefined in clear. */
  readonly channelBinding?: ChannelBinding | undefined;
  /** The server offers no -PLUS form, though we could take one: tell it, so that it notices who took its offer away. */
  readonly plusMissing?: boolean;
  /** Client nonce, printable and without comma; for tests with known answers. */
  readonly nonce?: string;
}

/** The server breaks the mechanism's rules, or cannot prove who it is; or the credentials do not fit the mechanism. */
export interface FailedStep {
  readonly kind: 'failed';
  readonly reason: string;
}

export type Step = { readonly kind: 'respond'; readonly data: Buffer } | FailedStep;

export interface Exchange {
  /** Sent along with AUTH; undefined: the server speaks first. */
  readonly initial: Buffer | undefined;
  respond(challenge: Buffer): Step | Promise<Step>;
  /** The server says that the login succeeded. @returns why that cannot be believed, if it cannot */
  objection(): string | undefined;
}

export const respond = (data: Buffer | string): Step => ({
  kind: 'respond',
  data: typeof data === 'string' ? Buffer.from(data) : data,
});

export const failed = (reason: string): FailedStep => ({ kind: 'failed', reason });

export const EMPTY = Buffer.alloc(0);

export const NO_PROOF = 'the server did not prove that it knows the password';
