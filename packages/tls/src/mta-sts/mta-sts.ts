/**
 * The MTA-STS policy of a domain (RFC 8461): its id from DNS, its text over HTTPS, and the memory of both that the fleet shares.
 *
 * A policy that was seen holds until its max_age is over, whatever DNS or the web server say or don't meanwhile: whoever can keep answers
 * from us must not be able to switch it off (section 10.2). So a failure never weakens what is known, and what is not known is none.
 */
import { resolvePolicy } from 'mailauth/lib/mta-sts.js';
import type { PolicyFailure } from '../tlsrpt/failure-type.ts';
import { StsFetchError, textOf } from './fetch-policy.ts';
import type { StsPolicy } from './policy-file.ts';

/** What is remembered of a domain; plain JSON. */
export interface StsEntry {
  /** Of the TXT record that the policy was fetched for. */
  readonly id: string;
  /** Undefined: fetching failed, and there was nothing before. */
  readonly policy?: StsPolicy;
  /** Why there is none, when that is up to the domain. */
  readonly failure?: PolicyFailure;
  /** Milliseconds since the epoch. */
  readonly fetchedMs: number;
  readonly endsMs: number;
  /** Nothing is fetched before: the last attempt failed. */
  readonly notBeforeMs?: number;
}

/** Shared by the workers of a fleet. Both may reject. */
export interface StsCache {
  get(domain: string): Promise<StsEntry | undefined>;
  put(domain: string, entry: StsEntry, lifetimeMs: number): Promise<void>;
}

export interface MtaStsOptions {
  /** TXT records of a name; empty when there are none; rejects when nobody knows. */
  readonly txt: (name: string) => Promise<readonly string[]>;
  /** Rejects when there is no policy to be had. */
  readonly fetch: (domain: string) => Promise<StsPolicy>;
  readonly cache?: StsCache;
  /** Sentences for the log. */
  readonly note: (text: string) => void;
  readonly now?: () => number;
}

export interface MtaSts {
  /**
   * Never rejects. Undefined: the domain has no policy, or nobody could find out; `failure`: it says that it has one, and there is none to be
   * had. @param domain in A-labels, lower case
   */
  policyFor(domain: string): Promise<StsPolicy | { readonly failure: PolicyFailure } | undefined>;
}

/** How long a policy is taken for current before DNS is asked again whether there is another. */
const CURRENT_MS = 60_000;
/** How long nothing is fetched again after a failure (section 3.3 wants five minutes at least). */
const FAILED_MS = 5 * 60_000;
/** A policy is fetched anew once a day, so that its end never comes near (section 3.3). */
const REFRESH_MS = 86_400_000;
/** Entries in the process; the fleet has them all. */
const MOST = 10_000;

export const openMtaSts = ({ txt, fetch, cache, note, now = Date.now }: MtaStsOptions): MtaSts => {
  const current = new Map<string, { readonly entry: StsEntry | undefined; readonly untilMs: number }>();
  const underWay = new Map<string, Promise<StsEntry | undefined>>();

  const remember = (domain: string, entry: StsEntry | undefined): void => {
    current.delete(domain);
    for (const oldest of current.keys()) {
      if (current.size < MOST) break;
      current.delete(oldest);
    }
    current.set(domain, { entry, untilMs: now() + CURRENT_MS });
  };

  const keep = async (domain: string, entry: StsEntry): Promise<void> => {
    remember(domain, entry);
    await cache?.put(domain, entry, entry.endsMs - now()).catch((error: unknown) => {
      note(`the MTA-STS policy of ${domain} is not shared: ${textOf(error)}`);
    });
  };

  const fetchNew = async (domain: string, id: string, known: StsEntry | undefined): Promise<StsEntry> => {
    const nowMs = now();
    try {
      const policy = await fetch(domain);
      const entry = { id, policy, fetchedMs: nowMs, endsMs: nowMs + policy.maxAgeSeconds * 1000 };
      await keep(domain, entry);
      return entry;
    } catch (error) {
      note(`no MTA-STS policy of ${domain} could be fetched: ${textOf(error)}`);
      const failed: StsEntry =
        known?.policy === undefined
          ? {
              id,
              ...(error instanceof StsFetchError
                ? { failure: { type: error.code, reason: error.message } }
                : {}),
              fetchedMs: nowMs,
              endsMs: nowMs + FAILED_MS,
              notBeforeMs: nowMs + FAILED_MS,
            }
          : { ...known, notBeforeMs: nowMs + FAILED_MS };
      await keep(domain, failed);
      return failed;
    }
  };

  const idOf = async (domain: string): Promise<string | false | undefined> => {
    try {
      const resolver = async (name: string): Promise<string[][]> =>
        (await txt(name)).filter((record) => /^v=STSv1;/.test(record)).map((record) => [record]);
      return await resolvePolicy(domain, { resolver });
    } catch (error) {
      // Several records are as good as none (section 3.1); anything else is trouble.
      return error instanceof Error && 'code' in error && error.code === 'multi_sts_records'
        ? false
        : undefined;
    }
  };

  const find = async (domain: string): Promise<StsEntry | undefined> => {
    const shared = await cache?.get(domain).catch(() => undefined);
    const before = shared ?? current.get(domain)?.entry;
    const known = before !== undefined && before.endsMs > now() ? before : undefined;
    const id = await idOf(domain);
    if (typeof id !== 'string') {
      remember(domain, known);
      return known;
    }
    // Not even for a new id: a web server that is down stays so for a while.
    const waits = known !== undefined && now() < (known.notBeforeMs ?? 0);
    if (!waits && known?.id !== id) return fetchNew(domain, id, known);
    remember(domain, known);
    if (known === undefined || waits) return known;
    // The mail at hand does not wait for what is known already.
    if (now() - known.fetchedMs >= Math.min(REFRESH_MS, (known.endsMs - known.fetchedMs) / 2)) {
      void fetchNew(domain, id, known);
    }
    return known;
  };

  return {
    policyFor: async (domain) => {
      const at = current.get(domain);
      if (at !== undefined && at.untilMs > now()) {
        return at.entry !== undefined && at.entry.endsMs > now() ? foundIn(at.entry) : undefined;
      }
      let search = underWay.get(domain);
      if (search === undefined) {
        search = find(domain).finally(() => underWay.delete(domain));
        underWay.set(domain, search);
      }
      return foundIn(await search);
    },
  };
};

const foundIn = (entry: StsEntry | undefined): Awaited<ReturnType<MtaSts['policyFor']>> =>
  entry?.failure === undefined ? entry?.policy : { failure: entry.failure };
