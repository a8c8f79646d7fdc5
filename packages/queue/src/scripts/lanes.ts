/**
 * Runs scripts over a few connections. Redis reads at most 16 kB of a connection in each turn of its event loop and, with appendfsync
 * always, syncs its file once a turn: one connection would let it take three accepts of 5 kB per sync, four let it take a
 * dozen. More of them do worse, since they are seldom ready in the same turn. A key has its lane, so calls on one message keep their order.
 */
import type { Connections } from '../redis/connection.ts';
import { hash } from '../shard.ts';
import { allScripts } from './all.ts';
import { type RunScript, scriptRunner } from './script.ts';

const LANES = 4;

export function laneRunner(connections: Connections): RunScript {
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    scriptRunner(connections.open({ name: `mailfleet-${lane}`, kind: 'pipelined' }), allScripts),
  );
  return async (script, keys, args) => {
    const lane = lanes[hash(keys[0] ?? '') % LANES];
    if (lane === undefined) throw new Error('no lane');
    return lane(script, keys, args);
  };
}
