/**
 * Logins that a server rejected with 535, so that the same wrong password is not tried again and again until the account is locked
 * (`smtp_sasl_auth_cache_name`).
 *
 * What is stored is named by a digest and sealed, both under a key that is not stored with it: who reads the store learns neither names nor
 * anything that passwords could be guessed by. A store that fails or is slow costs another rejection.
 */
import type { TicketStore } from '@mailfleet/tls';
import type { Login } from './logins.ts';
import type { SharedLogins } from './shared-logins.ts';

interface Rejection {
  readonly status: string;
  /** The server's reply, in one line. */
  readonly text: string;
}

interface Entry extends Rejection {
  readonly password: string;
}

export interface Rejections {
  /** The rejection of this very password, if there was one lately. */
  find(host: string, login: Login): Promise<Rejection | undefined>;
  remember(host: string, login: Login, rejection: Rejection): void;
}

/** A login goes on without an answer that takes longer. */
const LOOKUP_LIMIT_MS = 1_000;

export const openRejections = (
  cache: { readonly name: string; readonly timeMs: number },
  { key, rejections }: Pick<SharedLogins, 'key' | 'rejections'>,
): Rejections => {
  const nameOf = (...parts: readonly string[]): string => key.nameOf(JSON.stringify([cache.name, ...parts]));
  return {
    find: async (host, { user, password }) => {
      const name = nameOf(host, user);
      const sealed = await inTime(rejections.get(name));
      const content = sealed && key.open(name, sealed);
      if (content === undefined) return undefined;
      const entry = JSON.parse(content.toString()) as Entry;
      if (entry.password === nameOf(host, user, password)) return { status: entry.status, text: entry.text };
      rejections.delete(name);
      return undefined;
    },
    remember: (host, { user, password }, { status, text }) => {
      if (cache.timeMs <= 0) return;
      const entry: Entry = { password: nameOf(host, user, password), status, text };
      const name = nameOf(host, user);
      rejections.put(name, key.seal(name, Buffer.from(JSON.stringify(entry))), cache.timeMs);
    },
  };
};

const inTime = async <T>(answer: Promise<T>): Promise<T | undefined> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), LOOKUP_LIMIT_MS);
  });
  try {
    return await Promise.race([answer.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
};

/** Entries of one process; the oldest goes first. */
const MOST = 1_000;

/** For a process that has no fleet to share with, or no key to share under. */
export const processRejections = (steadyNow: () => number): TicketStore => {
  const entries = new Map<string, { readonly sealed: Buffer; readonly endMs: number }>();
  return {
    get: async (name) => {
      const found = entries.get(name);
      if (found === undefined || found.endMs > steadyNow()) return found?.sealed;
      entries.delete(name);
      return undefined;
    },
    put: (name, sealed, lifetimeMs) => {
      entries.delete(name);
      entries.set(name, { sealed, endMs: steadyNow() + lifetimeMs });
      const [oldest] = entries.keys();
      if (entries.size > MOST && oldest !== undefined) entries.delete(oldest);
    },
    delete: (name) => {
      entries.delete(name);
    },
  };
};
