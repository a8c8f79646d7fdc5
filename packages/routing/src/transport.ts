/**
 * Transports: the `transport:nexthop` syntax of transport(5), and who delivers for which transport.
 */

/**
 * What a transport's delivery agent is: smtp(8) or lmtp(8) of the workers; error(8), retry and discard(8), which need no
 * connection and whose nexthop is a text; `none` for a transport that does not exist.
 */
export type TransportAgent = 'smtp' | 'lmtp' | 'error' | 'retry' | 'discard' | 'none';

const AGENTS: ReadonlyMap<string, TransportAgent> = new Map([
  ['smtp', 'smtp'],
  ['relay', 'smtp'],
  ['lmtp', 'lmtp'],
  ['error', 'error'],
  ['retry', 'retry'],
  ['discard', 'discard'],
]);

/** The agent of the transports that are always there. */
export function transportAgent(transport: string): TransportAgent {
  return AGENTS.get(transport) ?? 'none';
}

/** `transport`, `transport:` or `transport:nexthop`; both parts may be empty, and the nexthop may hold colons. */
export function parseTransport(text: string): { readonly transport: string; readonly nexthop: string } {
  const at = text.indexOf(':');
  if (at === -1) return { transport: text.trim(), nexthop: '' };
  return { transport: text.slice(0, at).trim(), nexthop: text.slice(at + 1).trim() };
}
