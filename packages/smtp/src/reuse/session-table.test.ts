/** The connection cache's tables, with the vectors of scache(8) as it behaves. */
import { describe, expect, it } from 'vitest';
import { SessionTable } from './session-table.ts';

type Table = SessionTable<string, string>;

/** find_dest: the bindings oldest first, the first that has a session. */
const find = (table: Table, destination: string, nowMs: number): string | undefined => {
  for (const binding of table.bindings(destination, nowMs)) {
    const session = table.take(binding.slice(binding.indexOf('E')), nowMs);
    if (session !== undefined) return session;
  }
  return undefined;
};

const sizes = (table: Table): number[] => [table.destinations, table.endpoints, table.sessions];

const filled = (): Table => {
  const table = new SessionTable<string, string>();
  for (const binding of ['p1 E1', 'p2 E1', 'p2 E2']) table.bind('D', binding, binding, 100);
  table.park('E1', 'a', 100);
  table.park('E1', 'b', 100);
  table.park('E2', 'c', 100);
  return table;
};

describe('a table of two endpoints', () => {
  it('hands each session out once, the oldest binding and session first; bindings stay', () => {
    const table = filled();
    expect(sizes(table)).toEqual([1, 2, 3]);
    expect([1, 2, 3, 4].map(() => find(table, 'D', 0))).toEqual(['a', 'b', 'c', undefined]);
    expect(sizes(table)).toEqual([1, 0, 0]);
  });

  it('passes over sessions that do not suit, and leaves them', () => {
    const table = filled();
    expect(table.take('E1', 0, (session) => session !== 'a')).toBe('b');
    expect(table.take('E1', 0, (session) => session !== 'a')).toBeUndefined();
    expect(table.take('E1', 0)).toBe('a');
  });

  it('gives up the oldest, of one endpoint or of all', () => {
    const table = new SessionTable<string, string>();
    table.park('E1', 'a', 10);
    table.park('E2', 'b', 5);
    table.park('E1', 'c', 12);
    expect([table.oldest(), table.oldest('E1'), table.oldest('E3')]).toEqual(['b', 'a', undefined]);
    expect(table.drop('E2', 'b')).toBe(true);
    expect(table.drop('E2', 'b')).toBe(false);
    expect(table.oldest()).toBe('a');
  });
});

describe('time limits', () => {
  it('a binding said again lives from then on, and keeps its place', () => {
    const table = new SessionTable<string, string>();
    for (const nowMs of [0, 1, 2]) table.bind('D', 'first', 'first', nowMs + 2);
    table.bind('D', 'second', 'second', 9);
    table.bind('D', 'first', 'first', 4);
    expect(table.bindings('D', 3)).toEqual(['first', 'second']);
    expect(table.bindings('D', 4)).toEqual(['second']);
    expect(table.bindings('D', 9)).toEqual([]);
    expect(table.destinations).toBe(0);
  });

  it('a session past its time is not handed out, and comes back to be closed', () => {
    const table = new SessionTable<string, string>();
    table.park('E', 'early', 2);
    table.park('E', 'late', 5);
    table.bind('D', 'E', 'E', 3);
    expect(table.nextExpiryMs()).toBe(2);
    expect(table.take('E', 3)).toBe('late');
    expect(table.expire(3)).toEqual(['early']);
    expect(sizes(table)).toEqual([0, 0, 0]);
    expect(table.nextExpiryMs()).toBeUndefined();
  });
});
