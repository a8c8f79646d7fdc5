/**
 * generic(5): addresses of this site become addresses that the world knows, in the envelope and in the primary header. The keys are tried in the order
 * user+ext@domain, user@domain, user+ext, user, @domain, each in all tables; the two in the middle only where the domain is
 * ours. One pass, never a second (config-and-maps.md sections 5 and 6).
 */
import { type LookupResult, splitExtension, type Table } from '@mailfleet/lookup';
import { quoteAddress } from '../addressing.ts';
import { decodeText, encodeText } from '../delivery/text.ts';
import { firstAddress, formatAddressHeader, parseAddressList } from './address-list.ts';

export interface GenericOptions {
  /** The parameter's name, for messages. */
  readonly name: string;
  readonly table: Table;
  /** `recipient_delimiter` */
  readonly delimiters: string;
  /** `propagate_unmatched_extensions` lists generic. */
  readonly propagate: boolean;
  /** Names without a domain stand for addresses in it. An error is a table that cannot be asked. */
  readonly isLocal: (domain: string) => Promise<boolean | { readonly error: string }>;
  /** Completes a result: a domain where it has none, a parent where its domain has no dot. */
  readonly complete: (address: string) => string;
  /** `header_address_token_limit` */
  readonly tokenLimit: number;
}

/** `address` is undefined when there is no entry. */
type Rewritten = { readonly address: string | undefined } | { readonly error: string };
type Note = (text: string, warning: boolean) => void;

const ADDRESS_HEADERS = new Set([
  ...['from', 'sender', 'reply-to', 'errors-to', 'return-path', 'return-receipt-to', 'mail-followup-to'],
  ...['disposition-notification-to', 'to', 'cc', 'bcc', 'apparently-to'],
  ...['resent-from', 'resent-sender', 'resent-reply-to', 'resent-to', 'resent-cc', 'resent-bcc'],
]);

export class GenericMap {
  readonly #options: GenericOptions;

  constructor(options: GenericOptions) {
    this.#options = options;
  }

  /** What stands for an address, both in internal form. The null sender has no entry. */
  async rewrite(address: string, note: Note): Promise<Rewritten> {
    if (address === '') return { address: undefined };
    const { name, complete, propagate } = this.#options;
    const found = await this.#find(address);
    if (found === undefined) return { address: undefined };
    if ('error' in found) return found;
    const { value, extension } = found;
    // A domain alone leaves the user; an extension that was not part of the key is not part of the user.
    const user = value.startsWith('@') ? userOf(address).slice(0, -extension.length || undefined) : '';
    const first = firstAddress(user === '' ? value : `${quoteAddress(user)}${value}`);
    if (first === undefined)
      return { error: `${name} has no address in the result "${value}" for ${address}` };
    if (first.more) note(`multi-valued ${name} result for ${address}`, true);
    const completed = complete(first.address);
    return { address: propagate ? withExtension(completed, extension) : completed };
  }

  /** A primary header with its line ends; the very same where no address in it has an entry. */
  async rewriteHeader(
    name: string,
    bytes: Buffer,
    note: Note,
  ): Promise<{ readonly bytes: Buffer } | { readonly error: string }> {
    if (!ADDRESS_HEADERS.has(name)) return { bytes };
    const { text, encoding } = decodeText(bytes);
    const colon = text.indexOf(':');
    const parts = parseAddressList(
      text.slice(colon + 1, -2).replaceAll('\r\n', ' '),
      this.#options.tokenLimit,
    );
    if (parts === undefined) {
      note(
        `header ${text.slice(0, colon)} has more than header_address_token_limit words: left as it is`,
        true,
      );
      return { bytes };
    }
    let changed = false;
    for (const part of parts) {
      if (part.kind !== 'address') continue;
      const rewritten = await this.rewrite(part.address, note);
      if ('error' in rewritten) return rewritten;
      changed ||= rewritten.address !== undefined;
      part.address = rewritten.address ?? part.address;
    }
    return {
      bytes: changed ? encodeText(formatAddressHeader(text.slice(0, colon), parts, note), encoding) : bytes,
    };
  }

  async #find(
    address: string,
  ): Promise<
    { readonly value: string; readonly extension: string } | { readonly error: string } | undefined
  > {
    const { table, delimiters, isLocal } = this.#options;
    const at = address.lastIndexOf('@');
    const domain = at < 0 ? undefined : address.slice(at + 1);
    const split = splitExtension(address, delimiters);
    const extension = split?.extension ?? '';
    const ask = async (key: string, partial: boolean, unmatched: string) =>
      outcomeOf(await table.lookup(quoteAddress(key), { partial }), unmatched);
    const whole = (await ask(address, false, '')) ?? (split && (await ask(split.bare, true, extension)));
    if (whole !== undefined || domain === undefined) return whole;
    const local = await isLocal(domain);
    if (typeof local === 'object') return local;
    const named = local
      ? ((await ask(userOf(address), true, '')) ??
        (split && (await ask(userOf(split.bare), true, extension))))
      : undefined;
    return named ?? outcomeOf(await table.lookup(`@${domain}`, { partial: true }), '');
  }
}

function outcomeOf(
  result: LookupResult,
  extension: string,
): { readonly value: string; readonly extension: string } | { readonly error: string } | undefined {
  if (result.kind === 'miss') return undefined;
  return result.kind === 'error' ? { error: result.reason } : { value: result.value, extension };
}

function userOf(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? address : address.slice(0, at);
}

function withExtension(address: string, extension: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? address + extension : `${address.slice(0, at)}${extension}${address.slice(at)}`;
}
