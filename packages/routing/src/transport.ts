/**
 * Transports: the `transport:nexthop` syntax of transport(5), which transports are served by what, and the `error` and `retry`
 * transports, which end a route instead of leading somewhere.
 */

export type Protocol = 'smtp' | 'lmtp';

/** What the delivery agent of a transport speaks; undefined for a transport that does not exist. */
export type TransportProtocol = (transport: string) => Protocol | undefined;

const PROTOCOLS: ReadonlyMap<string, Protocol> = new Map([
  ['smtp', 'smtp'],
  ['relay', 'smtp'],
  ['lmtp', 'lmtp'],
]);

/** The transports that are always there. */
export const transportProtocol: TransportProtocol = (transport) => PROTOCOLS.get(transport);

/** `transport`, `transport:` or `transport:nexthop`; both parts may be empty, and the nexthop may hold colons. */
export function parseTransport(text: string): { readonly transport: string; readonly nexthop: string } {
  const at = text.indexOf(':');
  if (at === -1) return { transport: text.trim(), nexthop: '' };
  return { transport: text.slice(0, at).trim(), nexthop: text.slice(at + 1).trim() };
}

/** DSN status and text of `error:5.1.1 text` and `retry:4.3.0 text`; undefined for any other transport. */
export function parseErrorTransport(
  transport: string,
  text: string,
): { readonly status: string; readonly reason: string } | undefined {
  if (transport !== 'error' && transport !== 'retry') return undefined;
  const digit = transport === 'error' ? '5' : '4';
  const match = /^([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)(.*)$/s.exec(text);
  const reason = match?.[2] || text;
  // A status of the other class is a slip of whoever wrote the table; the transport's name decides.
  const status = match?.[1]?.startsWith(digit) ? match[1] : `${digit}.0.0`;
  return { status, reason };
}
