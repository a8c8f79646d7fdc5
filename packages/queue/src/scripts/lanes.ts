/**
 * Runs scripts over a few connections. Redis reads at most 16 kB of a connection in each turn of its event loop and, with appendfsync
 * always, syncs its file once a turn: one connection would let it take three accepts of 5 kB per sync, four let it take a
 * dozen. More of them do worse, since they are seldom ready in the same turn. A key has its lane, so calls on one message keep their order.
 */
import { type Connections, firstReady } from '../redis/connection.ts';
import { hash } from '../shard.ts';
import { allScripts } from './all.ts';
import { type RunScript, scriptRunner } from './script.ts';

const LANES = 4;

/** Runs scripts that may not be repeated, over a connection that is opened at the first call. */
export function unrepeatedRunner(connections: Connections): RunScript {
  let opened: Promise<RunScript> | undefined;
  const open = async (): Promise<RunScript> => {
    const connection = connections.open({ name: 'mailfleet-unrepeated', kind: 'unrepeated' });
    const runner = scriptRunner(connection, allScripts);
    await firstReady(connection);
    return runner;
  };
  return async (script, keys, args) => {
    opened ??= open();
    return (await opened)(script, keys, args);
  };
}

/**
 * Runs scripts over a connection that gathers nothing: the command is written before the call returns, so that it outlives a process
 * that is killed right after. Opened at the first call, whose command waits for the connection.
 */
export function promptRunner(connections: Connections): RunScript {
  let runner: RunScript | undefined;
  return (script, keys, args) => {
    runner ??= scriptRunner(connections.open({ name: 'mailfleet-prompt', kind: 'plain' }), allScripts);
    return runner(script, keys, args);
  };
}

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
