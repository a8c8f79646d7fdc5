/**
 * How a parameter is declared. The files beside this one hold the declarations by group; types, checks, `mailfleet config`
 * and docs/parameters.md follow from them, so a fact about a parameter is stated here and nowhere else.
 *
 * An `lmtp_` parameter that mirrors an `smtp_` one is not declared but derived from it (`lmtp`): same type and limits, the
 * default with every reference to an `smtp_` name turned into the `lmtp_` one.
 */

/** `maps` is a list of `type:name`, `table` one of them, `feedback` is `n`, `n/m` or `n/concurrency`. */
export type ParameterType =
  | 'boolean'
  | 'integer'
  | 'size'
  | 'time'
  | 'string'
  | 'enum'
  | 'list'
  | 'maps'
  | 'table'
  | 'file'
  | 'directory'
  | 'feedback';

export type TimeUnit = 's' | 'm' | 'h' | 'd' | 'w';

/** What differs in the LMTP form. */
export interface LmtpForm {
  readonly name?: string;
  readonly default?: string;
  readonly doc?: string;
  readonly since?: string;
  readonly seed?: true;
}

export interface Entry {
  readonly type: ParameterType;
  /** Unexpanded; null: no program reads it any more, so that it has a value only where it is set. */
  readonly default: string | null;
  /** The default is worked out when the program starts (`system.ts`), and `default` says how. */
  readonly computed?: true;
  /** Unit of a time without one. */
  readonly unit?: TimeUnit;
  /** Limits of the number; of a time in seconds. */
  readonly min?: number;
  readonly max?: number;
  /** Limits of the expanded text, in characters. */
  readonly minLength?: number;
  readonly maxLength?: number;
  /** Keywords, in any case. For an enum nothing else is valid. */
  readonly values?: readonly string[];
  /** Listed in the client's manual page of Postfix 2.4: what Mailfleet must honour in full. */
  readonly seed?: true;
  readonly obsolete?: true;
  /** Why it has no meaning in a fleet: nothing reads it, and setting it changes nothing. Never on a seed. */
  readonly moot?: string;
  /** First Postfix release, or `<=2.0` where that was not recorded; for our own, the Mailfleet release. */
  readonly since: string;
  /** Default: postfix. */
  readonly origin?: 'mailfleet';
  readonly lmtp?: LmtpForm;
  readonly doc: string;
}

export type Entries = Readonly<Record<string, Entry>>;
