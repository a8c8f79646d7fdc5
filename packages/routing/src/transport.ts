/**
 * Transports: the `transport:nexthop` syntax of transport(5), and who delivers for which transport.
 */
import type { Config, DeliveryAgentName } from '@mailfleet/config';

/** What a transport's delivery agent is; `none` for a transport that does not exist. */
export type TransportAgent = DeliveryAgentName | 'none';

/** The agent of a transport, by master.cf. */
export function transportAgent(config: Pick<Config, 'transport'>, transport: string): TransportAgent {
  return config.transport(transport)?.agent ?? 'none';
}

/** `transport`, `transport:` or `transport:nexthop`; both parts may be empty, and the nexthop may hold colons. */
export function parseTransport(text: string): { readonly transport: string; readonly nexthop: string } {
  const at = text.indexOf(':');
  if (at === -1) return { transport: text.trim(), nexthop: '' };
  return { transport: text.slice(0, at).trim(), nexthop: text.slice(at + 1).trim() };
}
