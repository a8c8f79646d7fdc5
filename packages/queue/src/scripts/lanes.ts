/**
 * Runs scripts over a few connections. Redis reads at most 16 kB of a connection in each turn of its event loop and, with appendfsync
 * always, syncs its file once a turn: one connection would let it take three accepts of 5 kB per sync, four let it take a
 * dozen. More of them do worse, since they are seldom ready in the same turn. A key has its lane, so calls on one message keep their order.
 */
import { type Connection, type Connections, firstReady } from '../redis/connection.ts';
import { hash } from '../shard.ts';
import { allScripts } from './all.ts';
import { type Argument, type RunScript, type Script, scriptRunner } from './script.ts';

const LANES = 4;

/** Runs scripts that may not be repeated, over a connection that is opened at the first call. */
export function unrepeatedRunner(connections: Connections, scripts: readonly Script[]): RunScript {
  let opened: Promise<RunScript> | undefined;
  const open = async (): Promise<RunScript> => {
    const connection = connections.open({ name: 'mailfleet-unrepeated', kind: 'unrepeated' });
    const runner = scriptRunner(connection, scripts);
    await firstReady(connection);
    return runner;
  };
  return async (script, keys, args) => {
    opened ??= open();
    return (await opened)(script, keys, args);
  };
}

/** Runs small scripts that must have left the process when the call returns, answered or not. */
export interface PromptRunner {
  /** Opens the connection; a call before it is up waits in the process. */
  ready(): Promise<void>;
  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown>;
}

/**
 * Over a connection that gathers nothing, and by text rather than digest: a digest that Redis does not know costs a second trip, which a
 * process that is killed does not make.
 */
export function promptRunner(connections: Connections): PromptRunner {
  let opened: Connection | undefined;
  const connection = (): Connection => {
    opened ??= connections.open({ name: 'mailfleet-prompt', kind: 'plain' });
    return opened;
  };
  return {
    ready: () => firstReady(connection()),
    run: (script, keys, args) => connection().eval(script.lua, script.keys, ...keys, ...args),
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
