/** How a destination is written on the command line: `transport:nexthop` as in transport(5), or only the nexthop. */
import type { Config } from '@mailfleet/config';
import type { DestinationName } from '@mailfleet/queue';

/** A nexthop alone is one of default_transport; `[host]:port` and `host.domain:port` hold a colon and no transport. */
export function parseDestination(text: string, config: Pick<Config, 'get'>): DestinationName {
  const [, transport, nexthop] = /^([a-z\d_-]+):(.+)$/i.exec(text) ?? [];
  if (transport !== undefined && nexthop !== undefined) return { transport, nexthop: nexthop.toLowerCase() };
  const [usual = 'smtp'] = config.get('default_transport').split(':');
  return { transport: usual, nexthop: text.toLowerCase() };
}

/** What cannot be a queue id. */
export function isDestination(text: string): boolean {
  return /[^a-z\d]/i.test(text);
}
