/**
 * A Lua script is one state change on one shard. Its header names KEYS, ARGV, the result and the invariant; its keys
 * share the shard's hash tag. Scripts that find messages by index build those keys from the prefix in ARGV: they are on the
 * same slot, which is what Redis Cluster asks for. Redis runs a script as a whole or, after a crash, not at all.
 */
import type { Connection } from '../redis/connection.ts';

export interface Script {
  readonly name: string;
  readonly keys: number;
  readonly lua: string;
}

export type Argument = string | number | Buffer;
export type RunScript = (
  script: Script,
  keys: readonly string[],
  args: readonly Argument[],
) => Promise<unknown>;

/** Registers scripts on a connection: by digest after the first call, in the pipeline of the moment. */
export function scriptRunner(connection: Connection, scripts: readonly Script[]): RunScript {
  const commands = new Map<Script, (...args: Argument[]) => Promise<unknown>>();
  for (const script of scripts) {
    // The prefix keeps the name apart from Redis' own commands.
    const name = `mf-${script.name}`;
    connection.defineCommand(name, { numberOfKeys: script.keys, lua: script.lua });
    const command: unknown = Reflect.get(connection, name);
    if (typeof command !== 'function') throw new Error(`script ${script.name} was not registered`);
    commands.set(script, (...args) => command.apply(connection, args));
  }
  return async (script, keys, args) => {
    const command = commands.get(script);
    if (command === undefined || keys.length !== script.keys) {
      throw new Error(`script ${script.name} takes ${script.keys} keys, not ${keys.length}`);
    }
    return command(...keys, ...args);
  };
}
