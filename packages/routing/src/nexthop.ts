/**
 * Destination syntax of smtp(8) and lmtp(8): `name`, `name:port`, `[name]:service`, `[address]`, `[ipv6:address]`, for
 * LMTP also `unix:path` and `inet:…`; several TCP destinations separated by commas or white space are tried in order.
 *
 * A destination that cannot be parsed is a value with Postfix's words. Where smtp(8) would end with a fatal error,
 * the caller defers the recipients with 4.3.0 and reports the destination as dead.
 */
import { isHostname, isIPv6Address, isNumericAddress, toALabel } from './hostname.ts';
import { findServicePort, type ServicePorts } from './service-port.ts';

export type Nexthop =
  | { readonly kind: 'unix'; readonly path: string }
  /** Parse each one when its turn comes: an error in the second must not keep mail from the first. */
  | { readonly kind: 'tcp'; readonly destinations: readonly string[] };

export interface Destination {
  /** As given, for messages. */
  readonly text: string;
  /** Without brackets and `ipv6:`. */
  readonly host: string;
  readonly port: number;
  /** The service as given, or the default one: what use_srv_lookup lists. */
  readonly service: string;
  /** Brackets turn MX and SRV lookups off. */
  readonly bracketed: boolean;
}

export type ParsedDestination =
  | { readonly ok: true; readonly destination: Destination }
  | { readonly ok: false; readonly reason: string };

export interface DestinationSyntax {
  /** smtp_tcp_port or lmtp_tcp_port. */
  readonly defaultService: string;
  readonly servicePorts: ServicePorts;
  /** smtputf8_enable: non-ASCII names are legal when they have an A-label form. */
  readonly utf8Names: boolean;
  /** enable_idna2003_compatibility */
  readonly transitionalNames?: boolean;
}

/** Splits a nexthop into what to connect to. The nexthop must not be empty. */
export function parseNexthop(nexthop: string, protocol: 'smtp' | 'lmtp'): Nexthop {
  let rest = nexthop;
  if (protocol === 'lmtp') {
    if (rest.startsWith('unix:')) return { kind: 'unix', path: rest.slice('unix:'.length) };
    if (rest.startsWith('inet:')) rest = rest.slice('inet:'.length);
  }
  return { kind: 'tcp', destinations: splitDestinations(rest) };
}

/** A list as in relayhost and smtp_fallback_relay. */
export function splitDestinations(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter((part) => part !== '');
}

/** Parses one TCP destination. The text of an error is that of the fatal message of smtp(8). */
export function parseDestination(text: string, syntax: DestinationSyntax): ParsedDestination {
  const parts = splitHostService(text);
  if (typeof parts === 'string') return { ok: false, reason: `${parts} in server description: ${text}` };
  const { host, bracketed } = parts;
  const service = parts.service || syntax.defaultService;
  const name = syntax.utf8Names ? toALabel(host, syntax.transitionalNames) : host;
  if (name === undefined || !(isHostname(name) || isNumericAddress(name))) {
    return { ok: false, reason: `valid hostname or network address required in server description: ${text}` };
  }
  if (/^\d/.test(parts.service) && /\D/.test(parts.service)) {
    return { ok: false, reason: `garbage after numerical service in server description: ${text}` };
  }
  const port = findServicePort(service, syntax.servicePorts);
  if (port === undefined) {
    const reason = /^\d+$/.test(service)
      ? `bad network port: ${service} for destination: ${text}`
      : `unknown service: ${service}/tcp`;
    return { ok: false, reason };
  }
  return {
    ok: true,
    destination: { text, host: syntax.transitionalNames === true ? name : host, port, service, bracketed },
  };
}

function splitHostService(text: string): { host: string; service: string; bracketed: boolean } | string {
  if (text.startsWith('[')) {
    const marked = /^\[ipv6:/i.test(text);
    const from = marked ? '[ipv6:'.length : 1;
    const end = text.indexOf(']', from);
    if (end === -1) return 'missing "]"';
    const host = text.slice(from, end);
    const rest = text.slice(end + 1);
    if (rest !== '' && !rest.startsWith(':')) return 'garbage after "]"';
    if (marked && !isIPv6Address(host)) return 'malformed IPv6 address';
    return { host, service: rest.slice(1), bracketed: true };
  }
  const colon = text.lastIndexOf(':');
  const host = colon === -1 ? text : text.slice(0, colon);
  if (host === '') return 'missing host information';
  return { host, service: colon === -1 ? '' : text.slice(colon + 1), bracketed: false };
}
