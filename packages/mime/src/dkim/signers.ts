/**
 * Who signs for a domain: `selector:/key/file`, or `domain:selector:/key/file` to sign in another domain's name, several of them
 * with commas between. Looked up by the domain of the From address, then by its parents with a dot before them.
 */
import type { Table } from '@mailfleet/lookup';

export interface Signer {
  readonly domain: string;
  readonly selector: string;
  readonly keyFile: string;
}

export async function findSigners(
  table: Table,
  domain: string,
): Promise<readonly Signer[] | { readonly error: string }> {
  for (let key = domain; key !== ''; key = parentOf(key)) {
    const result = await table.lookup(key, { partial: key !== domain });
    if (result.kind === 'error') return { error: result.reason };
    if (result.kind === 'found') return parseSigners(result.value, domain, key);
  }
  return [];
}

/** `.example.com` for `mail.example.com` and for `.mail.example.com`; empty at the end. */
function parentOf(key: string): string {
  const dot = key.indexOf('.', 1);
  return dot < 0 ? '' : key.slice(dot);
}

function parseSigners(
  text: string,
  domain: string,
  key: string,
): readonly Signer[] | { readonly error: string } {
  const signers: Signer[] = [];
  for (const word of text.split(/[\s,]+/).filter((each) => each !== '')) {
    const [, named, selector, keyFile] = /^(?:([^:/]+):)?([^:/]+):(\/.*)$/.exec(word) ?? [];
    if (selector === undefined || keyFile === undefined) {
      return { error: `"${word}" for ${key} is not selector:/key/file or domain:selector:/key/file` };
    }
    // What stands for all domains below one signs as that one.
    signers.push({ domain: named ?? (key.startsWith('.') ? key.slice(1) : domain), selector, keyFile });
  }
  return signers;
}
