/**
 * What a lookup table is to its users. A lookup never throws: a table that cannot be opened or read answers every lookup
 * with an error, which is not a miss and which the caller must treat as a temporary failure of what it decides.
 */

export type LookupResult =
  | { readonly kind: 'found'; readonly value: string }
  | { readonly kind: 'miss' }
  | { readonly kind: 'error'; readonly reason: string };

export interface LookupOptions {
  /**
   * The key is a part of what is looked up (a parent domain, a bare user name). Tables of patterns skip such keys,
   * since a pattern written for whole addresses must not match a piece of one.
   */
  readonly partial?: boolean;
}

export interface Table {
  /** `type:name`, as configured, for messages. */
  readonly spec: string;
  /** `fixed` tables compare keys, `pattern` tables match them and skip partial keys. */
  readonly keys: 'fixed' | 'pattern';
  lookup(key: string, options?: LookupOptions): Promise<LookupResult>;
}

export interface TableOptions {
  /** Lower-case keys for tables of fixed strings (default). Off for header checks, status filters and address keys. */
  readonly fold?: boolean;
  /** Takes a sentence about a rule or a line that is ignored. */
  readonly warn?: (sentence: string) => void;
  /** Milliseconds of a steady clock, which paces the checks for changed files. */
  readonly now?: () => number;
  /** From 0 up to 1, for randmap. */
  readonly random?: () => number;
  /** Type of a table that is given as a path alone; Postfix's default_database_type. */
  readonly defaultType?: string;
  /** Bytes of a socketmap query and reply: socketmap_max_query_size, socketmap_max_reply_size. */
  readonly socketmap?: { readonly querySizeBytes: number; readonly replySizeBytes: number };
}

/** A table before the rules that hold for all of them (folding, partial keys, empty results) are applied. */
export interface BareTable {
  readonly keys: 'fixed' | 'pattern';
  /** Whether keys are folded; default: those of `fixed` tables are. */
  readonly fold?: boolean | undefined;
  find(key: string): Promise<LookupResult> | LookupResult;
}

export const MISS: LookupResult = { kind: 'miss' };

export function found(value: string): LookupResult {
  return { kind: 'found', value };
}

export function lookupError(reason: string): LookupResult {
  return { kind: 'error', reason };
}

/** What stands for a table that cannot be used: every lookup is an error with the reason. */
export function failedTable(reason: string): BareTable {
  return { keys: 'pattern', find: () => lookupError(reason) };
}

/** Lower case without a locale, as keys are folded. */
export function foldKey(key: string): string {
  return key.toLowerCase();
}
