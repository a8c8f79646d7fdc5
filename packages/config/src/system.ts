/**
 * The defaults that depend on the machine: host name, folders, process. Everything they read is in `System`, so that tests
 * and `mailfleet config` get the same answer everywhere.
 */
import { homedir, hostname } from 'node:os';
import { basename, join } from 'node:path';
import type { ParameterName } from './parameter.ts';

export interface System {
  readonly hostname: string;
  readonly root: boolean;
  /** XDG_STATE_HOME: where an ordinary user's programs keep what outlives them. */
  readonly stateDirectory: string;
  readonly processId: number;
  readonly processName: string;
}

/** Postfix's domain for a host whose name has none. */
const DEFAULT_DOMAIN = 'localdomain';

export function readSystem(env: Readonly<Record<string, string | undefined>>): System {
  const xdg = env.XDG_STATE_HOME;
  return {
    hostname: hostname(),
    root: process.getuid?.() === 0,
    stateDirectory: xdg === undefined || xdg === '' ? join(homedir(), '.local', 'state') : xdg,
    processId: process.pid,
    processName: basename(process.argv[1] ?? process.execPath).replace(/\.[cm]?[jt]s$/, ''),
  };
}

/**
 * Default of a `computed` parameter. `set` gives the expanded value of a name that the configuration sets, and undefined
 * otherwise: mydomain completes a short host name only when it is set, because its own default comes from myhostname.
 */
export function computedDefault(
  name: ParameterName,
  system: System,
  get: (name: 'myhostname') => string,
  set: (name: 'mydomain') => string | undefined,
): string {
  switch (name) {
    case 'myhostname':
      return system.hostname.includes('.')
        ? system.hostname
        : `${system.hostname}.${set('mydomain') ?? DEFAULT_DOMAIN}`;
    case 'mydomain': {
      const host = get('myhostname');
      const dot = host.indexOf('.');
      return dot < 0 ? DEFAULT_DOMAIN : host.slice(dot + 1);
    }
    case 'data_directory':
      return system.root ? '/var/lib/mailfleet' : join(system.stateDirectory, 'mailfleet');
    case 'process_id':
      return String(system.processId);
    case 'process_name':
    case 'service_name':
      return system.processName;
    default:
      throw new Error(`the registry marks ${name} as computed, but nothing computes it`);
  }
}
