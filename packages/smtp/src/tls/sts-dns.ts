/** MTA-STS' questions, put to the resolver of the process. */
import type { Resolver } from '@mailfleet/routing';

export interface StsDns {
  /** TXT records; empty when there are none; rejects when nobody knows. */
  txt(name: string): Promise<readonly string[]>;
  /** Rejects when there are none. */
  addresses(host: string): Promise<readonly string[]>;
}

export const stsDns = (resolver: Pick<Resolver, 'lookup'>): StsDns => ({
  txt: async (name) => {
    const result = await resolver.lookup(name, 'TXT');
    if (result.kind === 'ok') return result.records;
    if (result.kind === 'notfound') return [];
    throw new Error(result.reason);
  },
  addresses: async (host) => {
    const [four, six] = await Promise.all([resolver.lookup(host, 'A'), resolver.lookup(host, 'AAAA')]);
    const found = [four, six].flatMap((result) => (result.kind === 'ok' ? result.records : []));
    if (found.length === 0) throw new Error(four.kind === 'ok' ? `${host} has no address` : four.reason);
    return found;
  },
});
