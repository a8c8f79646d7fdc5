/**
 * The resolver that a process makes once and shares: name servers from `dns_servers` or resolv.conf(5), cache, lookups.
 *
 * Trust: the servers are taken to be the operator's own; the AD bit of their answers is believed (RFC 4035 section 4.9.3), so a
 * DANE set-up needs a validating resolver reached over a safe path, as with Postfix.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { type Ask, withDnsCache } from './dns-cache.ts';
import { exchange, type NameServer } from './dns-exchange.ts';
import { type LookupResult, type LookupSettings, lookupRecords } from './dns-lookup.ts';
import type { LookupType } from './dns-message.ts';
import { type DnssecProbe, probeDnssec } from './dnssec-probe.ts';
import { isHostname } from './hostname.ts';

const DEFAULT_TIMEOUT_MS = 5000;
const DEFAULT_ATTEMPTS = 2;
const DEFAULT_CACHE_SIZE = 10_000;
const DNS_PORT = 53;
/** As in resolv.conf(5): more are ignored. */
const MOST_SYSTEM_SERVERS = 3;

export interface Resolver {
  /** Never throws and always ends; see LookupResult for the classes of failure. */
  lookup<T extends LookupType>(name: string, type: T, settings?: LookupSettings): Promise<LookupResult<T>>;
}

export interface ResolverOptions {
  /** `address`, `address:port` or `[address]:port`. Absent or empty: resolv.conf(5). */
  readonly servers?: readonly string[];
  /** Time limit of one attempt; default 5000, or as resolv.conf says. */
  readonly timeoutMs?: number;
  /** Rounds over the servers; default 2, or as resolv.conf says. */
  readonly attempts?: number;
  /** Most answers kept. */
  readonly cacheSize?: number;
  readonly now?: () => number;
  /** Asked once, when an answer is not validated that might be. */
  readonly dnssecProbe?: DnssecProbe;
  /** Is told when the probe finds no validation. */
  readonly warn?: (sentence: string) => void;
  readonly resolvConf?: string;
}

export function createResolver(options: ResolverOptions = {}): Resolver {
  const own = options.servers !== undefined && options.servers.length > 0;
  const system = parseResolvConf(readOptional(options.resolvConf ?? '/etc/resolv.conf'));
  const exchangeOptions = {
    servers: own ? (options.servers ?? []).map(parseNameServer) : system.servers,
    timeoutMs: options.timeoutMs ?? (own ? DEFAULT_TIMEOUT_MS : system.timeoutMs),
    attempts: options.attempts ?? (own ? DEFAULT_ATTEMPTS : system.attempts),
  };
  const ask: Ask = withDnsCache((question) => exchange(question, exchangeOptions), {
    size: options.cacheSize ?? DEFAULT_CACHE_SIZE,
    now: options.now ?? (() => performance.now()),
  });
  let { dnssecProbe } = options;
  const lookUp = async <T extends LookupType>(
    name: string,
    type: T,
    settings: LookupSettings,
  ): Promise<LookupResult<T>> => {
    const result = await lookupRecords(ask, name, type, settings);
    const probe = dnssecProbe;
    if (probe !== undefined && settings.dnssec === true && result.kind === 'ok' && !result.validated) {
      dnssecProbe = undefined;
      // No delivery waits for it.
      void probeDnssec(ask, probe).then((sentence) => {
        if (sentence !== undefined) options.warn?.(sentence);
      });
    }
    return result;
  };
  return {
    lookup: async (name, type, settings = {}) => {
      const { before, after } = searched(name, system.search, settings);
      for (const longer of before) {
        const result = await lookUp(longer, type, settings);
        if (result.kind !== 'notfound') return result;
      }
      const asGiven = await lookUp(name, type, settings);
      if (asGiven.kind !== 'notfound') return asGiven;
      for (const longer of after) {
        const result = await lookUp(longer, type, settings);
        if (result.kind !== 'notfound') return result;
      }
      return asGiven;
    },
  };
}

/** Longer names to try before and after the name itself: what libc does with RES_DEFNAMES and RES_DNSRCH. */
function searched(
  name: string,
  search: readonly string[],
  { localNames, searchList }: LookupSettings,
): { readonly before: readonly string[]; readonly after: readonly string[] } {
  const domains = searchList === true ? search : search.slice(0, 1);
  const longer = isHostname(name) ? domains.map((domain) => `${name}.${domain}`) : [];
  const dots = name.includes('.');
  return {
    before: !dots && localNames === true ? longer : [],
    after: dots && searchList === true ? longer : [],
  };
}

/** `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353`. */
export function parseNameServer(text: string): NameServer {
  const bracketed = /^\[(.*)\](?::(\d+))?$/.exec(text);
  const plain = /^([^:]+)(?::(\d+))?$/.exec(text);
  const match = bracketed ?? plain;
  return { host: match?.[1] ?? text, port: match?.[2] === undefined ? DNS_PORT : Number(match[2]) };
}

interface SystemResolver {
  readonly servers: readonly NameServer[];
  readonly timeoutMs: number;
  readonly attempts: number;
  /** The local domain, and with `search` others. */
  readonly search: readonly string[];
}

/** What this package uses of resolv.conf(5). */
export function parseResolvConf(text: string): SystemResolver {
  const servers: NameServer[] = [];
  let timeoutMs = DEFAULT_TIMEOUT_MS;
  let attempts = DEFAULT_ATTEMPTS;
  const ownDomain = hostname().split('.').slice(1).join('.');
  let search = ownDomain === '' ? [] : [ownDomain];
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && words[0] !== undefined) servers.push({ host: words[0], port: DNS_PORT });
    // The last one counts.
    if (keyword === 'search') search = words;
    if (keyword === 'domain') search = words.slice(0, 1);
    if (keyword !== 'options') continue;
    for (const word of words) {
      const option = /^(timeout|attempts):(\d+)$/.exec(word);
      if (option?.[1] === 'timeout') timeoutMs = Math.max(1, Number(option[2])) * 1000;
      if (option?.[1] === 'attempts') attempts = Math.max(1, Number(option[2]));
    }
  }
  const used = servers.length > 0 ? servers : [{ host: '127.0.0.1', port: DNS_PORT }];
  return { servers: used.slice(0, MOST_SYSTEM_SERVERS), timeoutMs, attempts, search };
}

function readOptional(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // A system without the file has a name server on this host, or none: resolv.conf(5).
    return '';
  }
}
