/**
 * The TLSA records of one server: which names to ask, in which order, and what the answers together mean (RFC 7672 section 2.2,
 * RFC 7671 section 7).
 *
 * A host in an unsigned zone is not asked for at all: its parent is unsigned too, and some name servers of such zones do not even
 * answer questions for TLSA. Only a validated "there is none" is a no; an answer that fails to come defers the mail, because
 * whoever can hold answers back could otherwise switch DANE off.
 */
import type { TlsaRecord } from './tlsa.ts';

/** An answer as a validating resolver gave it. */
export type DaneAnswer<T> =
  | { readonly kind: 'found'; readonly records: readonly T[]; readonly validated: boolean }
  | { readonly kind: 'none' }
  /** No answer, SERVFAIL, or one that cannot be used. */
  | DaneSilence;

interface DaneSilence {
  readonly kind: 'failed';
  readonly reason: string;
  /** main.cf is to blame. */
  readonly local?: true;
}

export interface DaneDns {
  /** @param name `_25._tcp.mx.example.com` */
  tlsa(name: string): Promise<DaneAnswer<TlsaRecord>>;
  /** The alias itself, not what it leads to. */
  cname(name: string): Promise<DaneAnswer<string>>;
}

/** The server to be contacted. */
export interface DaneHost {
  /** As MX record or destination names it. */
  readonly host: string;
  /** Where its addresses were found: the end of its chain of aliases. */
  readonly canonicalName: string;
  /** Its address and all aliases on the way were validated. */
  readonly validated: boolean;
  readonly port: number;
}

export type TlsaResult =
  /** @property base TLSA base domain: the name that answered */
  | { readonly kind: 'found'; readonly base: string; readonly records: readonly TlsaRecord[] }
  | { readonly kind: 'none'; readonly reason: string }
  | DaneSilence;

/** @param force `smtp_tls_force_insecure_host_tlsa_lookup` */
export const findTlsa = async (
  { host, canonicalName, validated, port }: DaneHost,
  force: boolean,
  dns: DaneDns,
): Promise<TlsaResult> => {
  const isAlias = canonicalName.toLowerCase() !== host.toLowerCase();
  let names = isAlias ? [canonicalName, host] : [host];
  if (!validated && !force) {
    if (!isAlias) return { kind: 'none', reason: `${host} is not in a signed zone` };
    const alias = await dns.cname(host);
    if (alias.kind === 'failed') return alias;
    if (alias.kind === 'none' || !alias.validated) {
      return { kind: 'none', reason: `${host} is not in a signed zone` };
    }
    // The alias is signed, its target is not: only the alias' owner can have spoken for the server.
    names = [host];
  }
  for (const base of names) {
    const answer = await dns.tlsa(`_${port}._tcp.${base}`);
    if (answer.kind === 'failed') return answer;
    if (answer.kind === 'found' && answer.validated) return { kind: 'found', base, records: answer.records };
  }
  return { kind: 'none', reason: 'no TLSA records found' };
};
