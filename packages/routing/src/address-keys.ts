/**
 * The keys under which tables hold an address: whole, without its extension (recipient_delimiter), and for
 * transport(5) its domain and each parent. Keys after the first are partial, so that tables of patterns skip them.
 */
import { type LookupResult, splitExtension, type Table } from '@mailfleet/lookup';

export interface AddressKey {
  readonly key: string;
  readonly partial: boolean;
}

/** Text after the last `@`, lower case; empty for a bare name. */
export function domainOf(address: string): string {
  const at = address.lastIndexOf('@');
  return at === -1 ? '' : address.slice(at + 1).toLowerCase();
}

/**
 * Keys of transport(5): address, address without extension, domain, `.parent` domains, `*`. `bare`: parent domains without the dot, as
 * parent_domain_matches_subdomains may have it.
 */
export function transportKeys(
  address: string,
  delimiters: string,
  parents: 'dotted' | 'bare' = 'dotted',
): AddressKey[] {
  const keys = wholeKeys(address, delimiters);
  const domain = domainOf(address);
  keys.push({ key: domain, partial: true });
  if (!domain.startsWith('[')) {
    for (let dot = domain.indexOf('.', 1); dot !== -1; dot = domain.indexOf('.', dot + 1)) {
      keys.push({ key: domain.slice(parents === 'dotted' ? dot : dot + 1), partial: true });
    }
  }
  keys.push({ key: '*', partial: true });
  return keys;
}

/** Keys of the sender-dependent tables: address, address without extension, `@domain`. */
export function senderKeys(address: string, delimiters: string): AddressKey[] {
  const keys = wholeKeys(address, delimiters);
  const domain = domainOf(address);
  if (domain !== '') keys.push({ key: `@${domain}`, partial: true });
  return keys;
}

function wholeKeys(address: string, delimiters: string): AddressKey[] {
  const bare = splitExtension(address, delimiters)?.bare;
  return [{ key: address, partial: false }, ...(bare === undefined ? [] : [{ key: bare, partial: true }])];
}

/** Asks for one key after the other; the first that is no miss decides. */
export async function lookupKeys(table: Table, keys: readonly AddressKey[]): Promise<LookupResult> {
  for (const { key, partial } of keys) {
    const result = await table.lookup(key, { partial });
    if (result.kind !== 'miss') return result;
  }
  return { kind: 'miss' };
}
