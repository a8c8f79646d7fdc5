/**
 * Several servers with the same data: sockets of this machine are tried first, then the others, in random order. One that
 * fails is left alone for `retry_interval`, unless it is the only one; a lookup goes on with the next.
 */

/** The server answered, and the answer is an error: another server would say the same. */
export class AnswerError extends Error {
  readonly code = 'ANSWER';
}

export interface Host<C> {
  readonly name: string;
  readonly local: boolean;
  readonly client: C;
}

export interface HostsOptions {
  readonly retryIntervalMs: number;
  readonly now: () => number;
  readonly random: () => number;
}

/** Runs an action on the first host that is there. Throws the AnswerError, or what the last host failed with. */
export function openHosts<C>(
  hosts: readonly Host<C>[],
  { retryIntervalMs, now, random }: HostsOptions,
): <T>(action: (client: C) => Promise<T>) => Promise<T> {
  const downUntil = new Map<Host<C>, number>();
  return async (action) => {
    const order = hosts
      .filter((host) => hosts.length === 1 || (downUntil.get(host) ?? Number.NEGATIVE_INFINITY) <= now())
      .map((host) => ({ host, rank: (host.local ? 0 : 1) + random() }))
      .sort((a, b) => a.rank - b.rank);
    let last: unknown = new Error('all hosts failed a moment ago and are left alone for retry_interval');
    for (const { host } of order) {
      try {
        const result = await action(host.client);
        downUntil.delete(host);
        return result;
      } catch (error) {
        if (error instanceof AnswerError) throw error;
        downUntil.set(host, now() + retryIntervalMs);
        last = new Error(`${host.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    throw last;
  };
}
