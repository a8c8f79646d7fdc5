/**
 * The transports of a fleet: those that are always there, and what master.cf makes of them or adds. A transport has a delivery agent,
 * a limit of deliveries at a time, and values that hold for it alone.
 *
 * Of master.cf only the services of type unix that run smtp, lmtp, error or discard are transports here; what else stands in it is told
 * when it would have meant something.
 */
import type { MasterEntry } from './master-cf.ts';
import { transportFormOf } from './parameter.ts';

/**
 * What delivers for a transport: smtp(8) or lmtp(8) of the workers; error(8), by the name of retry or under its own, and discard(8), whose
 * nexthop is a text.
 */
export type DeliveryAgentName = 'smtp' | 'lmtp' | 'error' | 'retry' | 'discard';

export interface Transport {
  readonly agent: DeliveryAgentName;
  /** Field maxproc of master.cf; 0 is no limit, undefined is default_process_limit. */
  readonly processLimit?: number;
  /** Values of `-o`, by name. */
  readonly overrides: ReadonlyMap<string, string>;
  /** Line of master.cf; absent for one that is always there. */
  readonly line?: number;
}

export type Transports = ReadonlyMap<string, Transport>;

const NO_OVERRIDES: ReadonlyMap<string, string> = new Map();

const builtIn = (agent: DeliveryAgentName): Transport => ({ agent, overrides: NO_OVERRIDES });

/** Postfix's own master.cf has them all. */
export const builtInTransports: Transports = new Map([
  ['smtp', builtIn('smtp')],
  ['relay', builtIn('smtp')],
  ['lmtp', builtIn('lmtp')],
  ['error', builtIn('error')],
  ['retry', builtIn('retry')],
  ['discard', builtIn('discard')],
]);

/** Programs of Postfix that deliver, and that a fleet does not have. */
const FOREIGN: readonly string[] = ['local', 'virtual', 'pipe', 'spawn'];
/** Programs of Postfix whose work is done by a daemon of ours, or by nobody; they get no mail from the queue. */
const NO_TRANSPORT: readonly string[] =
  'anvil bounce cleanup dnsblog flush nqmgr oqmgr pickup postlogd postscreen proxymap qmgr qmqpd scache showq smtpd tlsmgr tlsproxy trivial-rewrite verify'.split(
    ' ',
  );

export interface TransportsFrom {
  readonly transports: Transports;
  readonly warnings: readonly { readonly line: number; readonly message: string }[];
}

export function transportsFrom(entries: readonly MasterEntry[]): TransportsFrom {
  const transports = new Map(builtInTransports);
  const warnings: { line: number; message: string }[] = [];
  const foreign = new Map<string, MasterEntry[]>();
  for (const entry of entries) {
    const { name, command, line } = entry;
    const agent = agentOf(entry);
    if (agent !== undefined && entry.type === 'unix') {
      transports.set(name, transportFrom(entry, agent));
      warnings.push(...withoutEffect(entry));
    } else if (FOREIGN.includes(command)) {
      foreign.set(command, [...(foreign.get(command) ?? []), entry]);
    } else if (!NO_TRANSPORT.includes(command)) {
      const message =
        agent === undefined
          ? `Mailfleet does not know the command ${command}; mail that is routed to ${name} waits`
          : `${name} is no transport: one that runs ${command} is of type unix`;
      warnings.push({ line, message });
    } else if (entry.overrides.length > 0) {
      const message = `the settings (-o) of ${name} have no effect: Mailfleet's own daemons take theirs from main.cf`;
      warnings.push({ line, message });
    }
  }
  for (const [command, services] of foreign) {
    const names = services.map(({ name }) => name).join(', ');
    const message = `Mailfleet does not have the command ${command}; mail that is routed to ${names} waits`;
    warnings.push({ line: services[0]?.line ?? 0, message });
  }
  return { transports, warnings: warnings.sort((a, b) => a.line - b.line) };
}

function agentOf({ name, command }: MasterEntry): DeliveryAgentName | undefined {
  switch (command) {
    case 'smtp':
    case 'lmtp':
    case 'discard':
      return command;
    case 'error':
      // error(8) looks at the name of its service.
      return name === 'retry' ? 'retry' : 'error';
    default:
      return undefined;
  }
}

function transportFrom({ maxproc, overrides, line }: MasterEntry, agent: DeliveryAgentName): Transport {
  return {
    agent,
    ...(maxproc === undefined ? {} : { processLimit: maxproc }),
    overrides: new Map(overrides.map(({ name, value }) => [name, value])),
    line,
  };
}

/** What stands behind the forms of a transport. */
const SCHEDULERS =
  /^(?:initial_destination|default_(?:destination|transport_rate|recipient|extra|delivery_slot|minimum))_/;

function withoutEffect({ name, overrides, otherArguments, line }: MasterEntry): TransportsFrom['warnings'] {
  const schedulers = overrides.filter(
    (one) => transportFormOf(one.name) !== undefined || SCHEDULERS.test(one.name),
  );
  return [
    ...schedulers.map((one) => ({
      line,
      message: `-o ${one.name} has no effect here: the scheduler reads it, from main.cf`,
    })),
    ...otherArguments.map((argument) => ({
      line,
      message: `the argument ${argument} of ${name} has no effect; debug_peer_list shows what is said to a server`,
    })),
  ];
}
