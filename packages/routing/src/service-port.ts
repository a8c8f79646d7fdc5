/**
 * Service names to TCP ports: first known_tcp_ports, then digits, then the services(5) file.
 *
 * The file is read once, at the first name that known_tcp_ports does not hold: most fleets never need it, and
 * minimal images do not have it.
 */
import { readFileSync } from 'node:fs';

export interface ServicePorts {
  /** name -> port, from known_tcp_ports. */
  readonly known: ReadonlyMap<string, number>;
  /** The services(5) file's entries for tcp, aliases included. */
  system(): ReadonlyMap<string, number>;
}

/** The port of a service name or number; undefined when unknown or not within 1..65535. */
export function findServicePort(service: string, ports: ServicePorts): number | undefined {
  const known = ports.known.get(service);
  if (known !== undefined) return known;
  if (/^\d+$/.test(service)) {
    const port = Number(service);
    return port >= 1 && port <= 65_535 ? port : undefined;
  }
  return ports.system().get(service);
}

/** `knownTcpPorts` is the list form of known_tcp_ports: words like `smtps=submissions=465`. */
export function makeServicePorts(
  knownTcpPorts: readonly string[],
  servicesFile = '/etc/services',
): ServicePorts {
  const known = new Map<string, number>();
  for (const word of knownTcpPorts) {
    const parts = word.split('=').map((part) => part.trim());
    const port = Number(parts.pop());
    if (!Number.isInteger(port)) continue;
    for (const name of parts) known.set(name, port);
  }
  let system: ReadonlyMap<string, number> | undefined;
  return {
    known,
    system() {
      system ??= parseServices(readOptional(servicesFile));
      return system;
    },
  };
}

/** Entries of services(5) text: `name port/protocol alias… # comment`. The first entry of a name wins. */
export function parseServices(text: string): ReadonlyMap<string, number> {
  const ports = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, portAndProtocol = '', ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    const match = /^(\d+)\/tcp$/.exec(portAndProtocol);
    if (name === undefined || match === null) continue;
    for (const each of [name, ...aliases]) if (!ports.has(each)) ports.set(each, Number(match[1]));
  }
  return ports;
}

function readOptional(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Without the file only known_tcp_ports and numbers are services, which is what an unknown service reports.
    return '';
  }
}
