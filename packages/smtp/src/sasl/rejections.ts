/**
 * Logins that a server rejected with 535, so that the same wrong password is not tried again and again until the account is locked
 * (`smtp_sasl_auth_cache_name`).
 *
 * What is stored is named by, and holds, digests under a key that is not stored with it: without the key neither name nor password can be
 * guessed from it. The server's words stand there as they would in the log.
 */
import { keyedDigest, type Login } from './logins.ts';

/** Where rejections are kept, for the process or for the fleet. Entries run out by themselves. */
export interface RejectionStore {
  get(name: string): Promise<string | undefined>;
  put(name: string, entry: string, lifetimeMs: number): Promise<void>;
  delete(name: string): Promise<void>;
}

export interface Rejection {
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
  remember(host: string, login: Login, rejection: Rejection): Promise<void>;
}

export const openRejections = (
  { name, timeMs }: { readonly name: string; readonly timeMs: number },
  store: RejectionStore,
  key: Buffer,
): Rejections => {
  const nameOf = (host: string, { user }: Login): string => keyedDigest(key, 'rejected', name, host, user);
  const proofOf = (host: string, { user, password }: Login): string =>
    keyedDigest(key, 'password', name, host, user, password);
  return {
    find: async (host, login) => {
      const text = await store.get(nameOf(host, login));
      if (text === undefined) return undefined;
      const { password, ...rejection } = JSON.parse(text) as Entry;
      if (password === proofOf(host, login)) return rejection;
      await store.delete(nameOf(host, login));
      return undefined;
    },
    remember: async (host, login, { status, text }) => {
      const entry: Entry = { password: proofOf(host, login), status, text };
      await store.put(nameOf(host, login), JSON.stringify(entry), timeMs);
    },
  };
};

/** Entries of one process; the oldest goes first. */
const MOST = 1_000;

/** For a process that has no fleet to share with, or no key to share under. */
export class ProcessRejections implements RejectionStore {
  readonly #entries = new Map<string, { readonly entry: string; readonly untilMs: number }>();
  readonly #steadyNow: () => number;

  constructor(steadyNow: () => number) {
    this.#steadyNow = steadyNow;
  }

  async get(name: string): Promise<string | undefined> {
    const found = this.#entries.get(name);
    if (found === undefined || found.untilMs > this.#steadyNow()) return found?.entry;
    this.#entries.delete(name);
    return undefined;
  }

  async put(name: string, entry: string, lifetimeMs: number): Promise<void> {
    this.#entries.set(name, { entry, untilMs: this.#steadyNow() + lifetimeMs });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MOST && oldest !== undefined) this.#entries.delete(oldest);
  }

  async delete(name: string): Promise<void> {
    this.#entries.delete(name);
  }
}
