/**
 * Why a message was not taken: an SMTP reply code, an enhanced status (RFC 3463) and a sentence. Each way in says it in
 * its own terms: an SMTP reply, an HTTP problem, an exit status.
 */
export interface Refusal {
  readonly ok: false;
  /** What kind of refusal, for programs. */
  readonly error: RefusalName;
  readonly code: number;
  readonly status: string;
  /** For people: what, where, what to do. */
  readonly sentence: string;
  /** Which part of the submission, e.g. `recipients[2]`. */
  readonly path?: string;
}

export type RefusalName =
  | 'bad-sender'
  | 'bad-recipient'
  | 'bad-parameter'
  | 'no-recipients'
  | 'too-many-recipients'
  | 'too-large'
  | 'too-many-hops'
  | 'content-rejected'
  | 'content-interrupted'
  | 'unavailable';

export function refusal(
  error: RefusalName,
  code: number,
  status: string,
  sentence: string,
  path?: string,
): Refusal {
  return { ok: false, error, code, status, sentence, ...(path === undefined ? {} : { path }) };
}
